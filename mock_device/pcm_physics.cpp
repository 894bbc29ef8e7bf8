// SPDX-License-Identifier: Apache-2.0
#include "mock_device/pcm_physics.h"

#include <algorithm>
#include <cmath>

namespace pcmlab::mock {
namespace {

constexpr int kMaxCode = 255;
// Reads and drift are defined from a microsecond after the pulse on.
constexpr float kShortestAge_s = 1e-6f;

inline float clamp(float value, float low, float high) {
  return value < low ? low : (value > high ? high : value);
}

inline float conductance_of_state(float state, float set_uS, float reset_uS, float exponent) {
  const float filled = clamp(1.0f - state, 1e-12f, 1.0f);
  return reset_uS + (set_uS - reset_uS) * lane_pow(filled, exponent);
}

inline float state_of_conductance(float g_uS, float set_uS, float reset_uS, float exponent) {
  const float part = clamp((g_uS - reset_uS) / (set_uS - reset_uS), 1e-12f, 1.0f);
  return 1.0f - lane_pow(part, 1.0f / exponent);
}

}  // namespace

PhysicsConstants::PhysicsConstants(const PcmParameters& p) : parameters(p) {
  // Variance of each decade: ln 10 for 1/f noise, times tau^(beta - 1) for 1/f^beta. Scaled so that
  // the sum over the decades up to the reference time is that of 1/f noise.
  constexpr double kReadTime_s = 250e-9;  // t_r of the published model
  const double reference_s = p.noise_reference_time_s;
  const double published = std::log((reference_s + kReadTime_s) / (2 * kReadTime_s));
  std::array<double, kNoiseTerms> variance{};
  double grown = 0;
  for (std::size_t k = 0; k < kNoiseTerms; ++k) {
    const double tau_s = std::pow(10.0, static_cast<double>(k) - 6.0);
    variance[k] = std::pow(tau_s, p.noise_exponent - 1.0);
    grown += variance[k] * (1.0 - std::exp(-2.0 * reference_s / tau_s));
    rate_per_s[k] = static_cast<float>(1.0 / tau_s);
  }
  for (std::size_t k = 0; k < kNoiseTerms; ++k) {
    weight[k] = static_cast<float>(std::sqrt(variance[k] * published / grown));
  }
}

PCM_VECTOR_CLONES
void apply_pulse(const PhysicsConstants& constants, const LaneFloat& amplitude_uA, float width_ns,
                 DeviceLanes& lanes) {
  const PcmParameters& p = constants.parameters;
  const auto exponent = static_cast<float>(p.state_exponent);
  const auto cycle = static_cast<float>(p.melt_cycle_spread);
  const auto state_noise = static_cast<float>(p.melt_state_noise);
  const float annealed = lane_exp(-width_ns / static_cast<float>(p.quench_time_ns));
  const auto onset_uA = static_cast<float>(p.set_onset_uA);
  const int steps = std::max(
      1, static_cast<int>(std::lround(width_ns / static_cast<float>(p.set_step_width_ns))));

  // Draws of a pulse: 0, 1 the melt; 2, 3 the drift exponent; from 4 on two for two steps.
  LaneFloat melted, set_uS;
  LaneFloat drift_draw;
  int crystallising = 0;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const LaneKey key{lanes.key_a[i], lanes.key_b[i]};
    float volume_draw, state_draw, unused;
    lane_normals(key, lanes.counter[i], volume_draw, state_draw);
    lane_normals(key, lanes.counter[i] + 2, drift_draw[i], unused);
    const float current = amplitude_uA[i];
    const float onset = lanes.melt_onset_uA[i];
    const float full = lanes.melt_full_uA[i];
    const float share = (current * current - onset * onset) / (full * full - onset * onset);
    const float m = share < 0.0f ? 0.0f : share;
    const float older = lanes.state[i] - m;
    const float x = m * (1.0f + cycle * volume_draw) + state_noise * state_draw +
                    (older < 0.0f ? 0.0f : older) * annealed;
    melted[i] = clamp(x, 0.0f, 1.0f);
    crystallising += (current > onset_uA && current <= onset) ? 1 : 0;
  }

