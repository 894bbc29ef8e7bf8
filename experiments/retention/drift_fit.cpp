// SPDX-License-Identifier: Apache-2.0
#include "experiments/retention/drift_fit.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

#include "experiments/network/share_jobs.h"

namespace pcmlab {
namespace {

/// Devices that are fitted together, each in a lane of its own.
constexpr std::size_t kLanes = 32;
using Lanes = std::array<float, kLanes>;

// For several generations of x86-64; sanitizers instrument the start-up code that would pick one.
#if defined(PCMLAB_SANITIZED) || !defined(__x86_64__)
#define PCM_DRIFT_CLONES
#else
#define PCM_DRIFT_CLONES \
  __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#endif

constexpr float kLn2 = 0.69314718056F;
// Read noise of the literature: Q_s = min(0.0088 / (g / 25 uS)^0.65, 0.2), of a reading at age t
// sigma = g Q_s sqrt(ln(t / (2 t_r))) with t_r = 250 ns.
constexpr float kQ = 0.0088F, kQPower = 0.65F, kLog2Of25 = 4.6438562F, kMostQ = 0.2F;
constexpr float kLnT0OverTwoTr = 17.504390F;  // ln(20 s / 500 ns)

/// log2 of a positive, normal x; relative error below 3e-7. After Cephes' logf.
inline float log2_of(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x);
  const std::int32_t exponent = (bits - 0x3f3504f3) >> 23;  // mantissa from sqrt(1/2) to sqrt(2)
  const float m = std::bit_cast<float>(bits - (exponent << 23)) - 1.0F;
  const float z = m * m;
  float p = 7.0376836292e-2F;
  for (const float c : {-1.1514610310e-1F, 1.1676998740e-1F, -1.2420140846e-1F, 1.4249322787e-1F,
                        -1.6668057665e-1F, 2.0000714765e-1F, -2.4999993993e-1F, 3.3333331174e-1F}) {
    p = p * m + c;
  }
  return static_cast<float>(exponent) + (m + (m * z * p - 0.5F * z)) / kLn2;
}

/// 2^x for |x| < 126; relative error below 3e-7.
inline float exp2_of(float x) {
  const float shifted = x + 12582912.0F;  // 1.5 * 2^23: rounds to the nearest integer
  const std::int32_t whole = std::bit_cast<std::int32_t>(shifted) - 0x4b400000;
  const float f = (x - (shifted - 12582912.0F)) * kLn2;
  float p = 1.9875691500e-4F;
  for (const float c :
       {1.3981999507e-3F, 8.3334519073e-3F, 4.1665795894e-2F, 1.6666665459e-1F, 5.0000001201e-1F}) {
    p = p * f + c;
  }
  const float e = 1.0F + (f + f * f * p);
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(e) + (whole << 23));
}

/// Readings of kLanes devices, and what comes of them. In log2 of the time over kDriftTime0_s.
struct Group {
  std::vector<Lanes> age_s, g_uS;       ///< by reading
  std::vector<float> variance_uS2;      ///< by reading: of the ADC
  Lanes log2_g{}, exponent{}, error{};  ///< log2 of g_t0 in uS
  Lanes span{};                         ///< oldest over youngest reading, as log2
  float inflation2 = 1;                 ///< square of noise_inflation()
};

