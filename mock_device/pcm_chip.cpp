// SPDX-License-Identifier: Apache-2.0
#include "mock_device/pcm_chip.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "mock_device/device_state.h"
#include "mock_device/pcm_physics.h"
#include "mock_device/spatial_pattern.h"
#include "mock_device/worker_pool.h"

namespace pcmlab::mock {
namespace {

constexpr double kBoltzmann_eV_per_K = 8.617333e-5;
constexpr std::uint8_t kMostSetSteps = 255;  // the memory has long faded

// What makes a device what it is comes from its first draws; pulses and reads go on behind them.
enum Draw : std::uint32_t { kRange = 0, kMelt = 2, kDrift = 4, kFate = 6, kWear = 8, kEvents = 16 };

// Keys of what is not a device.
enum class Stream : std::uint32_t {
  References = 0xffffffff,
  BitLine = 0xfffe0000,
  WordLine = 0xfffd0000,
  Pattern = 0xfffc0000
};
LaneKey stream_key(std::uint64_t seed, Stream stream, std::uint32_t index = 0) {
  return lane_key(~seed, static_cast<std::uint32_t>(stream) + index);
}

}  // namespace

struct PcmChip::Impl {
  Impl(const ChipModel& model, ArrayShape array_shape, std::uint64_t chip_seed, unsigned threads);

  void make_device(std::size_t index, const SpatialPattern& set, const SpatialPattern& melt);
  void break_device(std::size_t index, Fault fault);
  void open_lines(std::span<const WordLine> word_lines, std::span<const BitLine> bit_lines);
  LaneKey key_of(std::size_t index) const {
    return lane_key(seed, static_cast<std::uint32_t>(index));
  }
  bool has_repeats(std::span<const DeviceAddress> addresses);
  void for_lanes(std::span<const DeviceAddress> addresses,
                 const std::function<void(std::size_t begin, std::size_t count)>& work);

  ReadCircuit circuit_at(BoardTime time, std::uint8_t samples, Voltage read_voltage) const;
  float thermal_shift(std::int64_t now_ns) const;
  /// Set and RESET conductance of a device as wear has left them.
  std::pair<float, float> range_uS(std::size_t index) const;
  double wear(std::size_t index, bool& ends_high) const;

  void load_for_read(std::span<const DeviceAddress> addresses, std::span<const std::int64_t> now_ns,
                     bool with_range, DeviceLanes& lanes) const;
  void load_for_pulse(std::span<const DeviceAddress> addresses, DeviceLanes& lanes) const;
  void store_pulse(std::size_t index, std::size_t lane, std::int64_t end_ns,
                   const DeviceLanes& lanes);

