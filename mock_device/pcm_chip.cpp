// SPDX-License-Identifier: Apache-2.0
#include "mock_device/pcm_chip.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "mock_device/pcm_physics.h"
#include "mock_device/worker_pool.h"

namespace pcmlab::mock {
namespace {

enum class Fault : std::uint8_t { None, StuckLow, StuckHigh, Open };

constexpr double kDeviceSpreadStep = 1.0 / 4096.0;  // resolution of a stored deviation, in sigma
constexpr std::uint8_t kMostSetSteps = 255;         // the memory has long faded

std::int16_t store_deviation(float sigma) {
  return static_cast<std::int16_t>(
      std::clamp(std::lround(sigma / kDeviceSpreadStep), -32767L, 32767L));
}
float load_deviation(std::int16_t stored) {
  return static_cast<float>(stored) * static_cast<float>(kDeviceSpreadStep);
}

/// State of all devices, struct of arrays by linear index.
struct DeviceState {
  explicit DeviceState(std::size_t count)
      : set_uS(count),
        reset_uS(count),
        melt_onset(count),
        melt_full(count),
        state(count),
        drift_exponent(count),
        pulsed_ns(count),
        noise_ns(count),
        counter(count),
        pulses(count),
        set_steps(count),
        fault(count) {
    for (auto& term : noise) term.resize(count);
  }

  std::vector<float> set_uS, reset_uS;
  std::vector<std::int16_t> melt_onset, melt_full;  // deviations in sigma, see store_deviation
  std::vector<float> state, drift_exponent;
  std::array<std::vector<float>, kNoiseTerms> noise;
  std::vector<std::int64_t> pulsed_ns;  // when the last pulse was over
  std::vector<std::int64_t> noise_ns;   // when the noise was last brought up to date
  std::vector<std::uint32_t> counter, pulses;
  std::vector<std::uint8_t> set_steps;
  std::vector<Fault> fault;
};

constexpr std::size_t kBytesPerDevice = 4 * sizeof(float) + 2 * sizeof(std::int16_t) +
                                        kNoiseTerms * sizeof(float) + 2 * sizeof(std::int64_t) +
                                        2 * sizeof(std::uint32_t) + 2;

}  // namespace

struct PcmChip::Impl {
  Impl(const PcmParameters& parameters, ArrayShape array_shape, std::uint64_t chip_seed,
       unsigned threads)
      : physics(parameters),
        shape(array_shape),
        seed(chip_seed),
        devices(array_shape.device_count()),
        pool(threads) {
    pool.run(shape.device_count(), [this](std::size_t begin, std::size_t end) {
      for (std::size_t index = begin; index < end; ++index) make_device(index);
    });
  }

  void make_device(std::size_t index);
  LaneKey key_of(std::size_t index) const {
    return lane_key(seed, static_cast<std::uint32_t>(index));
  }
  /// The read circuit as the planned faults have it at a time.
  ReadCircuit circuit_at(BoardTime time) const {
    ReadCircuit now = circuit;
    now.gain += static_cast<float>(reference_drift_per_day * seconds(time) / 86400.0);
    return now;
  }
  bool has_repeats(std::span<const DeviceAddress> addresses);
  void for_lanes(std::span<const DeviceAddress> addresses,
                 const std::function<void(std::size_t begin, std::size_t count)>& work);
  void load(std::span<const DeviceAddress> addresses, std::span<const std::int64_t> now_ns,
            DeviceLanes& lanes) const;
  void store_noise(std::size_t index, std::size_t lane, const DeviceLanes& lanes);
  void store_pulse(std::size_t index, std::size_t lane, std::int64_t end_ns,
                   const DeviceLanes& lanes);

