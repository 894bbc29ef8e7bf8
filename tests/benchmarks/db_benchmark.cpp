// SPDX-License-Identifier: Apache-2.0
// Raw sweeps to disk and back: 723,444 devices in blocks, every commit synchronous=FULL. The file
// is in the working folder, so that the disk measured is the one meant.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "db/run_store.h"

namespace pcmlab::db {
namespace {

constexpr std::size_t kDevices = 723'444;
const char* const kFile = "db_benchmark.db";

template <class T>
T must(Result<T> result) {
  if (!result) {
    throw std::runtime_error(result.error().message);
  }
  if constexpr (!std::is_void_v<T>) {
    return std::move(result).value();
  }
}

void remove_file() {
  for (const char* const ending : {"", "-wal", "-shm"}) {
    std::filesystem::remove(std::string(kFile) + ending);
  }
}

std::vector<SweepBlock> make_blocks(std::size_t block_devices) {
  std::mt19937 random(1);
  std::vector<SweepBlock> blocks;
  for (std::size_t first = 0; first < kDevices; first += block_devices) {
    SweepBlock block;
    block.first_device = static_cast<std::int64_t>(first);
    block.code_sums.resize(std::min(block_devices, kDevices - first));
    for (auto& sum : block.code_sums) {
      sum = static_cast<std::uint16_t>(random() % 1276);
    }
    blocks.push_back(std::move(block));
  }
  return blocks;
}

SweepStart begin_run(RunStore& store) {
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
  return start;
}

void count_readings(benchmark::State& state) {
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kDevices));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(2 * kDevices));
}

/// One commit for each sweep.
void commit_sweeps(benchmark::State& state) {
  remove_file();
  {
    auto store = must(RunStore::open(kFile));
    SweepStart start = begin_run(store);
    const auto blocks = make_blocks(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
      auto transaction = must(store.transaction());
      const RowId sweep = must(store.begin_sweep(start));
      must(store.add_sweep_blocks(sweep, blocks));
      must(store.finish_sweep(sweep, 1, 1));
      must(transaction.commit());
      ++start.ordinal;
    }
  }
  count_readings(state);
  remove_file();
}
BENCHMARK(commit_sweeps)->ArgName("block")->Arg(8192)->Arg(65536)->UseRealTime();

/// One commit for each block, as while a sweep is being read.
void commit_blocks(benchmark::State& state) {
  remove_file();
  {
    auto store = must(RunStore::open(kFile));
    SweepStart start = begin_run(store);
    const auto blocks = make_blocks(static_cast<std::size_t>(state.range(0)));
    for (auto _ : state) {
      const RowId sweep = must(store.begin_sweep(start));
      for (const SweepBlock& block : blocks) {
        must(store.add_sweep_blocks(sweep, std::span(&block, 1)));
      }
      must(store.finish_sweep(sweep, 1, 1));
      ++start.ordinal;
    }
  }
  count_readings(state);
  remove_file();
}
BENCHMARK(commit_blocks)->ArgName("block")->Arg(8192)->Arg(65536)->UseRealTime();

/// MiB of this process in memory.
double resident_memory() {
  constexpr double kPagesPerMiB = 256;
  double total = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> total >> resident;
  return resident / kPagesPerMiB;
}

/// A hundred sweeps with one commit for each block. Counters: how far the resident memory rises
/// above that after five of them, and what a night of 40 takes in the file.
void commit_a_hundred_sweeps(benchmark::State& state) {
  constexpr int kSweeps = 100, kWarm = 5;
  constexpr double kNight = 40, kBytesPerMB = 1e6;
  remove_file();
  {
    const auto blocks = make_blocks(static_cast<std::size_t>(state.range(0)));
    auto store = must(RunStore::open(kFile));
    SweepStart start = begin_run(store);
    double warm = 0, highest = 0;
    for (auto _ : state) {
      for (int i = 0; i < kSweeps; ++i, ++start.ordinal) {
        const RowId sweep = must(store.begin_sweep(start));
        for (const SweepBlock& block : blocks) {
          must(store.add_sweep_blocks(sweep, std::span(&block, 1)));
        }
        must(store.finish_sweep(sweep, 1, 1));
        if (i < kWarm) warm = resident_memory();
        highest = std::max(highest, resident_memory());
      }
    }
    state.counters["rise_MiB"] = highest - warm;
    state.counters["night_MB"] =
        kNight / kSweeps * static_cast<double>(std::filesystem::file_size(kFile)) / kBytesPerMB;
    state.SetItemsProcessed(kSweeps * static_cast<std::int64_t>(kDevices));
  }
  remove_file();
}
BENCHMARK(commit_a_hundred_sweeps)
    ->ArgName("block")
    ->Arg(65536)
    ->Iterations(1)
    ->UseRealTime()
    ->Unit(benchmark::kSecond);

/// Reading a sweep back, every checksum checked; 40 sweeps in turn.
void read_sweeps(benchmark::State& state) {
  constexpr RowId kSweeps = 40;
  remove_file();
  {
    auto store = must(RunStore::open(kFile));
    SweepStart start = begin_run(store);
    const auto blocks = make_blocks(static_cast<std::size_t>(state.range(0)));
    for (; start.ordinal < kSweeps; ++start.ordinal) {
      const RowId sweep = must(store.begin_sweep(start));
      must(store.add_sweep_blocks(sweep, blocks));
      must(store.finish_sweep(sweep, 1, 1));
    }
  }
  {
    auto store = must(RunStore::open_read_only(kFile));
    RowId sweep = 0;
    for (auto _ : state) {
      benchmark::DoNotOptimize(must(store.sweep_code_sums(sweep + 1)));
      sweep = (sweep + 1) % kSweeps;
    }
  }
  count_readings(state);
  remove_file();
}
BENCHMARK(read_sweeps)->ArgName("block")->Arg(8192)->Arg(65536)->UseRealTime();

}  // namespace
}  // namespace pcmlab::db

BENCHMARK_MAIN();
