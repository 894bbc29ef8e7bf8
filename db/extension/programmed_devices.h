// SPDX-License-Identifier: Apache-2.0
/// \file
/// Where the devices of a programming are, what they hold, and which of them a search wants. One
/// programming at a time, one block of it in memory. For one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/extension/device_blocks.h"
#include "db/extension/filter.h"
#include "db/extension/query.h"
#include "protocol/device_address.h"

namespace pcmlab::db::extension {

/// Weights first_weight .. end_weight - 1.
struct LayerOfDevices {
  std::int64_t ordinal = 0;
  std::string name;
  std::int64_t first_weight = 0;
  std::int64_t end_weight = 0;
};

/// An address as the blobs of placements have it.
inline DeviceAddress unpacked(std::uint32_t address) {
  return {WordLine{static_cast<std::uint16_t>(address >> 16)},
          BitLine{static_cast<std::uint16_t>(address & 0xFFFF)}};
}

/// Where a table has the columns that say which device a row is of.
struct DeviceColumns {
  int device = 0;
  int layer = 0;      ///< then layer_name
  int weight = 0;     ///< then polarity
  int word_line = 0;  ///< then bit_line
};

class ProgrammedDevices {
 public:
  explicit ProgrammedDevices(sqlite3* database);

  /// Turns to a programming. Errors of all calls: those of Query and DeviceBlocks.
  Result<void> use(std::int64_t programming);

  std::int64_t programming() const { return programming_; }
  int verify_samples() const { return verify_samples_; }
  /// Of the sum of a verify read.
  double verified_uS(std::int64_t code_sum) const {
    return gain_uS_per_code_ * static_cast<double>(code_sum) / verify_samples_ + offset_uS_;
  }
  std::optional<std::int64_t> end_tick_ns() const { return end_tick_ns_; }

  // Of a device; none: the devices hold no weights, or the layer is not known.
  std::optional<std::int64_t> weight(std::int64_t device) const;
  Result<const LayerOfDevices*> layer(std::int64_t device);

  Result<std::optional<DeviceAddress>> address(std::int64_t device);
  Result<std::optional<float>> target_uS(std::int64_t device);
  /// None: the programming has not ended.
  Result<std::optional<std::int64_t>> last_pulse_tick_ns(std::int64_t device);

  /// The devices that a search wants, in order, without overlap.
  Result<std::vector<Interval>> wanted(const Filter& filter, const DeviceColumns& columns);

 private:
  Result<void> load_layers();
  Result<void> on_lines(Interval word_lines, Interval bit_lines, std::vector<Interval>& devices);

  Query header_;
  Query layer_rows_;
  DeviceBlocks placement_;
  DeviceBlocks results_;
  std::int64_t programming_ = -1;
  int verify_samples_ = 1;
  double gain_uS_per_code_ = 0;
  double offset_uS_ = 0;
  std::optional<std::int64_t> end_tick_ns_;
  std::optional<std::int64_t> first_weight_;
  std::int64_t device_count_ = 0;
  std::int64_t step_ = 0;
  bool layers_loaded_ = false;
  std::vector<LayerOfDevices> layers_;  ///< by first weight
  std::size_t last_layer_ = 0;          ///< the one found last
};

}  // namespace pcmlab::db::extension