  PhysicsConstants physics;
  ArrayShape shape;
  std::uint64_t seed;
  DeviceState devices;
  WorkerPool pool;
  std::vector<std::uint64_t> seen;  // scratch of has_repeats, one bit a device
  std::vector<std::int64_t> starts_ns;
  std::uint32_t reference_counter = 0;
  ReadCircuit circuit;
  double reference_drift_per_day = 0;
};

/// A device fresh from the fab: fully RESET at time zero.
void PcmChip::Impl::make_device(std::size_t index) {
  const PcmParameters& p = physics.parameters;
  const LaneKey key = key_of(index);
  float set_draw, reset_draw, onset_draw, full_draw, drift_draw, unused;
  lane_normals(key, 0, set_draw, reset_draw);
  lane_normals(key, 2, onset_draw, full_draw);
  lane_normals(key, 4, drift_draw, unused);
  const double fate = static_cast<double>(lane_uniform(lane_bits(key, 6)));
  double set_uS =
      p.set_conductance_uS * std::exp(p.set_conductance_spread * static_cast<double>(set_draw));
  const double reset_uS = p.reset_conductance_uS *
                          std::exp(p.reset_conductance_spread * static_cast<double>(reset_draw));
  const double low = p.stuck_low_fraction;
  const double high = low + p.stuck_high_fraction;
  const double limited = high + p.limited_range_fraction;
  Fault fault = Fault::None;
  if (fate < low) {
    fault = Fault::StuckLow;
  } else if (fate < high) {
    fault = Fault::StuckHigh;
  } else if (fate < limited) {
    set_uS *= p.limited_range_factor;
  }
  devices.set_uS[index] = static_cast<float>(std::max(set_uS, reset_uS + 0.01));
  devices.reset_uS[index] = static_cast<float>(reset_uS);
  devices.melt_onset[index] = store_deviation(onset_draw);
  devices.melt_full[index] = store_deviation(full_draw);
  devices.state[index] = fault == Fault::StuckHigh ? 0.0f : 1.0f;
  devices.drift_exponent[index] = static_cast<float>(std::clamp(
      p.drift_mean_max + p.drift_spread_max * static_cast<double>(drift_draw), 0.0, 1.0));
  devices.counter[index] = 8;
  devices.fault[index] = fault;
}

/// Whether a device is named twice: then the order within the list matters.
bool PcmChip::Impl::has_repeats(std::span<const DeviceAddress> addresses) {
  const bool increasing =
      std::adjacent_find(addresses.begin(), addresses.end(), [](DeviceAddress a, DeviceAddress b) {
        return !(a < b);
      }) == addresses.end();
  if (increasing) return false;
  seen.assign(shape.device_count() / 64 + 1, 0);
  for (const DeviceAddress address : addresses) {
    const std::size_t index = shape.linear(address);
    const std::uint64_t bit = std::uint64_t{1} << (index % 64);
    if ((seen[index / 64] & bit) != 0) return true;
    seen[index / 64] |= bit;
  }
  return false;
}

void PcmChip::Impl::for_lanes(
    std::span<const DeviceAddress> addresses,
    const std::function<void(std::size_t begin, std::size_t count)>& work) {
  if (has_repeats(addresses)) {
    for (std::size_t i = 0; i < addresses.size(); ++i) work(i, 1);
    return;
  }
  const std::size_t groups = (addresses.size() + kLanes - 1) / kLanes;
  pool.run(groups, [&](std::size_t begin, std::size_t end) {
    for (std::size_t group = begin; group < end; ++group) {
      const std::size_t at = group * kLanes;
      work(at, std::min(kLanes, addresses.size() - at));
    }
  });
}

void PcmChip::Impl::load(std::span<const DeviceAddress> addresses,
                         std::span<const std::int64_t> now_ns, DeviceLanes& lanes) const {
  const PcmParameters& p = physics.parameters;
  const auto onset_uA = static_cast<float>(p.melt_onset_uA);
  const auto full_uA = static_cast<float>(p.melt_full_uA);
  const auto spread = static_cast<float>(p.melt_current_spread);
  for (std::size_t i = 0; i < kLanes; ++i) {
    // Lanes beyond the list repeat its last device; what they compute is dropped.
    const std::size_t from = std::min(i, addresses.size() - 1);
    const std::size_t index = shape.linear(addresses[from]);
    const LaneKey key = key_of(index);
    lanes.key_a[i] = key.a;
    lanes.key_b[i] = key.b;
    lanes.counter[i] = devices.counter[index];
    lanes.set_uS[i] = devices.set_uS[index];
    lanes.reset_uS[i] = devices.reset_uS[index];
    lanes.melt_onset_uA[i] = onset_uA * (1.0f + spread * load_deviation(devices.melt_onset[index]));
    lanes.melt_full_uA[i] =
        std::max(full_uA * (1.0f + spread * load_deviation(devices.melt_full[index])),
                 lanes.melt_onset_uA[i] + 1.0f);
    lanes.state[i] = devices.state[index];
    lanes.set_steps[i] = static_cast<float>(devices.set_steps[index]);
    lanes.drift_exponent[i] = devices.drift_exponent[index];
    lanes.age_s[i] =
        static_cast<float>(static_cast<double>(now_ns[from] - devices.pulsed_ns[index]) * 1e-9);
    lanes.since_s[i] =
        static_cast<float>(static_cast<double>(now_ns[from] - devices.noise_ns[index]) * 1e-9);
  }
  for (std::size_t k = 0; k < kNoiseTerms; ++k) {
    for (std::size_t i = 0; i < kLanes; ++i) {
      lanes.noise[k][i] =
          devices.noise[k][shape.linear(addresses[std::min(i, addresses.size() - 1)])];
    }
  }
}

void PcmChip::Impl::store_noise(std::size_t index, std::size_t lane, const DeviceLanes& lanes) {
  for (std::size_t k = 0; k < kNoiseTerms; ++k) devices.noise[k][index] = lanes.noise[k][lane];
  devices.counter[index] = lanes.counter[lane];
}

void PcmChip::Impl::store_pulse(std::size_t index, std::size_t lane, std::int64_t end_ns,
                                const DeviceLanes& lanes) {
  store_noise(index, lane, lanes);
  if (devices.fault[index] == Fault::None) {
    devices.state[index] = lanes.state[lane];
    devices.set_steps[index] = static_cast<std::uint8_t>(
        std::min(lanes.set_steps[lane], static_cast<float>(kMostSetSteps)));
    devices.drift_exponent[index] = lanes.drift_exponent[lane];
  }
  devices.pulsed_ns[index] = end_ns;
  devices.noise_ns[index] = end_ns;
  ++devices.pulses[index];
}

PcmChip::PcmChip(const PcmParameters& parameters, ArrayShape shape, std::uint64_t seed,
                 unsigned threads)
    : impl_(std::make_unique<Impl>(parameters, shape, seed, threads)) {}
PcmChip::PcmChip(PcmChip&&) noexcept = default;
PcmChip& PcmChip::operator=(PcmChip&&) noexcept = default;
PcmChip::~PcmChip() = default;

void PcmChip::plant(const ChipFaults& faults) {
  const ArrayShape shape = impl_->shape;
  auto& devices = impl_->devices;
  const auto break_device = [&](std::size_t index, Fault fault) {
    devices.fault[index] = fault;
    devices.state[index] = fault == Fault::StuckHigh ? 0.0f : 1.0f;
    if (fault == Fault::Open) devices.set_uS[index] = devices.reset_uS[index] = 0.0f;
  };
  const double low = faults.stuck_low_fraction;
  const double high = low + faults.stuck_high_fraction;
  for (std::size_t index = 0; high > 0 && index < shape.device_count(); ++index) {
    const LaneKey key = lane_key(~faults.seed, static_cast<std::uint32_t>(index));
    const double fate = static_cast<double>(lane_uniform(lane_bits(key, 0)));
    if (fate < high) break_device(index, fate < low ? Fault::StuckLow : Fault::StuckHigh);
  }
  for (const DeviceAddress address : faults.stuck_low) {
    if (shape.contains(address)) break_device(shape.linear(address), Fault::StuckLow);
  }
  for (const DeviceAddress address : faults.stuck_high) {
    if (shape.contains(address)) break_device(shape.linear(address), Fault::StuckHigh);
  }
  const auto open = [&](WordLine word_line, BitLine bit_line) {
    const DeviceAddress address{word_line, bit_line};
    if (shape.contains(address)) break_device(shape.linear(address), Fault::Open);
  };
  for (const WordLine word_line : faults.dead_word_lines) {
    for (std::uint16_t b = 0; b < shape.bit_lines; ++b) open(word_line, BitLine{b});
  }
  for (const BitLine bit_line : faults.dead_bit_lines) {
    for (std::uint16_t w = 0; w < shape.word_lines; ++w) open(WordLine{w}, bit_line);
  }
  impl_->circuit.bits_stuck_at_1 = faults.adc_bits_stuck_at_1;
  impl_->circuit.bits_stuck_at_0 = faults.adc_bits_stuck_at_0;
  impl_->circuit.gain = 1.0f + static_cast<float>(faults.reference_error);
  impl_->reference_drift_per_day = faults.reference_drift_per_day;
}

ArrayShape PcmChip::shape() const { return impl_->shape; }
const PcmParameters& PcmChip::parameters() const { return impl_->physics.parameters; }

Duration PcmChip::read_time(std::uint8_t samples) const {
  return Duration(std::llround(parameters().sample_time_ns * samples));
}
Duration PcmChip::pulse_time(Duration width) const {
  return width + Duration(std::llround(parameters().pulse_overhead_ns));
}

void PcmChip::read(std::span<const DeviceAddress> addresses, std::uint8_t samples,
                   Voltage /*read_voltage*/, BoardTime start, std::span<std::uint16_t> sums) {
  const std::int64_t each_ns = read_time(samples).count();
  const ReadCircuit circuit = impl_->circuit_at(start);
  const auto burst_ns = std::llround(parameters().sample_time_ns * (samples - 1));
  impl_->for_lanes(addresses, [&](std::size_t begin, std::size_t count) {
    LaneArray<std::int64_t> now_ns;
    for (std::size_t i = 0; i < count; ++i) {
      now_ns[i] = start.count() + static_cast<std::int64_t>(begin + i) * each_ns;
    }
    const auto group = addresses.subspan(begin, count);
    DeviceLanes lanes;
    LaneArray<std::uint32_t> code_sums;
    impl_->load(group, now_ns, lanes);
    read_burst(impl_->physics, circuit, samples, lanes, code_sums);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t index = impl_->shape.linear(group[i]);
      impl_->store_noise(index, i, lanes);
      impl_->devices.noise_ns[index] = now_ns[i] + burst_ns;
      sums[begin + i] = static_cast<std::uint16_t>(code_sums[i]);
    }
  });
}

