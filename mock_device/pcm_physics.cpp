// SPDX-License-Identifier: Apache-2.0
#include "mock_device/pcm_physics.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace pcmlab::mock {
namespace {

constexpr int kMaxCode = 255;
// Reads and drift are defined from a microsecond after the pulse on.
constexpr float kShortestAge_s = 1e-6f;
// After so many correlation times a noise term is taken as new.
constexpr float kForgotten = 20.0f;
// A noise term stands still within a burst that is so small a part of its correlation time.
constexpr float kStandsStill = 0.05f;
// Shares of the melting range below the first point of a LogCurve are taken as linear.
constexpr float kSmallestShare = 0.00390625f;

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

inline float log2_of(float g_uS) { return lane_log2(clamp(g_uS, 1e-6f, 1e6f)); }

/// A measured table at one place.
double interpolated(std::span<const double> at, std::span<const double> values, double x) {
  const auto next = std::upper_bound(at.begin(), at.end(), x);
  if (next == at.begin()) return values.front();
  if (next == at.end()) return values.back();
  const auto i = static_cast<std::size_t>(next - at.begin());
  return values[i - 1] + (values[i] - values[i - 1]) * (x - at[i - 1]) / (at[i] - at[i - 1]);
}

/// Variance of each decade: ln 10 for 1/f noise, times tau^(beta - 1) for 1/f^beta. Scaled so that
/// what has grown at the reference time is what the published model has then.
void set_noise_terms(const PcmParameters& p, Physics& physics) {
  const double reference_s = p.noise_reference_time_s;
  const double read_s = p.noise_read_time_s;
  const double published = std::log((reference_s + read_s) / (2 * read_s));
  std::array<double, kNoiseTerms> variance{};
  double grown = 0;
  for (std::size_t k = 0; k < kNoiseTerms; ++k) {
    const double tau_s = std::pow(10.0, static_cast<double>(k) - 6.0);
    variance[k] = std::pow(tau_s, p.noise_exponent - 1.0);
    grown += variance[k] * -std::expm1(-2.0 * reference_s / tau_s);
    physics.rate_per_s[k] = static_cast<float>(1.0 / tau_s);
  }
  for (std::size_t k = 0; k < kNoiseTerms; ++k) {
    physics.weight[k] =
        static_cast<float>(std::sqrt(variance[k] * std::max(published, 0.0) / grown));
  }
}

/// The amorphous state that a melting pulse leaves in the mean device.
double melted_state(const ChipModel& model, double share) {
  const MeasuredTable& table = model.melt;
  if (table.empty()) return share;
  const PcmParameters& p = model.parameters;
  const auto share_of = [&p](double amplitude_uA) {
    const double onset = p.melt_onset_uA * p.melt_onset_uA;
    return (amplitude_uA * amplitude_uA - onset) / (p.melt_full_uA * p.melt_full_uA - onset);
  };
  const auto state_of = [&p](double g_uS) {
    const double part =
        (g_uS - p.reset_conductance_uS) / (p.set_conductance_uS - p.reset_conductance_uS);
    return 1.0 - std::pow(std::clamp(part, 0.0, 1.0), 1.0 / p.state_exponent);
  };
  const double first = std::max(share_of(table.at.front()), 1e-9);
  if (share < first) return state_of(table.mean.front()) * share / first;
  const double onset = p.melt_onset_uA * p.melt_onset_uA;
  const double amplitude_uA = std::sqrt(onset + share * (p.melt_full_uA * p.melt_full_uA - onset));
  return state_of(interpolated(table.at, table.mean, amplitude_uA));
}

}  // namespace