  Physics physics;
  ArrayShape shape;
  std::uint64_t seed;
  DeviceState devices;
  std::vector<float> bit_line_offset_lsb;
  std::uint32_t wear_from;  // melting pulses below which no device shows wear
  TemperatureProfile temperature;
  bool thermal = false;  // whether the temperature is ever another than the reference
  ReadCircuit faulty_circuit;
  double reference_drift_per_day = 0;
  WorkerPool pool;
  std::vector<std::uint64_t> seen;  // scratch of has_repeats, one bit a device
  std::vector<std::int64_t> starts_ns;
  std::uint32_t reference_counter = 0;
};

// ---- making and breaking -----------------------------------------------------------------------

PcmChip::Impl::Impl(const ChipModel& model, ArrayShape array_shape, std::uint64_t chip_seed,
                    unsigned threads)
    : physics(model),
      shape(array_shape),
      seed(chip_seed),
      devices(array_shape.device_count()),
      pool(threads) {
  const PcmParameters& p = physics.parameters;
  // Four sigma below the median, and a thousandth of the range.
  const double soonest =
      p.endurance_cycles * std::exp(-4 * p.endurance_spread) * std::pow(1e-3, 1.0 / p.wear_power);
  wear_from = static_cast<std::uint32_t>(std::clamp(soonest, 0.0, 4e9));

  const SpatialPattern set(shape, stream_key(seed, Stream::Pattern, 0));
  const SpatialPattern melt(shape, stream_key(seed, Stream::Pattern, 1));
  pool.run(shape.device_count(), [&](std::size_t begin, std::size_t end) {
    for (std::size_t index = begin; index < end; ++index) make_device(index, set, melt);
  });

  const auto is_bad = [this](Stream stream, std::uint32_t line, double fraction) {
    const LaneKey key = stream_key(seed, stream, line);
    return static_cast<double>(lane_uniform(lane_bits(key, 2))) < fraction;
  };
  std::vector<WordLine> bad_word_lines;
  std::vector<BitLine> bad_bit_lines;
  for (std::uint16_t w = 0; w < shape.word_lines; ++w) {
    if (is_bad(Stream::WordLine, w, p.bad_word_line_fraction)) bad_word_lines.push_back({w});
  }
  for (std::uint16_t b = 0; b < shape.bit_lines; ++b) {
    if (is_bad(Stream::BitLine, b, p.bad_bit_line_fraction)) bad_bit_lines.push_back({b});
    bit_line_offset_lsb.push_back(static_cast<float>(p.adc_offset_lsb) +
                                  static_cast<float>(p.bit_line_offset_lsb) *
                                      lane_normal(stream_key(seed, Stream::BitLine, b)));
  }
  open_lines(bad_word_lines, bad_bit_lines);
}

/// A device fresh from the fab: fully RESET at time zero.
void PcmChip::Impl::make_device(std::size_t index, const SpatialPattern& set,
                                const SpatialPattern& melt) {
  const PcmParameters& p = physics.parameters;
  const LaneKey key = key_of(index);
  const DeviceAddress address = shape.at(index);
  float set_draw, reset_draw, onset_draw, full_draw;
  lane_normals(key, kRange, set_draw, reset_draw);
  lane_normals(key, kMelt, onset_draw, full_draw);
  const double set_here = p.spatial_spread * static_cast<double>(set.at(address));
  const double melt_here = p.spatial_spread * static_cast<double>(melt.at(address));
  devices.set_uS[index] =
      store_deviation(p.set_conductance_spread * static_cast<double>(set_draw) + set_here);
  devices.reset_uS[index] =
      store_deviation(p.reset_conductance_spread * static_cast<double>(reset_draw));
  devices.melt_onset[index] =
      store_deviation(p.melt_current_spread * static_cast<double>(onset_draw) + melt_here);
  devices.melt_full[index] =
      store_deviation(p.melt_current_spread * static_cast<double>(full_draw) + melt_here);
  devices.drift_exponent[index] = static_cast<float>(std::clamp(
      p.drift_mean_max + p.drift_spread_max * static_cast<double>(lane_normal(key, kDrift)), 0.0,
      1.0));
  devices.counter[index] = kEvents;
  devices.conductance_uS[index] = range_uS(index).second;

  const double fate = static_cast<double>(lane_uniform(lane_bits(key, kFate)));
  const double low = p.stuck_low_fraction;
  const double high = low + p.stuck_high_fraction;
  if (fate < low) {
    break_device(index, Fault::StuckLow);
  } else if (fate < high) {
    break_device(index, Fault::StuckHigh);
  } else if (fate < high + p.limited_range_fraction) {
    devices.fault[index] = Fault::LimitedRange;
  }
}

void PcmChip::Impl::break_device(std::size_t index, Fault fault) {
  const auto [set_uS, reset_uS] = range_uS(index);
  devices.fault[index] = fault;
  devices.conductance_uS[index] =
      fault == Fault::Open ? 0.0f : (fault == Fault::StuckHigh ? set_uS : reset_uS);
}

void PcmChip::Impl::open_lines(std::span<const WordLine> word_lines,
                               std::span<const BitLine> bit_lines) {
  for (const WordLine word_line : word_lines) {
    if (word_line.index >= shape.word_lines) continue;
    for (std::uint16_t b = 0; b < shape.bit_lines; ++b) {
      break_device(shape.linear({word_line, BitLine{b}}), Fault::Open);
    }
  }
  for (const BitLine bit_line : bit_lines) {
    if (bit_line.index >= shape.bit_lines) continue;
    for (std::uint16_t w = 0; w < shape.word_lines; ++w) {
      break_device(shape.linear({WordLine{w}, bit_line}), Fault::Open);
    }
  }
}

void PcmChip::plant(const ChipFaults& faults) {
  const double low = faults.stuck_low_fraction;
  const double high = low + faults.stuck_high_fraction;
  for (std::size_t index = 0; high > 0 && index < shape().device_count(); ++index) {
    const LaneKey key = lane_key(~faults.seed, static_cast<std::uint32_t>(index));
    const double fate = static_cast<double>(lane_uniform(lane_bits(key, 0)));
    if (fate < high) impl_->break_device(index, fate < low ? Fault::StuckLow : Fault::StuckHigh);
  }
  for (const DeviceAddress address : faults.stuck_low) {
    if (shape().contains(address)) impl_->break_device(shape().linear(address), Fault::StuckLow);
  }
  for (const DeviceAddress address : faults.stuck_high) {
    if (shape().contains(address)) impl_->break_device(shape().linear(address), Fault::StuckHigh);
  }
  impl_->open_lines(faults.dead_word_lines, faults.dead_bit_lines);
  impl_->faulty_circuit.bits_stuck_at_1 = faults.adc_bits_stuck_at_1;
  impl_->faulty_circuit.bits_stuck_at_0 = faults.adc_bits_stuck_at_0;
  impl_->faulty_circuit.gain = 1.0f + static_cast<float>(faults.reference_error);
  impl_->reference_drift_per_day = faults.reference_drift_per_day;
}

void PcmChip::set_temperature(TemperatureProfile profile) {
  impl_->temperature = std::move(profile);
  impl_->thermal = !impl_->temperature.is_constant() ||
                   impl_->temperature.kelvin_at(0) != parameters().reference_temperature_K;
}

// ---- circumstances -----------------------------------------------------------------------------

ReadCircuit PcmChip::Impl::circuit_at(BoardTime time, std::uint8_t samples,
                                      Voltage read_voltage) const {
  const PcmParameters& p = physics.parameters;
  ReadCircuit circuit = faulty_circuit;
  circuit.samples = samples;
  circuit.gain += static_cast<float>(reference_drift_per_day * seconds(time) / 86400.0);
  circuit.thermal = thermal;
  const double above_V = (read_voltage.mV() - p.disturb_onset_mV) * 1e-3;
  circuit.disturb_per_sample = static_cast<float>(std::max(0.0, above_V) * p.disturb_per_V);
  return circuit;
}

float PcmChip::Impl::thermal_shift(std::int64_t now_ns) const {
  const double t_K = temperature.kelvin_at(static_cast<double>(now_ns) * 1e-9);
  return static_cast<float>((1.0 / t_K - 1.0 / physics.parameters.reference_temperature_K) /
                            kBoltzmann_eV_per_K);
}

double PcmChip::Impl::wear(std::size_t index, bool& ends_high) const {
  const PcmParameters& p = physics.parameters;
  const LaneKey key = key_of(index);
  const double endurance =
      p.endurance_cycles *
      std::exp(p.endurance_spread * static_cast<double>(lane_normal(key, kWear)));
  ends_high =
      static_cast<double>(lane_uniform(lane_bits(key, kWear + 2))) < p.wear_stuck_high_share;
  return std::min(1.0, std::pow(devices.melts[index] / endurance, p.wear_power));
}

std::pair<float, float> PcmChip::Impl::range_uS(std::size_t index) const {
  const PcmParameters& p = physics.parameters;
  float set_uS =
      static_cast<float>(p.set_conductance_uS) * lane_exp(load_deviation(devices.set_uS[index]));
  float reset_uS = static_cast<float>(p.reset_conductance_uS) *
                   lane_exp(load_deviation(devices.reset_uS[index]));
  if (devices.fault[index] == Fault::LimitedRange) {
    set_uS *= static_cast<float>(p.limited_range_factor);
  }
  set_uS = std::max(set_uS, reset_uS + 0.01f);
  if (devices.melts[index] > wear_from) {
    bool ends_high = false;
    const auto lost = static_cast<float>(wear(index, ends_high)) * (set_uS - reset_uS - 0.01f);
    (ends_high ? reset_uS : set_uS) += ends_high ? lost : -lost;
  }
  return {set_uS, reset_uS};
}

// ---- kernels' loads and stores -----------------------------------------------------------------

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

// Lanes beyond the list repeat its last device; what they compute is dropped.

void PcmChip::Impl::load_for_read(std::span<const DeviceAddress> addresses,
                                  std::span<const std::int64_t> now_ns, bool with_range,
                                  DeviceLanes& lanes) const {
  LaneArray<std::size_t> indices;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const std::size_t from = std::min(i, addresses.size() - 1);
    const std::size_t index = shape.linear(addresses[from]);
    indices[i] = index;
    const LaneKey key = key_of(index);
    lanes.key_a[i] = key.a;
    lanes.key_b[i] = key.b;
    lanes.counter[i] = devices.counter[index];
    lanes.conductance_uS[i] = devices.conductance_uS[index];
    lanes.drift_exponent[i] = devices.drift_exponent[index];
    lanes.age_s[i] =
        static_cast<float>(static_cast<double>(now_ns[from] - devices.pulsed_ns[index]) * 1e-9);
    lanes.since_s[i] =
        static_cast<float>(static_cast<double>(now_ns[from] - devices.noise_ns[index]) * 1e-9);
    lanes.offset_lsb[i] = bit_line_offset_lsb[addresses[from].bit_line.index];
  }
  for (std::size_t k = 0; k < kNoiseTerms; ++k) {
    const float* term = devices.noise[k].data();
    for (std::size_t i = 0; i < kLanes; ++i) lanes.noise[k][i] = term[indices[i]];
  }
  if (!with_range) return;
  for (std::size_t i = 0; i < kLanes; ++i) {
    std::tie(lanes.set_uS[i], lanes.reset_uS[i]) = range_uS(indices[i]);
    lanes.thermal_per_eV[i] = thermal_shift(now_ns[std::min(i, addresses.size() - 1)]);
  }
}

