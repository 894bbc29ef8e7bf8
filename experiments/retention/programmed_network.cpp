// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/programmed_network.h"

#include <algorithm>
#include <numeric>

#include "experiments/retention/measured_conductances.h"

namespace pcmlab {
namespace {

/// The complete sweeps of a filling, in the order of time.
std::vector<db::SweepRow> sweeps_of(const db::ProgrammingRow& filling,
                                    const std::vector<db::SweepRow>& all) {
  std::vector<db::SweepRow> sweeps;
  std::copy_if(all.begin(), all.end(), std::back_inserter(sweeps), [&](const db::SweepRow& sweep) {
    return sweep.complete && sweep.programming == filling.id;
  });
  return sweeps;
}

bool is_same_reading(const db::SweepRow& one, const db::SweepRow& other) {
  return one.step == other.step && one.scheduled_s == other.scheduled_s &&
         one.repeat == other.repeat;
}

/// One vector after another, by `part(filling)`.
template <class Value, class Part>
Result<std::vector<Value>> joined(const ProgrammedNetwork& network, const Part& part) {
  std::vector<Value> all;
  for (const db::ProgrammingRow& filling : network.fillings) {
    PCM_ASSIGN(const std::vector<Value> values, part(filling));
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

}  // namespace

double NetworkReading::sum_uS() const {
  return std::accumulate(sweeps.begin(), sweeps.end(), 0.0,
                         [](double sum, const db::SweepRow& sweep) { return sum + sweep.sum_uS; });
}

Result<ProgrammedNetwork> programmed_network(db::RunStore& store, db::RowId run) {
  ProgrammedNetwork network;
  PCM_ASSIGN(const auto programmings, store.programmings(run));
  for (auto last = programmings.rbegin(); last != programmings.rend(); ++last) {
    PCM_ASSIGN(network.layers, store.layers(last->step));
    if (network.layers.empty()) continue;
    std::copy_if(programmings.begin(), programmings.end(), std::back_inserter(network.fillings),
                 [&](const db::ProgrammingRow& programming) {
                   return programming.complete && programming.step == last->step;
                 });
    break;
  }
  if (network.fillings.empty()) return network;
  PCM_ASSIGN(const auto all, store.sweeps(run));
  for (const db::SweepRow& sweep : sweeps_of(network.fillings.front(), all)) {
    network.readings.push_back({{sweep}});
  }
  // Every filling is read by the same steps at the same times, unless a time point was left out.
  for (std::size_t f = 1; f < network.fillings.size(); ++f) {
    const auto sweeps = sweeps_of(network.fillings[f], all);
    std::erase_if(network.readings, [&](NetworkReading& reading) {
      const auto same = std::find_if(sweeps.begin(), sweeps.end(), [&](const db::SweepRow& sweep) {
        return is_same_reading(sweep, reading.sweeps.front());
      });
      if (same == sweeps.end()) return true;
      reading.sweeps.push_back(*same);
      return false;
    });
  }
  return network;
}

Result<ProgrammedNetwork> programmed_devices(db::RunStore& store, db::RowId run) {
  PCM_ASSIGN(ProgrammedNetwork devices, programmed_network(store, run));
  if (!devices.fillings.empty()) return devices;
  PCM_ASSIGN(const auto programmings, store.programmings(run));
  if (programmings.empty() || !programmings.back().complete) return devices;
  PCM_ASSIGN(const auto all, store.sweeps(run));
  for (const db::SweepRow& sweep : sweeps_of(programmings.back(), all)) {
    devices.readings.push_back({{sweep}});
  }
  if (!devices.readings.empty()) devices.fillings = {programmings.back()};
  return devices;
}

Result<std::vector<DeviceAddress>> addresses(db::RunStore& store,
                                             const ProgrammedNetwork& network) {
  return joined<DeviceAddress>(
      network, [&](const db::ProgrammingRow& filling) -> Result<std::vector<DeviceAddress>> {
        PCM_ASSIGN(db::Placement placement, store.placement(filling.id));
        return std::move(placement.addresses);
      });
}

Result<db::ProgrammingResult> programming_result(db::RunStore& store,
                                                 const ProgrammedNetwork& network) {
  db::ProgrammingResult all;
  const auto append = [](auto& to, const auto& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  for (const db::ProgrammingRow& filling : network.fillings) {
    PCM_ASSIGN(const db::ProgrammingResult result, store.programming_result(filling.id));
    append(all.verdicts, result.verdicts);
    append(all.iterations, result.iterations);
    append(all.pulses, result.pulses);
    append(all.last_amplitudes_10nA, result.last_amplitudes_10nA);
    append(all.last_code_sums, result.last_code_sums);
    append(all.last_pulse_ticks_ns, result.last_pulse_ticks_ns);
  }
  return all;
}

Result<std::vector<float>> conductances_uS(db::RunStore& store, const NetworkReading& reading) {
  std::vector<float> all;
  for (const db::SweepRow& sweep : reading.sweeps) {
    PCM_ASSIGN(const auto code_sums, store.sweep_code_sums(sweep.id));
    const auto g_uS =
        conductances_uS(code_sums, {sweep.gain_uS_per_code, sweep.offset_uS}, sweep.samples);
    all.insert(all.end(), g_uS.begin(), g_uS.end());
  }
  return all;
}

Result<std::vector<float>> targets_uS(db::RunStore& store, const ProgrammedNetwork& network) {
  return joined<float>(network,
                       [&](const db::ProgrammingRow& filling) -> Result<std::vector<float>> {
                         PCM_ASSIGN(db::Placement placement, store.placement(filling.id));
                         return std::move(placement.targets_uS);
                       });
}

Result<std::vector<float>> verified_uS(db::RunStore& store, const ProgrammedNetwork& network) {
  return joined<float>(
      network, [&](const db::ProgrammingRow& filling) -> Result<std::vector<float>> {
        PCM_ASSIGN(const auto result, store.programming_result(filling.id));
        auto g_uS =
            conductances_uS(result.last_code_sums, {filling.gain_uS_per_code, filling.offset_uS},
                            filling.verify_samples);
        for (std::size_t d = 0; d < g_uS.size(); ++d) {
          if (result.verdicts[d] == db::Verdict::Reset) g_uS[d] = 0;
        }
        return g_uS;
      });
}

}  // namespace pcmlab