void PcmChip::program(std::span<const DeviceAddress> addresses,
                      std::span<const std::uint16_t> amplitudes_10nA, Duration width,
                      BoardTime start) {
  const std::int64_t each_ns = pulse_time(width).count();
  auto& starts_ns = impl_->starts_ns;
  starts_ns.resize(addresses.size());
  std::int64_t now_ns = start.count();
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    starts_ns[i] = now_ns;
    if (amplitudes_10nA[i] != 0) now_ns += each_ns;
  }
  const auto width_ns = static_cast<float>(width.count());
  impl_->for_lanes(addresses, [&](std::size_t begin, std::size_t count) {
    const auto group = addresses.subspan(begin, count);
    LaneFloat amplitude_uA{};
    for (std::size_t i = 0; i < count; ++i) {
      amplitude_uA[i] = static_cast<float>(amplitudes_10nA[begin + i]) *
                        static_cast<float>(wire::kAmplitudeStep_uA);
    }
    DeviceLanes lanes;
    impl_->load(group, std::span(starts_ns).subspan(begin, count), lanes);
    apply_pulse(impl_->physics, amplitude_uA, width_ns, lanes);
    for (std::size_t i = 0; i < count; ++i) {
      if (amplitudes_10nA[begin + i] == 0) continue;
      impl_->store_pulse(impl_->shape.linear(group[i]), i, starts_ns[begin + i] + width.count(),
                         lanes);
    }
  });
}

