// SPDX-License-Identifier: Apache-2.0
#include "experiments/characterisation/pulse_response.h"

namespace pcmlab {
namespace {

Result<Moments> pulsed(CharacterisationBench& bench, std::span<const DeviceAddress> addresses,
                       std::span<const Pulse> sequence, Duration settle) {
  PCM_TRY(bench.pulse(addresses, sequence));
  PCM_TRY(bench.wait(settle));
  PCM_ASSIGN(const auto reading, bench.read(addresses));
  return moments(reading.g_uS);
}

}  // namespace

Result<std::vector<DeviceAddress>> working_devices(CharacterisationBench& bench,
                                                   std::span<const DeviceAddress> addresses,
                                                   std::span<const Pulse> staircase,
                                                   Conductance high,
                                                   const PulseResponseSettings& settings) {
  PCM_TRY(bench.pulse(addresses, staircase));
  PCM_TRY(bench.wait(settings.settle));
  PCM_ASSIGN(const auto set, bench.read(addresses));
  PCM_TRY(bench.pulse(addresses, std::span(&settings.reset, 1)));
  PCM_TRY(bench.wait(settings.settle));
  PCM_ASSIGN(const auto reset, bench.read(addresses));
  std::vector<DeviceAddress> working;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    if (set.g_uS[i] > high.uS() / 2 && reset.g_uS[i] < high.uS() / 20) {
      working.push_back(addresses[i]);
    }
  }
  return working;
}

Result<std::vector<Moments>> accumulation_curve(CharacterisationBench& bench,
                                                std::span<const DeviceAddress> addresses,
                                                const Pulse& pulse, int pulses,
                                                const PulseResponseSettings& settings) {
  PCM_TRY(bench.pulse(addresses, std::span(&settings.reset, 1)));
  std::vector<Moments> curve;
  for (int i = 0; i < pulses; ++i) {
    PCM_ASSIGN(const Moments after,
               pulsed(bench, addresses, std::span(&pulse, 1), settings.settle));
    curve.push_back(after);
  }
  return curve;
}

Result<std::vector<Moments>> programming_curve(CharacterisationBench& bench,
                                               std::span<const DeviceAddress> addresses,
                                               std::span<const double> amplitudes_uA,
                                               Duration width,
                                               const PulseResponseSettings& settings) {
  std::vector<Moments> curve;
  for (const double amplitude_uA : amplitudes_uA) {
    const std::vector<Pulse> sequence{settings.reset, {Current::from_uA(amplitude_uA), width}};
    PCM_ASSIGN(const Moments after, pulsed(bench, addresses, sequence, settings.settle));
    curve.push_back(after);
  }
  return curve;
}

}  // namespace pcmlab