PCM_DRIFT_CLONES
void fit(Group& group) {
  const std::size_t readings = group.g_uS.size();
  Lanes youngest, oldest, sum_g{}, sum_p{};
  youngest.fill(126);
  oldest.fill(-126);
  for (std::size_t s = 0; s < readings; ++s) {
    Lanes& x = group.age_s[s];  // becomes its logarithm
    const Lanes& g = group.g_uS[s];
    for (std::size_t i = 0; i < kLanes; ++i) {
      x[i] = log2_of(x[i] * static_cast<float>(1 / kDriftTime0_s));
      youngest[i] = x[i] < youngest[i] ? x[i] : youngest[i];
      oldest[i] = x[i] > oldest[i] ? x[i] : oldest[i];
      sum_g[i] += g[i];
      sum_p[i] += exp2_of(-0.05F * x[i]);
    }
  }
  Lanes log2_g, exponent;
  for (std::size_t i = 0; i < kLanes; ++i) {
    const float mean = sum_g[i] / sum_p[i];
    log2_g[i] = log2_of(mean > 1e-4F ? mean : 1e-4F);
    exponent[i] = 0.05F;
    group.span[i] = oldest[i] - youngest[i];
  }
  constexpr int kIterations = 4;
  for (int iteration = 0; iteration <= kIterations; ++iteration) {
    Lanes w0{}, w1{}, w2{}, r0{}, r1{}, chi2{}, noise{}, q2;
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float q = kQ * exp2_of(-kQPower * (log2_g[i] - kLog2Of25));
      q2[i] = q < kMostQ ? q * q : kMostQ * kMostQ;
    }
    for (std::size_t s = 0; s < readings; ++s) {
      const Lanes& x = group.age_s[s];
      const Lanes& g = group.g_uS[s];
      const float variance = group.variance_uS2[s];
      for (std::size_t i = 0; i < kLanes; ++i) {
        const float law = exp2_of(log2_g[i] - exponent[i] * x[i]);
        const float spread = kLn2 * x[i] + kLnT0OverTwoTr;
        const float relative = q2[i] * (spread > 1 ? spread : 1) * law * law;
        const float weight = 1.0F / (variance + relative);
        const float deviation = g[i] - law;
        const float w = weight * law * law;
        const float r = weight * law * deviation;
        w0[i] += w;
        w1[i] += w * x[i];
        w2[i] += w * x[i] * x[i];
        r0[i] += r;
        r1[i] += r * x[i];
        chi2[i] += weight * deviation * deviation;
        noise[i] += weight * relative;
      }
    }
    for (std::size_t i = 0; i < kLanes; ++i) {
      const float determinant = w0[i] * w2[i] - w1[i] * w1[i];
      if (iteration < kIterations) {
        const float rise = (w2[i] * r0[i] - w1[i] * r1[i]) / determinant;
        const float slope = (w0[i] * r1[i] - w1[i] * r0[i]) / determinant;
        const float gained = rise < -1 ? -1.0F : (rise > 1 ? 1.0F : rise);
        const float turned = slope < -0.3F ? -0.3F : (slope > 0.3F ? 0.3F : slope);
        log2_g[i] += gained / kLn2;
        exponent[i] -= turned / kLn2;
        log2_g[i] = log2_g[i] < -30 ? -30.0F : (log2_g[i] > 30 ? 30.0F : log2_g[i]);
        exponent[i] = exponent[i] < -1 ? -1.0F : (exponent[i] > 1 ? 1.0F : exponent[i]);
      } else {
        const float white = chi2[i] / static_cast<float>(readings - 2) * w0[i] / determinant;
        const float share = noise[i] / static_cast<float>(readings);  // of 1/f noise
        const float variance = white * (1 + (group.inflation2 - 1) * share);
        group.error[i] = std::sqrt(variance > 0 ? variance : 0.0F) / kLn2;
      }
    }
  }
  group.log2_g = log2_g;
  group.exponent = exponent;
}

bool has_two_decades(float log2_span) {
  return std::exp2(static_cast<double>(log2_span)) >= kShortestDriftSpan * (1 - 1e-6);
}

/// The ages of the devices `begin` .. `begin + count - 1` at a reading.
void fill_ages(const DriftReading& reading, std::size_t begin, std::size_t count,
               std::span<const std::int64_t> last_pulse_ticks_ns, Lanes& age_s) {
  auto block =
      std::upper_bound(reading.times.begin(), reading.times.end(), static_cast<std::int64_t>(begin),
                       [](std::int64_t device, const ReadTimes& times) {
                         return device < times.first_device + times.device_count;
                       });
  for (std::size_t i = 0; i < count && block != reading.times.end(); ++block) {
    const double step_ns = block->device_count > 1
                               ? static_cast<double>(block->last_tick_ns - block->first_tick_ns) /
                                     static_cast<double>(block->device_count - 1)
                               : 0;
    const auto end = static_cast<std::size_t>(block->first_device + block->device_count);
    for (; i < count && begin + i < end; ++i) {
      const auto place = static_cast<std::int64_t>(begin + i) - block->first_device;
      const double since_ns =
          static_cast<double>(block->first_tick_ns - last_pulse_ticks_ns[begin + i]) +
          step_ns * static_cast<double>(place);
      age_s[i] = std::max(1e-6F, static_cast<float>(1e-9 * since_ns));
    }
  }
}