void PcmChip::Impl::load_for_pulse(std::span<const DeviceAddress> addresses,
                                   DeviceLanes& lanes) const {
  const PcmParameters& p = physics.parameters;
  const auto onset_uA = static_cast<float>(p.melt_onset_uA);
  const auto full_uA = static_cast<float>(p.melt_full_uA);
  for (std::size_t i = 0; i < kLanes; ++i) {
    const std::size_t index = shape.linear(addresses[std::min(i, addresses.size() - 1)]);
    const LaneKey key = key_of(index);
    lanes.key_a[i] = key.a;
    lanes.key_b[i] = key.b;
    lanes.counter[i] = devices.counter[index];
    std::tie(lanes.set_uS[i], lanes.reset_uS[i]) = range_uS(index);
    lanes.melt_onset_uA[i] = onset_uA * (1.0f + load_deviation(devices.melt_onset[index]));
    lanes.melt_full_uA[i] = std::max(full_uA * (1.0f + load_deviation(devices.melt_full[index])),
                                     lanes.melt_onset_uA[i] + 1.0f);
    lanes.conductance_uS[i] = devices.conductance_uS[index];
    lanes.set_steps[i] = static_cast<float>(devices.set_steps[index]);
    lanes.melts[i] = devices.melts[index];
  }
}