Physics::Physics(const ChipModel& model) : parameters(model.parameters) {
  const PcmParameters& p = parameters;
  set_noise_terms(p, *this);
  const auto measured = [](const std::vector<double>& at, const std::vector<double>& values) {
    return [&at, &values](double g_uS) { return interpolated(at, values, g_uS); };
  };
  const auto ln_g = [&p](double g_uS) { return std::log(g_uS / p.reference_conductance_uS); };
  if (model.drift.empty()) {
    drift_mean.fill([&](double g_uS) {
      return std::clamp(p.drift_mean_slope * ln_g(g_uS) + p.drift_mean, p.drift_mean_min,
                        std::max(p.drift_mean_min, p.drift_mean_max));
    });
    drift_spread.fill([&](double g_uS) {
      return std::clamp(p.drift_spread_slope * ln_g(g_uS) + p.drift_spread, p.drift_spread_min,
                        std::max(p.drift_spread_min, p.drift_spread_max));
    });
  } else {
    drift_mean.fill(measured(model.drift.at, model.drift.mean));
    drift_spread.fill(measured(model.drift.at, model.drift.spread));
  }
  if (model.noise.empty()) {
    noise.fill([&](double g_uS) {
      return std::min(p.noise_max, p.noise_amplitude * std::exp(-p.noise_power * ln_g(g_uS)));
    });
  } else {
    noise.fill(measured(model.noise.at, model.noise.mean));
  }
  if (model.set_step.empty()) {
    set_mean.fill([&](double g_uS) { return p.set_mean_slope * g_uS + p.set_mean_uS; });
    set_spread.fill(
        [&](double g_uS) { return std::max(0.0, p.set_spread_slope * g_uS + p.set_spread_uS); });
  } else {
    set_mean.fill(measured(model.set_step.at, model.set_step.mean));
    set_spread.fill(measured(model.set_step.at, model.set_step.spread));
  }
  melted.fill([&](double share) { return melted_state(model, share); });
}

