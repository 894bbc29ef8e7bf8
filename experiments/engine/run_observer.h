// SPDX-License-Identifier: Apache-2.0
/// \file
/// Who is told what a run does. Called from the experiment's thread, after the fact was committed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "db/records.h"

namespace pcmlab {

class RunObserver {
 public:
  virtual ~RunObserver() = default;

  virtual void run_started(db::RowId /*run*/, const std::string& /*name*/) {}
  virtual void step_started(std::size_t /*number*/, std::size_t /*count*/,
                            std::string_view /*experiment*/) {}
  virtual void step_finished(std::string_view /*experiment*/, double /*wall_s*/) {}
  /// Often: an observer shows as many of these as it likes.
  virtual void progress(const db::ProgressRow& /*progress*/) {}
  /// Waits, the chip in a state that can be left. \param why  "by Ada"
  virtual void paused(const std::string& /*why*/) {}
  virtual void went_on() {}  ///< after paused() or held_up()
  /// One line for a person.
  virtual void message(const std::string& /*text*/) {}
  /// The run waits, and somebody should see to it: what is wrong, and what to do. The database may
  /// be what is wrong.
  virtual void held_up(const std::string& text) { message(text); }
};

}  // namespace pcmlab
