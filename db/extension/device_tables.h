// SPDX-License-Identifier: Apache-2.0
/// \file
/// The tables with one row for each device of a sweep, a programming or a fit of drift. Columns:
/// README.md. For one thread.
#pragma once

#include <cstdint>

#include "db/extension/device_cursor.h"

namespace pcmlab::db::extension {

/// `reading`: each device of each sweep.
class ReadingCursor final : public DeviceCursor {
 public:
  static const char* const kDeclaration;
  static const int kColumns;
  static Searching searching();

  explicit ReadingCursor(sqlite3* database);
  Result<void> column(sqlite3_context* context, int column);

 private:
  void take_owner(const Query& row) override;
  std::int64_t code_sum() const;
  std::int64_t tick_ns() const;

  std::int64_t run_ = 0;
  std::int64_t ordinal_ = 0;
  std::int64_t repeat_ = 0;
  double scheduled_s_ = 0;
  double samples_ = 1;
  double gain_uS_per_code_ = 0;
  double offset_uS_ = 0;
};

/// `programmed_device`: each device of each programming that has ended.
class ProgrammedDeviceCursor final : public DeviceCursor {
 public:
  static const char* const kDeclaration;
  static const int kColumns;
  static Searching searching();

  explicit ProgrammedDeviceCursor(sqlite3* database);
  Result<void> column(sqlite3_context* context, int column);

 private:
  void take_owner(const Query& row) override;

  std::int64_t run_ = 0;
};

/// `device_drift`: each device of each fit.
class DeviceDriftCursor final : public DeviceCursor {
 public:
  static const char* const kDeclaration;
  static const int kColumns;
  static Searching searching();

  explicit DeviceDriftCursor(sqlite3* database);
  Result<void> column(sqlite3_context* context, int column);

 private:
  void take_owner(const Query& row) override;

  std::int64_t run_ = 0;
  double t0_s_ = 0;
};

}  // namespace pcmlab::db::extension