void PcmChip::Impl::store_pulse(std::size_t index, std::size_t lane, std::int64_t end_ns,
                                const DeviceLanes& lanes) {
  for (auto& term : devices.noise) term[index] = 0.0f;
  devices.counter[index] = lanes.counter[lane];
  devices.pulsed_ns[index] = end_ns;
  devices.noise_ns[index] = end_ns;
  ++devices.pulses[index];
  if (ignores_pulses(devices.fault[index])) return;
  devices.conductance_uS[index] = lanes.conductance_uS[lane];
  devices.set_steps[index] =
      static_cast<std::uint8_t>(std::min(lanes.set_steps[lane], static_cast<float>(kMostSetSteps)));
  devices.drift_exponent[index] = lanes.drift_exponent[lane];
  devices.melts[index] = lanes.melts[lane];
  if (devices.melts[index] <= wear_from) return;
  bool ends_high = false;
  if (wear(index, ends_high) >= 1.0) {
    break_device(index, ends_high ? Fault::StuckHigh : Fault::StuckLow);
  }
}

// ---- the chip ----------------------------------------------------------------------------------

PcmChip::PcmChip(const ChipModel& model, ArrayShape shape, std::uint64_t seed, unsigned threads)
    : impl_(std::make_unique<Impl>(model, shape, seed, threads)) {}
PcmChip::PcmChip(const PcmParameters& parameters, ArrayShape shape, std::uint64_t seed,
                 unsigned threads)
    : PcmChip(
          [&parameters] {
            ChipModel model;
            model.parameters = parameters;
            return model;
          }(),
          shape, seed, threads) {}
PcmChip::PcmChip(PcmChip&&) noexcept = default;
PcmChip& PcmChip::operator=(PcmChip&&) noexcept = default;
PcmChip::~PcmChip() = default;

