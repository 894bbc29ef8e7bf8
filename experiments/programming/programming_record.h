// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a programming has in the database so far, batch by batch, for going on with it. Plain
/// values.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "db/run_store.h"
#include "protocol/error.h"

namespace pcmlab {

/// Empty for a programming that has not begun.
class ProgrammingRecord {
 public:
  struct Batch {
    db::BatchRow intended;
    std::optional<db::BatchOutcome> outcome;
    std::optional<db::BatchVerify> verify;

    /// It was written down, and the loop ended before it was sent.
    bool given_up() const { return outcome && outcome->pulses_executed == 0; }
  };

  ProgrammingRecord() = default;
  /// Errors: those of the store; BadFile when batch numbers are missing.
  static Result<ProgrammingRecord> load(db::RunStore& store, db::RowId programming);

  bool empty() const { return batches_.empty(); }
  /// Batches have the numbers [first(), end()).
  std::uint64_t first() const { return first_; }
  std::uint64_t end() const { return first_ + batches_.size(); }
  /// nullptr: it was not written down.
  const Batch* find(std::uint64_t batch) const;
  /// Whether the loop went on behind this batch: if it has no outcome, its fate is unknown. Else
  /// the board may be asked.
  bool went_on_behind(std::uint64_t batch) const { return batch < settled_; }

 private:
  std::uint64_t first_ = 0;
  std::uint64_t settled_ = 0;  ///< behind the last batch of which anything is known
  std::vector<Batch> batches_;
};

}  // namespace pcmlab
