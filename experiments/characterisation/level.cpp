// SPDX-License-Identifier: Apache-2.0
#include "experiments/characterisation/level.h"

#include <map>

namespace pcmlab {
namespace {

/// Reads groups of devices, each group pulsed at one time, when they are due.
class AgedReader {
 public:
  AgedReader(CharacterisationBench& bench, std::span<const DeviceAddress> addresses)
      : bench_(bench), addresses_(addresses) {}

  void expect(std::span<const std::uint32_t> devices, BoardTime pulsed,
              const std::vector<double>& ages_s) {
    if (devices.empty()) return;
    groups_.push_back({{devices.begin(), devices.end()}, pulsed, reads_of_group(ages_s)});
    for (std::size_t age = 0; age < ages_s.size(); ++age) {
      due_.emplace(pulsed + from_seconds(ages_s[age]), Due{groups_.size() - 1, age});
    }
  }

  Result<void> read_due() {
    PCM_ASSIGN(const BoardTime now, bench_.clock().now());
    while (!due_.empty() && due_.begin()->first <= now) PCM_TRY(read_next());
    return {};
  }

  Result<void> read_rest() {
    while (!due_.empty()) {
      PCM_TRY(bench_.wait_until(due_.begin()->first));
      PCM_TRY(read_next());
    }
    return {};
  }

  /// Devices of all groups, in the order of take().
  std::vector<std::uint32_t> devices() const {
    std::vector<std::uint32_t> all;
    for (const Group& group : groups_) {
      all.insert(all.end(), group.devices.begin(), group.devices.end());
    }
    return all;
  }

  /// All groups together, by age.
  std::vector<AgedReads> take(const std::vector<double>& ages_s) {
    std::vector<AgedReads> all = reads_of_group(ages_s);
    for (const Group& group : groups_) {
      for (std::size_t age = 0; age < all.size(); ++age) {
        const AgedReads& reads = group.reads[age];
        all[age].age_s.insert(all[age].age_s.end(), reads.age_s.begin(), reads.age_s.end());
        all[age].g_uS.insert(all[age].g_uS.end(), reads.g_uS.begin(), reads.g_uS.end());
      }
    }
    return all;
  }

 private:
  struct Due {
    std::size_t group;
    std::size_t age;
  };
  struct Group {
    std::vector<std::uint32_t> devices;
    BoardTime pulsed;
    std::vector<AgedReads> reads;
  };

  static std::vector<AgedReads> reads_of_group(const std::vector<double>& ages_s) {
    std::vector<AgedReads> reads;
    for (const double age_s : ages_s) reads.push_back({age_s, {}, {}});
    return reads;
  }

  Result<void> read_next() {
    const Due due = due_.begin()->second;
    due_.erase(due_.begin());
    Group& group = groups_[due.group];
    std::vector<DeviceAddress> addresses;
    for (const std::uint32_t device : group.devices) addresses.push_back(addresses_[device]);
    AgedReads& reads = group.reads[due.age];
    PCM_ASSIGN(const auto reading, bench_.read(addresses));
    const double age_s = seconds((reading.first + reading.last) / 2 - group.pulsed);
    reads.age_s.assign(reading.g_uS.size(), age_s);
    reads.g_uS = reading.g_uS;
    return {};
  }

  CharacterisationBench& bench_;
  std::span<const DeviceAddress> addresses_;
  std::vector<Group> groups_;
  std::multimap<BoardTime, Due> due_;
};

}  // namespace

Result<ProgramOutcome> program_placement(CharacterisationBench& bench,
                                         const db::Placement& placement,
                                         const ProgramSettings& settings,
                                         const ProgramProgress& progress) {
  db::RunStore& store = bench.store();
  db::RunStart run_start;
  run_start.board = bench.board().information();
  PCM_ASSIGN(const db::RowId run, store.begin_run(run_start));
  db::ProgrammingStart start;
  start.run = run;
  PCM_ASSIGN(start.step, store.begin_step(run, 0, "characterisation", "{}"));
  start.verify_samples = settings.read.samples;
  start.read_voltage_mV = settings.read.read_voltage.mV();
  start.gain_uS_per_code = bench.calibration().gain_uS_per_code;
  start.offset_uS = bench.calibration().offset_uS;
  PCM_ASSIGN(const db::RowId programming, store.begin_programming(start));
  PCM_TRY(store.set_placement(programming, placement));
  RunControl control;
  ProgramAndVerify loop(bench.board(), bench.clock(), store, programming, settings,
                        bench.calibration(), control);
  return loop.run(placement, progress);
}

Result<Level> measure_level(CharacterisationBench& bench, std::span<const DeviceAddress> addresses,
                            Conductance target, const LevelSettings& settings) {
  AgedReader reader(bench, addresses);
  db::Placement placement;
  placement.shape = bench.board().information().shape;
  placement.addresses.assign(addresses.begin(), addresses.end());
  placement.targets_uS.assign(addresses.size(), static_cast<float>(target.uS()));
  PCM_ASSIGN(const ProgramOutcome outcome,
             program_placement(bench, placement, settings.program,
                               [&](const ProgramPass& pass) -> Result<void> {
                                 reader.expect(pass.converged, pass.pulsed, settings.ages_s);
                                 return reader.read_due();
                               }));
  PCM_TRY(reader.read_rest());

  Level level;
  level.target_uS = target.uS();
  level.devices = addresses.size();
  for (const std::uint32_t device : reader.devices()) {
    level.converged.push_back(addresses[device]);
    level.iterations.push_back(outcome.devices.iterations[device]);
  }
  level.reads = reader.take(settings.ages_s);
  return level;
}

}  // namespace pcmlab