ArrayShape PcmChip::shape() const { return impl_->shape; }
const PcmParameters& PcmChip::parameters() const { return impl_->physics.parameters; }

const TemperatureProfile& PcmChip::temperature() const { return impl_->temperature; }
Temperature PcmChip::temperature_at(BoardTime time) const {
  return Temperature::from_K(impl_->temperature.kelvin_at(seconds(time)));
}

Duration PcmChip::read_time(std::uint8_t samples) const {
  return Duration(std::llround(parameters().sample_time_ns * samples));
}
Duration PcmChip::pulse_time(Duration width) const {
  return width + Duration(std::llround(parameters().pulse_overhead_ns));
}

void PcmChip::read(std::span<const DeviceAddress> addresses, std::uint8_t samples,
                   Voltage read_voltage, BoardTime start, std::span<std::uint16_t> sums) {
  const std::int64_t each_ns = read_time(samples).count();
  const auto burst_ns = std::llround(parameters().sample_time_ns * (samples - 1));
  const ReadCircuit circuit = impl_->circuit_at(start, samples, read_voltage);
  const bool disturbs = circuit.disturb_per_sample > 0;
  impl_->for_lanes(addresses, [&](std::size_t begin, std::size_t count) {
    LaneArray<std::int64_t> now_ns;
    for (std::size_t i = 0; i < count; ++i) {
      now_ns[i] = start.count() + static_cast<std::int64_t>(begin + i) * each_ns;
    }
    const auto group = addresses.subspan(begin, count);
    DeviceLanes lanes;
    LaneArray<std::uint32_t> code_sums;
    impl_->load_for_read(group, now_ns, circuit.thermal || disturbs, lanes);
    read_burst(impl_->physics, circuit, lanes, code_sums);
    auto& devices = impl_->devices;
    LaneArray<std::size_t> indices;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t index = impl_->shape.linear(group[i]);
      indices[i] = index;
      devices.counter[index] = lanes.counter[i];
      devices.noise_ns[index] = now_ns[i] + burst_ns;
      sums[begin + i] = static_cast<std::uint16_t>(code_sums[i]);
      if (disturbs && !ignores_pulses(devices.fault[index])) {
        devices.conductance_uS[index] = lanes.conductance_uS[i];
      }
    }
    for (std::size_t k = 0; k < kNoiseTerms; ++k) {
      float* term = devices.noise[k].data();
      for (std::size_t i = 0; i < count; ++i) term[indices[i]] = lanes.noise[k][i];
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
    impl_->load_for_pulse(group, lanes);
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
    DeviceLanes lanes;
    std::int64_t offset_ns = start.count() + static_cast<std::int64_t>(begin) * each_ns;
    for (const wire::Pulse& pulse : sequence) {
      if (pulse.amplitude.uA() <= 0) continue;
      LaneFloat amplitude_uA;
      amplitude_uA.fill(static_cast<float>(pulse.amplitude.uA()));
      impl_->load_for_pulse(group, lanes);
      apply_pulse(impl_->physics, amplitude_uA, static_cast<float>(pulse.width.count()), lanes);
      for (std::size_t i = 0; i < count; ++i) {
        const std::int64_t end_ns =
            offset_ns + static_cast<std::int64_t>(i) * each_ns + pulse.width.count();
        impl_->store_pulse(impl_->shape.linear(group[i]), i, end_ns, lanes);
      }
      offset_ns += pulse_time(pulse.width).count();
    }
  });
}

void PcmChip::read_references(std::uint8_t samples, BoardTime start,
                              std::span<std::uint16_t> sums) {
  const PcmParameters& p = parameters();
  const auto references_uS = p.references_uS();
  const ReadCircuit circuit = impl_->circuit_at(start, samples, Voltage());
  const LaneKey key = stream_key(impl_->seed, Stream::References);
  for (std::size_t r = 0; r < sums.size(); ++r) {
    int sum = 0;
    for (int sample = 0; sample < samples; ++sample) {
      const double noise = static_cast<double>(lane_normal(key, impl_->reference_counter));
      impl_->reference_counter += 2;
      const double code = references_uS[r] / p.adc_step_uS * static_cast<double>(circuit.gain) +
                          p.adc_offset_lsb + p.adc_noise_lsb * noise;
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