PCM_VECTOR_CLONES
void apply_pulse(const Physics& physics, const LaneFloat& amplitude_uA, float width_ns,
                 DeviceLanes& lanes) {
  const PcmParameters& p = physics.parameters;
  const auto exponent = static_cast<float>(p.state_exponent);
  const auto cycle = static_cast<float>(p.melt_cycle_spread);
  const auto state_noise = static_cast<float>(p.melt_state_noise);
  const float annealed = lane_exp(-width_ns / static_cast<float>(p.quench_time_ns));
  const auto set_onset_uA = static_cast<float>(p.set_onset_uA);

  // Draws of a pulse: 0, 1 the melt; 2 the drift exponent; 3 the crystallisation.
  LaneFloat volume_draw, state_draw, drift_draw, set_draw;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const LaneKey key{lanes.key_a[i], lanes.key_b[i]};
    lane_normals(key, lanes.counter[i], volume_draw[i], state_draw[i]);
    lane_normals(key, lanes.counter[i] + 2, drift_draw[i], set_draw[i]);
    lanes.counter[i] += 4;
  }

  // Conductance after melting.
  LaneFloat log2_share, small_share, melted, melted_uS;
  int crystallising = 0;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const float current = amplitude_uA[i];
    const float onset = lanes.melt_onset_uA[i];
    const float full = lanes.melt_full_uA[i];
    const float share =
        clamp((current * current - onset * onset) / (full * full - onset * onset), 0.0f, 1e6f);
    const float in_range = share < kSmallestShare ? kSmallestShare : share;
    log2_share[i] = lane_log2(in_range);
    small_share[i] = share / in_range;
    crystallising += (current > set_onset_uA && current <= onset) ? 1 : 0;
  }
  physics.melted.look_up(log2_share, melted);
  LaneFloat older, state;
  for (std::size_t i = 0; i < kLanes; ++i) {
    older[i] =
        state_of_conductance(lanes.conductance_uS[i], lanes.set_uS[i], lanes.reset_uS[i], exponent);
  }
  for (std::size_t i = 0; i < kLanes; ++i) {
    const float m = melted[i] * small_share[i];
    const float beyond = older[i] - m;
    state[i] = m * (1.0f + cycle * volume_draw[i]) + state_noise * state_draw[i] +
               (beyond < 0.0f ? 0.0f : beyond) * annealed;
  }
  for (std::size_t i = 0; i < kLanes; ++i) {
    melted_uS[i] = conductance_of_state(state[i], lanes.set_uS[i], lanes.reset_uS[i], exponent);
  }

  // Conductance after the crystallising steps, only where some lane crystallises.
  LaneFloat set_uS = lanes.conductance_uS;
  LaneFloat set_steps = lanes.set_steps;
  LaneFloat log2_g, mean, spread;  // of what is looked up
  if (crystallising > 0) {
    const int steps = std::max(
        1, static_cast<int>(std::lround(width_ns / static_cast<float>(p.set_step_width_ns))));
    const auto share_of_draw =
        static_cast<float>(std::pow(static_cast<double>(steps), p.set_spread_power - 1.0));
    const auto full_uA = static_cast<float>(p.set_full_uA);
    const auto fade = static_cast<float>(1.0 / p.set_memory_steps);
    const auto mean_memory_uS = static_cast<float>(p.set_mean_memory_uS);
    const auto spread_memory_uS = static_cast<float>(p.set_spread_memory_uS);
    LaneFloat scale;
    for (std::size_t i = 0; i < kLanes; ++i) {
      scale[i] = clamp((amplitude_uA[i] - set_onset_uA) / full_uA, 0.0f, 10.0f);
    }
    for (int step = 0; step < steps; ++step) {
      for (std::size_t i = 0; i < kLanes; ++i) log2_g[i] = log2_of(set_uS[i]);
      const float floor_uS = step == 0 ? -1e6f : static_cast<float>(p.set_mean_floor_uS);
      physics.set_mean.look_up(log2_g, mean);
      physics.set_spread.look_up(log2_g, spread);
      for (std::size_t i = 0; i < kLanes; ++i) {
        set_steps[i] += 1.0f;
        const float memory = lane_exp(-fade * set_steps[i]);
        const float g = set_uS[i];
        const float fitted = mean[i] + mean_memory_uS * memory;
        const float floor = floor_uS * (1.0f - g / lanes.set_uS[i]);
        const float mean_uS = fitted < floor ? floor : fitted;
        const float spread_uS = spread[i] + spread_memory_uS * memory;
        const float change = scale[i] * (mean_uS + share_of_draw * spread_uS * set_draw[i]);
        set_uS[i] = clamp(g + change, lanes.reset_uS[i], lanes.set_uS[i]);
      }
    }
  }

  for (std::size_t i = 0; i < kLanes; ++i) {
    const float current = amplitude_uA[i];
    const bool melts = current > lanes.melt_onset_uA[i];
    const bool sets = !melts && current > set_onset_uA;
    const float g = melts ? melted_uS[i] : (sets ? set_uS[i] : lanes.conductance_uS[i]);
    lanes.conductance_uS[i] = g;
    lanes.set_steps[i] = melts ? 0.0f : (sets ? set_steps[i] : lanes.set_steps[i]);
    lanes.melts[i] += melts ? 1u : 0u;
    log2_g[i] = log2_of(g);
  }
  physics.drift_mean.look_up(log2_g, mean);
  physics.drift_spread.look_up(log2_g, spread);
  for (std::size_t i = 0; i < kLanes; ++i) {
    const float nu = mean[i] + spread[i] * drift_draw[i];
    lanes.drift_exponent[i] = nu < 0.0f ? 0.0f : nu;
  }
  for (auto& term : lanes.noise) {
    for (std::size_t i = 0; i < kLanes; ++i) term[i] = 0.0f;
  }
}