/// What its readings alone say of a device.
struct CodesSeen {
  std::size_t telling = 0;  ///< between the ends of the converter
  bool all_equal = true;
};

db::DriftClass classify(const CodesSeen& seen, db::Verdict verdict, float log2_span, float exponent,
                        float error) {
  const bool answers = verdict != db::Verdict::StuckLow && verdict != db::Verdict::StuckHigh;
  if (!answers) return db::DriftClass::Stuck;
  if (seen.all_equal && verdict != db::Verdict::Reset) return db::DriftClass::Stuck;
  if (seen.telling < kFewestDriftPoints || !has_two_decades(log2_span)) {
    return db::DriftClass::TooFewPoints;
  }
  if (!(error <= static_cast<float>(kNoisyExponentError))) return db::DriftClass::Noisy;
  return exponent < -3 * error ? db::DriftClass::Backwards : db::DriftClass::Drifting;
}

void fit_devices(std::span<const DriftReading> readings, const db::ProgrammingResult& result,
                 std::size_t begin, std::size_t count, Group& group, db::DriftFits& fits) {
  std::array<CodesSeen, kLanes> seen{};
  for (std::size_t s = 0; s < readings.size(); ++s) {
    const DriftReading& reading = readings[s];
    const auto gain = static_cast<float>(reading.calibration.gain_uS_per_code / reading.samples);
    const auto offset = static_cast<float>(reading.calibration.offset_uS);
    Lanes& age_s = group.age_s[s];
    Lanes& g_uS = group.g_uS[s];
    age_s.fill(1);
    g_uS.fill(1);
    fill_ages(reading, begin, count, result.last_pulse_ticks_ns, age_s);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint16_t sum = reading.code_sums[begin + i];
      g_uS[i] = gain * static_cast<float>(sum) + offset;
      seen[i].telling += sum > 0 && sum < reading.largest_sum ? 1 : 0;
      seen[i].all_equal = seen[i].all_equal && sum == readings[0].code_sums[begin + i];
    }
  }
  fit(group);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t device = begin + i;
    const auto of = classify(seen[i], result.verdicts[device], group.span[i], group.exponent[i],
                             group.error[i]);
    fits.classes[device] = of;
    if (of == db::DriftClass::Stuck || of == db::DriftClass::TooFewPoints) continue;
    fits.exponents[device] = group.exponent[i];
    fits.exponent_errors[device] = group.error[i];
    fits.g_t0_uS[device] = std::exp2(group.log2_g[i]);
  }
}

Group group_of(std::size_t readings) {
  Group group;
  group.age_s.resize(readings);
  group.g_uS.resize(readings);
  group.variance_uS2.resize(readings);
  return group;
}

std::vector<double> mean_ages_s(std::span<const DriftReading> readings,
                                std::span<const std::int64_t> last_pulse_ticks_ns) {
  const double pulse_ns =
      std::accumulate(last_pulse_ticks_ns.begin(), last_pulse_ticks_ns.end(), 0.0) /
      static_cast<double>(std::max<std::size_t>(1, last_pulse_ticks_ns.size()));
  std::vector<double> ages_s;
  for (const DriftReading& reading : readings) {
    const auto first = static_cast<double>(reading.times.front().first_tick_ns);
    const auto last = static_cast<double>(reading.times.back().last_tick_ns);
    ages_s.push_back(std::max(1e-6, 1e-9 * ((first + last) / 2 - pulse_ns)));
  }
  return ages_s;
}

/// Of a mean of `samples` codes, each rounded.
float adc_variance(const DriftReading& reading) {
  const double step_uS = reading.calibration.gain_uS_per_code;
  return static_cast<float>(step_uS * step_uS / 12 / reading.samples);
}

}  // namespace