  // Conductance after the crystallising steps, only where some lane crystallises.
  for (std::size_t i = 0; i < kLanes; ++i) {
    set_uS[i] = conductance_of_state(lanes.state[i], lanes.set_uS[i], lanes.reset_uS[i], exponent);
  }
  LaneFloat set_steps = lanes.set_steps;
  if (crystallising > 0) {
    const auto taper_uA = static_cast<float>(p.set_taper_uA);
    const auto fade = static_cast<float>(1.0 / p.set_memory_steps);
    const auto mean_slope = static_cast<float>(p.set_mean_slope);
    const auto mean_uS = static_cast<float>(p.set_mean_uS);
    const auto mean_memory_uS = static_cast<float>(p.set_mean_memory_uS);
    const auto mean_floor_uS = static_cast<float>(p.set_mean_floor_uS);
    const auto spread_slope = static_cast<float>(p.set_spread_slope);
    const auto spread_uS = static_cast<float>(p.set_spread_uS);
    const auto spread_memory_uS = static_cast<float>(p.set_spread_memory_uS);
    const auto spread_scale = static_cast<float>(p.set_spread_scale);
    const auto negative = static_cast<float>(p.set_negative_scale);
    const auto full_uA = static_cast<float>(p.set_full_uA);
    LaneFloat first, second;
    for (int step = 0; step < steps; ++step) {
      if (step % 2 == 0) {
        for (std::size_t i = 0; i < kLanes; ++i) {
          lane_normals({lanes.key_a[i], lanes.key_b[i]},
                       lanes.counter[i] + 4 + static_cast<std::uint32_t>(step), first[i],
                       second[i]);
        }
      }
      const LaneFloat& draw = step % 2 == 0 ? first : second;
      for (std::size_t i = 0; i < kLanes; ++i) {
        const float current = amplitude_uA[i];
        const float room = lanes.melt_onset_uA[i] - taper_uA;
        const float taper = clamp((lanes.melt_onset_uA[i] - current) / (room < 1 ? 1 : room), 0, 1);
        const float scale = clamp((current - onset_uA) / full_uA, 0.0f, 10.0f) * taper;
        set_steps[i] += 1.0f;
        const float memory = lane_exp(-fade * set_steps[i]);
        const float g = set_uS[i];
        const float fitted = mean_slope * g + mean_uS + mean_memory_uS * memory;
        const float floor = mean_floor_uS * (1.0f - g / lanes.set_uS[i]);
        const float mean = fitted < floor ? floor : fitted;
        const float spread = spread_slope * g + spread_uS + spread_memory_uS * memory;
        const float change = scale * (mean + spread_scale * spread * draw[i]);
        const float next = g + (change < 0.0f ? negative * change : change);
        set_uS[i] = clamp(next, lanes.reset_uS[i], lanes.set_uS[i]);
      }
    }
  }

  const auto reference_uS = static_cast<float>(p.reference_conductance_uS);
  const auto mean_slope = static_cast<float>(p.drift_mean_slope);
  const auto mean_at_one = static_cast<float>(p.drift_mean);
  const auto mean_min = static_cast<float>(p.drift_mean_min);
  const auto mean_max = static_cast<float>(p.drift_mean_max);
  const auto spread_slope = static_cast<float>(p.drift_spread_slope);
  const auto spread_at_one = static_cast<float>(p.drift_spread);
  const auto spread_min = static_cast<float>(p.drift_spread_min);
  const auto spread_max = static_cast<float>(p.drift_spread_max);
  for (std::size_t i = 0; i < kLanes; ++i) {
    const float current = amplitude_uA[i];
    const bool melts = current > lanes.melt_onset_uA[i];
    const bool sets = !melts && current > onset_uA;
    const float set_state =
        state_of_conductance(set_uS[i], lanes.set_uS[i], lanes.reset_uS[i], exponent);
    lanes.state[i] = melts ? melted[i] : (sets ? set_state : lanes.state[i]);
    lanes.set_steps[i] = melts ? 0.0f : (sets ? set_steps[i] : lanes.set_steps[i]);
    const float g =
        conductance_of_state(lanes.state[i], lanes.set_uS[i], lanes.reset_uS[i], exponent);
    const float ln_g = lane_log2(clamp(g / reference_uS, 1e-7f, 1e7f)) * 0.69314718056f;
    const float mean = clamp(mean_slope * ln_g + mean_at_one, mean_min, mean_max);
    const float spread = clamp(spread_slope * ln_g + spread_at_one, spread_min, spread_max);
    const float nu = mean + spread * drift_draw[i];
    lanes.drift_exponent[i] = nu < 0.0f ? 0.0f : nu;
    lanes.counter[i] += 4 + static_cast<std::uint32_t>(steps + steps % 2);
  }
  for (auto& term : lanes.noise) {
    for (std::size_t i = 0; i < kLanes; ++i) term[i] = 0.0f;
  }
}