void PcmChip::initialise(std::span<const DeviceAddress> addresses,
                         std::span<const wire::Pulse> sequence, BoardTime start) {
  std::int64_t each_ns = 0;
  for (const wire::Pulse& pulse : sequence) {
    if (pulse.amplitude.uA() > 0) each_ns += pulse_time(pulse.width).count();
  }
  impl_->for_lanes(addresses, [&](std::size_t begin, std::size_t count) {
    const auto group = addresses.subspan(begin, count);
    LaneArray<std::int64_t> now_ns;
    for (std::size_t i = 0; i < count; ++i) {
      now_ns[i] = start.count() + static_cast<std::int64_t>(begin + i) * each_ns;
    }
    DeviceLanes lanes;
    // What a pulse does depends on the state alone, so all are computed with the start's time.
    std::int64_t offset_ns = 0;
    for (const wire::Pulse& pulse : sequence) {
      if (pulse.amplitude.uA() <= 0) continue;
      LaneFloat amplitude_uA;
      amplitude_uA.fill(static_cast<float>(pulse.amplitude.uA()));
      impl_->load(group, now_ns, lanes);
      apply_pulse(impl_->physics, amplitude_uA, static_cast<float>(pulse.width.count()), lanes);
      for (std::size_t i = 0; i < count; ++i) {
        impl_->store_pulse(impl_->shape.linear(group[i]), i,
                           now_ns[i] + offset_ns + pulse.width.count(), lanes);
      }
      offset_ns += pulse_time(pulse.width).count();
    }
  });
}

void PcmChip::read_references(std::uint8_t samples, BoardTime start,
                              std::span<std::uint16_t> sums) {
  const ReadCircuit circuit = impl_->circuit_at(start);
  const PcmParameters& p = parameters();
  const LaneKey key = lane_key(impl_->seed, std::numeric_limits<std::uint32_t>::max());
  for (std::size_t r = 0; r < sums.size(); ++r) {
    int sum = 0;
    for (int sample = 0; sample < samples; ++sample) {
      float noise, unused;
      lane_normals(key, impl_->reference_counter, noise, unused);
      impl_->reference_counter += 2;
      const double code = p.references_uS[r] / p.adc_step_uS * static_cast<double>(circuit.gain) +
                          p.adc_offset_lsb + p.adc_noise_lsb * static_cast<double>(noise);
      const auto clean = static_cast<int>(std::clamp(std::floor(code + 0.5), 0.0, 255.0));
      sum += (clean | circuit.bits_stuck_at_1) & ~circuit.bits_stuck_at_0;
    }
    sums[r] = static_cast<std::uint16_t>(sum);
  }
}

std::uint32_t PcmChip::pulses_of(DeviceAddress address) const {
  return impl_->devices.pulses[impl_->shape.linear(address)];
}

std::size_t PcmChip::bytes_per_device() { return kBytesPerDevice; }

}  // namespace pcmlab::mock
