// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/programming_record.h"

#include <fmt/format.h>

#include <utility>

namespace pcmlab {

Result<ProgrammingRecord> ProgrammingRecord::load(db::RunStore& store, db::RowId programming) {
  PCM_ASSIGN(auto intended, store.batches(programming));
  PCM_ASSIGN(auto outcomes, store.outcomes(programming));
  PCM_ASSIGN(auto reads, store.verify_reads(programming));
  ProgrammingRecord record;
  if (intended.empty()) return record;
  record.first_ = record.settled_ = intended.front().batch;
  auto outcome = outcomes.begin();
  auto verify = reads.begin();
  for (db::BatchRow& row : intended) {
    const std::uint64_t number = row.batch;
    if (number != record.end()) {
      return fail(
          ErrorCode::BadFile,
          fmt::format("programming {} has batch {} but not {}", programming, number, record.end()),
          "look at the database with pcmlab verify");
    }
    Batch& batch = record.batches_.emplace_back();
    batch.intended = std::move(row);
    if (outcome != outcomes.end() && outcome->batch == number) batch.outcome = *outcome++;
    if (verify != reads.end() && verify->batch == number) batch.verify = std::move(*verify++);
    if (batch.outcome || batch.verify) record.settled_ = number + 1;
  }
  return record;
}

const ProgrammingRecord::Batch* ProgrammingRecord::find(std::uint64_t batch) const {
  return batch < first_ || batch >= end() ? nullptr : &batches_[batch - first_];
}

}  // namespace pcmlab
