// SPDX-License-Identifier: Apache-2.0
// SQL over every reading of a 40-sweep night of 723,444 devices: rows a second of scans, and what a
// single device costs. The file is in the working folder.
#include <benchmark/benchmark.h>

#include <filesystem>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "db/query/results_query.h"
#include "db/run_store.h"

namespace pcmlab::db {
namespace {

constexpr std::size_t kDevices = 723'444;
constexpr int kSweeps = 40;
const char* const kFile = "query_benchmark.db";

template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message);
  if constexpr (!std::is_void_v<T>) return std::move(result).value();
}

void add_sweep(RunStore& store, const SweepStart& start, std::mt19937& random) {
  const RowId sweep = must(store.begin_sweep(start));
  std::vector<SweepBlock> blocks;
  for (std::size_t first = 0; first < kDevices; first += kMaxBlockDevices) {
    SweepBlock block;
    block.first_device = static_cast<std::int64_t>(first);
    block.code_sums.resize(std::min(kMaxBlockDevices, kDevices - first));
    for (auto& sum : block.code_sums) sum = static_cast<std::uint16_t>(random() % 1276);
    blocks.push_back(std::move(block));
  }
  must(store.add_sweep_blocks(sweep, blocks));
  must(store.finish_sweep(sweep, 1, 1));
}

void make_night() {
  if (std::filesystem::exists(kFile)) return;
  const std::string unfinished = std::string(kFile) + ".part";
  {
    auto store = must(RunStore::open(unfinished));
    auto transaction = must(store.transaction());
    RunStart run;
    run.name = "benchmark";
    run.board.serial = "benchmark";
    SweepStart start;
    start.run = must(store.begin_run(run));
    start.step = must(store.begin_step(start.run, 0, "retention", "{}"));
    ProgrammingStart programming;
    programming.run = start.run;
    programming.step = start.step;
    start.programming = must(store.begin_programming(programming));
    start.gain_uS_per_code = 0.2;
    Placement placement;
    placement.shape = {512, 2048};
    placement.first_weight = 0;
    for (std::uint32_t i = 0; i < kDevices; ++i) {
      placement.addresses.push_back(placement.shape.at(i));
      placement.targets_uS.push_back(12.5F);
    }
    must(store.set_placement(start.programming, placement));
    std::mt19937 random(1);
    for (start.ordinal = 0; start.ordinal < kSweeps; ++start.ordinal) {
      add_sweep(store, start, random);
    }
    must(transaction.commit());
  }
  std::filesystem::rename(unfinished, kFile);
}

/// \param rows  that the query goes through.
void ask(benchmark::State& state, const std::string& sql, std::int64_t rows) {
  make_night();
  auto query = must(ResultsQuery::open(kFile, {std::chrono::milliseconds(0), {}}));
  must(query.prepare(sql, {}));
  for (auto _ : state) {
    query.restart();
    while (must(query.step())) benchmark::DoNotOptimize(query.value(0));
  }
  if (rows > 0) state.SetItemsProcessed(state.iterations() * rows);
}

constexpr std::int64_t kReadings = std::int64_t{kSweeps} * kDevices;

BENCHMARK_CAPTURE(ask, mean_of_all, "SELECT avg(g_uS) FROM reading", kReadings)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, mean_by_sweep, "SELECT sweep_id, avg(g_uS) FROM reading GROUP BY sweep_id",
                  kReadings)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, mean_by_bit_line,
                  "SELECT bit_line, avg(g_uS) FROM reading WHERE sweep_id = 20 GROUP BY bit_line",
                  static_cast<std::int64_t>(kDevices))
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(ask, device_of_a_sweep,
                  "SELECT g_uS FROM reading WHERE sweep_id = 20 AND device = 500000", 0)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(ask, history_of_a_device,
                  "SELECT sweep_id, g_uS FROM reading WHERE device = 500000", 0)
    ->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace pcmlab::db

BENCHMARK_MAIN();