PCM_VECTOR_CLONES
void read_burst(const Physics& physics, const ReadCircuit& circuit, DeviceLanes& lanes,
                LaneArray<std::uint32_t>& code_sums) {
  const PcmParameters& p = physics.parameters;
  const int samples = circuit.samples;

  // The noise's way since the last read or pulse: y <- y e^(-dt/tau) + sqrt(1 - e^(-2 dt/tau)) xi.
  float soonest_s = lanes.since_s[0];
  for (const float since_s : lanes.since_s) soonest_s = since_s < soonest_s ? since_s : soonest_s;
  LaneFloat first, second;
  for (std::size_t k = 0; k < kNoiseTerms; ++k) {
    if (k % 2 == 0) {
      for (std::size_t i = 0; i < kLanes; ++i) {
        lane_normals({lanes.key_a[i], lanes.key_b[i]},
                     lanes.counter[i] + static_cast<std::uint32_t>(k), first[i], second[i]);
      }
    }
    const LaneFloat& draw = k % 2 == 0 ? first : second;
    const float rate = physics.rate_per_s[k];
    LaneFloat& term = lanes.noise[k];
    if (soonest_s * rate > kForgotten) {  // so for every lane: nothing is left of what was
      term = draw;
      continue;
    }
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float way = clamp(lanes.since_s[i] * rate, 0.0f, 50.0f);
      const float kept = way > kForgotten ? 0.0f : lane_exp(-way);
      const float fresh =
          way < 0.01f ? 2.0f * way * (1.0f - way * (1.0f - 0.66666667f * way)) : 1.0f - kept * kept;
      term[i] = term[i] * kept + std::sqrt(fresh) * draw[i];
    }
  }
  std::uint32_t used = kNoiseTerms + kNoiseTerms % 2;

  // Conductance without noise; it does not change within a burst. The slow noise neither.
  const float sample_s = static_cast<float>(p.sample_time_ns * 1e-9);
  const float burst_s = sample_s * static_cast<float>(samples - 1);
  std::size_t fast = 0;  // terms that move within the burst
  while (fast < kNoiseTerms && physics.rate_per_s[fast] * burst_s > kStandsStill) ++fast;
  std::array<float, kNoiseTerms> kept{}, fresh{};
  for (std::size_t k = 0; k < fast; ++k) {
    const double way = static_cast<double>(sample_s) * static_cast<double>(physics.rate_per_s[k]);
    kept[k] = static_cast<float>(std::exp(-way));
    fresh[k] = static_cast<float>(std::sqrt(-std::expm1(-2.0 * way)));
  }
  const auto log2_reference_s = static_cast<float>(std::log2(p.drift_reference_time_s));
  LaneFloat drifted_uS, log2_g, noise_scale, slow;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const float g = lanes.conductance_uS[i];
    const float age_s = lanes.age_s[i] < 0.0f ? 0.0f : lanes.age_s[i];
    const float decades = lane_log2(age_s + kShortestAge_s) - log2_reference_s;
    drifted_uS[i] = g * lane_exp2(-lanes.drift_exponent[i] * decades);
    log2_g[i] = log2_of(g);
    slow[i] = 0.0f;
    code_sums[i] = 0;
  }
  physics.noise.look_up(log2_g, noise_scale);
  if (circuit.thermal) {
    const auto reset_eV = static_cast<float>(p.activation_energy_eV);
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float amorphous = clamp(1.0f - lanes.conductance_uS[i] / lanes.set_uS[i], 0.0f, 1.0f);
      drifted_uS[i] *= lane_exp(-reset_eV * amorphous * lanes.thermal_per_eV[i]);
    }
  }
  for (std::size_t k = fast; k < kNoiseTerms; ++k) {
    for (std::size_t i = 0; i < kLanes; ++i) slow[i] += physics.weight[k] * lanes.noise[k][i];
  }

  const auto codes_per_uS = static_cast<float>(1.0 / p.adc_step_uS) * circuit.gain;
  const auto adc_noise = static_cast<float>(p.adc_noise_lsb);
  const std::uint32_t ones = circuit.bits_stuck_at_1;
  const std::uint32_t kept_bits = ~std::uint32_t{circuit.bits_stuck_at_0};
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
      for (std::size_t k = 0; k < fast; ++k) noise += physics.weight[k] * lanes.noise[k][i];
      const float g = drifted_uS[i] * (1.0f + noise_scale[i] * noise);
      const float code = (g < 0.0f ? 0.0f : g) * codes_per_uS + lanes.offset_lsb[i] +
                         adc_noise * conversion[i] + 0.5f;
      const auto clean = static_cast<std::uint32_t>(
          static_cast<std::int32_t>(clamp(code, 0.0f, static_cast<float>(kMaxCode))));
      code_sums[i] += (clean | ones) & kept_bits;
    }
  }
  for (std::size_t i = 0; i < kLanes; ++i) lanes.counter[i] += used;

  if (circuit.disturb_per_sample > 0) {
    const float left = lane_exp(-circuit.disturb_per_sample * static_cast<float>(samples));
    const auto exponent = static_cast<float>(p.state_exponent);
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float state = state_of_conductance(lanes.conductance_uS[i], lanes.set_uS[i],
                                               lanes.reset_uS[i], exponent);
      lanes.conductance_uS[i] =
          conductance_of_state(state * left, lanes.set_uS[i], lanes.reset_uS[i], exponent);
    }
  }
}

}  // namespace pcmlab::mock