double noise_inflation(std::span<const double> age_s) {
  const std::size_t n = age_s.size();
  if (n < 3) return 1;
  std::vector<double> x(n);
  std::transform(age_s.begin(), age_s.end(), x.begin(), [](double age) { return std::log(age); });
  const double mean = std::accumulate(x.begin(), x.end(), 0.0) / static_cast<double>(n);
  double sum_xx = 0;
  for (double& value : x) {
    value -= mean;
    sum_xx += value * value;
  }
  if (sum_xx <= 0) return 1;
  // One correlation time a decade, each starting anew at the pulse.
  constexpr int kShortest = -6, kLongest = 6;
  constexpr double kNoisePower = 0.21;
  double of_slope = 0;   // variance of the slope, times sum_xx^2
  double of_values = 0;  // trace of the correlations, and the sum of all
  double sum_of_all = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double correlation = 0;
      for (int decade = kShortest; decade <= kLongest; ++decade) {
        const double tau_s = std::pow(10.0, decade);
        const double since_s = std::abs(age_s[i] - age_s[j]);
        const double ages_s = age_s[i] + age_s[j];
        correlation +=
            std::pow(tau_s, kNoisePower) * (std::exp(-since_s / tau_s) - std::exp(-ages_s / tau_s));
      }
      of_slope += x[i] * x[j] * correlation;
      of_values += i == j ? correlation : 0;
      sum_of_all += correlation;
    }
  }
  // Deviations from a line: less those of its mean and its slope.
  const double deviations = (of_values - sum_of_all / static_cast<double>(n) - of_slope / sum_xx) /
                            static_cast<double>(n - 2);
  return std::sqrt(std::max(1.0, of_slope / sum_xx / deviations));
}

std::optional<DriftFit> fit_drift(std::span<const double> age_s, std::span<const double> g_uS,
                                  double inflation) {
  if (age_s.size() < kFewestDriftPoints) return std::nullopt;
  Group group = group_of(age_s.size());
  for (std::size_t s = 0; s < age_s.size(); ++s) {
    group.age_s[s].fill(static_cast<float>(age_s[s]));
    group.g_uS[s].fill(static_cast<float>(g_uS[s]));
  }
  group.inflation2 = static_cast<float>(inflation * inflation);
  fit(group);
  if (!has_two_decades(group.span[0])) return std::nullopt;
  return DriftFit{static_cast<double>(group.exponent[0]), static_cast<double>(group.error[0]),
                  std::exp2(static_cast<double>(group.log2_g[0]))};
}

db::DriftFits fit_drifts(std::span<const DriftReading> readings,
                         const db::ProgrammingResult& result, std::size_t threads) {
  const std::size_t devices = result.verdicts.size();
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  db::DriftFits fits;
  fits.exponents.assign(devices, kNone);
  fits.exponent_errors.assign(devices, kNone);
  fits.g_t0_uS.assign(devices, kNone);
  fits.classes.assign(devices, db::DriftClass::TooFewPoints);
  if (readings.size() < kFewestDriftPoints) return fits;
  constexpr std::size_t kShare = 64 * kLanes;
  std::vector<Group> groups(std::max<std::size_t>(1, threads), group_of(readings.size()));
  const double inflation = noise_inflation(mean_ages_s(readings, result.last_pulse_ticks_ns));
  for (Group& group : groups) {
    group.inflation2 = static_cast<float>(inflation * inflation);
    std::transform(readings.begin(), readings.end(), group.variance_uS2.begin(), adc_variance);
  }
  const auto work = [&](std::size_t worker, std::size_t share) -> Result<void> {
    const std::size_t end = std::min(devices, (share + 1) * kShare);
    for (std::size_t begin = share * kShare; begin < end; begin += kLanes) {
      fit_devices(readings, result, begin, std::min(kLanes, end - begin), groups[worker], fits);
    }
    return {};
  };
  // Nothing here fails.
  static_cast<void>(share_jobs(groups.size(), (devices + kShare - 1) / kShare, work));
  return fits;
}

}  // namespace pcmlab