PCM_VECTOR_CLONES
void read_burst(const PhysicsConstants& constants, const ReadCircuit& circuit, int samples,
                DeviceLanes& lanes, LaneArray<std::uint32_t>& code_sums) {
  const PcmParameters& p = constants.parameters;

  // The noise's way since the last read or pulse: y <- y e^(-dt/tau) + sqrt(1 - e^(-2 dt/tau)) xi.
  LaneFloat first, second;
  for (std::size_t k = 0; k < kNoiseTerms; ++k) {
    if (k % 2 == 0) {
      for (std::size_t i = 0; i < kLanes; ++i) {
        lane_normals({lanes.key_a[i], lanes.key_b[i]},
                     lanes.counter[i] + static_cast<std::uint32_t>(k), first[i], second[i]);
      }
    }
    const LaneFloat& draw = k % 2 == 0 ? first : second;
    const float rate = constants.rate_per_s[k];
    LaneFloat& term = lanes.noise[k];
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float way = clamp(lanes.since_s[i] * rate, 0.0f, 50.0f);
      const float kept = lane_exp(-way);
      const float fresh =
          way < 0.01f ? 2.0f * way * (1.0f - way * (1.0f - 0.66666667f * way)) : 1.0f - kept * kept;
      term[i] = term[i] * kept + std::sqrt(fresh) * draw[i];
    }
  }
  std::uint32_t used = kNoiseTerms + kNoiseTerms % 2;

  // Conductance without noise; it does not change within a burst. The slow noise neither.
  const auto exponent = static_cast<float>(p.state_exponent);
  const auto reference_uS = static_cast<float>(p.reference_conductance_uS);
  const auto noise_amplitude = static_cast<float>(p.noise_amplitude);
  const auto noise_power = static_cast<float>(p.noise_power);
  const auto noise_max = static_cast<float>(p.noise_max);
  const float sample_s = static_cast<float>(p.sample_time_ns * 1e-9);
  const float burst_s = sample_s * static_cast<float>(samples - 1);
  std::size_t fast = 0;  // terms that move within the burst: correlation time below 1000 bursts
  while (fast < kNoiseTerms && constants.rate_per_s[fast] * burst_s > 1e-3f) ++fast;
  std::array<float, kNoiseTerms> kept{}, fresh{};
  for (std::size_t k = 0; k < fast; ++k) {
    const double way = static_cast<double>(sample_s) * static_cast<double>(constants.rate_per_s[k]);
    kept[k] = static_cast<float>(std::exp(-way));
    fresh[k] = static_cast<float>(std::sqrt(-std::expm1(-2.0 * way)));
  }
  LaneFloat drifted_uS, noise_scale, slow;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const float g =
        conductance_of_state(lanes.state[i], lanes.set_uS[i], lanes.reset_uS[i], exponent);
    const float age_s = lanes.age_s[i] < 0.0f ? 0.0f : lanes.age_s[i];
    drifted_uS[i] = g * lane_pow(age_s + kShortestAge_s, -lanes.drift_exponent[i]);
    const float q = noise_amplitude * lane_pow(clamp(g / reference_uS, 1e-7f, 1e7f), -noise_power);
    noise_scale[i] = q > noise_max ? noise_max : q;
    slow[i] = 0.0f;
    code_sums[i] = 0;
  }
  for (std::size_t k = fast; k < kNoiseTerms; ++k) {
    for (std::size_t i = 0; i < kLanes; ++i) slow[i] += constants.weight[k] * lanes.noise[k][i];
  }

  const auto codes_per_uS = static_cast<float>(1.0 / p.adc_step_uS) * circuit.gain;
  const std::uint32_t ones = circuit.bits_stuck_at_1;
  const std::uint32_t kept_bits = ~std::uint32_t{circuit.bits_stuck_at_0};
  const auto adc_noise = static_cast<float>(p.adc_noise_lsb);
  const auto adc_offset = static_cast<float>(p.adc_offset_lsb);
  LaneFloat white, spare;
  for (int sample = 0; sample < samples; ++sample) {
    if (sample > 0) {
      for (std::size_t k = 0; k < fast; ++k) {
        if (k % 2 == 0) {
          for (std::size_t i = 0; i < kLanes; ++i) {
            lane_normals({lanes.key_a[i], lanes.key_b[i]},
                         lanes.counter[i] + used + static_cast<std::uint32_t>(k), first[i],
                         second[i]);
          }
        }
        const LaneFloat& draw = k % 2 == 0 ? first : second;
        LaneFloat& term = lanes.noise[k];
        for (std::size_t i = 0; i < kLanes; ++i) term[i] = term[i] * kept[k] + fresh[k] * draw[i];
      }
      used += static_cast<std::uint32_t>(fast + fast % 2);
    }
    if (sample % 2 == 0) {
      for (std::size_t i = 0; i < kLanes; ++i) {
        lane_normals({lanes.key_a[i], lanes.key_b[i]}, lanes.counter[i] + used, white[i], spare[i]);
      }
      used += 2;
    }
    const LaneFloat& conversion = sample % 2 == 0 ? white : spare;
    for (std::size_t i = 0; i < kLanes; ++i) {
      float noise = slow[i];
      for (std::size_t k = 0; k < fast; ++k) noise += constants.weight[k] * lanes.noise[k][i];
      const float g = drifted_uS[i] * (1.0f + noise_scale[i] * noise);
      const float code =
          (g < 0.0f ? 0.0f : g) * codes_per_uS + adc_offset + adc_noise * conversion[i] + 0.5f;
      const auto clean = static_cast<std::uint32_t>(
          static_cast<std::int32_t>(clamp(code, 0.0f, static_cast<float>(kMaxCode))));
      code_sums[i] += (clean | ones) & kept_bits;
    }
  }
  for (std::size_t i = 0; i < kLanes; ++i) lanes.counter[i] += used;
}

}  // namespace pcmlab::mock
