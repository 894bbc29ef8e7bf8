// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/noise_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "experiments/engine/plan.h"

namespace pcmlab::training {
namespace {

constexpr std::size_t kSteps = 1000;  // of the grid

Parameter numbers(std::string name, std::string unit, std::string help) {
  constexpr double kAny = std::numeric_limits<double>::max();
  return reals(std::move(name), std::move(unit), {}, -kAny, kAny, std::move(help));
}

std::vector<ParameterTable> sections() {
  constexpr double kYears = 1e10;
  return {
      {"model",
       "What was measured.",
       {text("name", "", "as it is called in results"),
        real("g_max_uS", "uS", 25, 0.1, 1000, "conductance of the largest weight of a layer"),
        real("reset_uS", "uS", 0, 0, 1000, "mean conductance of the other device of a pair"),
        real("reset_sigma_uS", "uS", 0, 0, 1000, "its standard deviation")}},
      {"programming",
       "Standard deviation around the target at t0_s.",
       {numbers("sigma_polynomial_uS", "uS", "coefficients of g_uS^0, g_uS^1, ..."),
        numbers("conductance_uS", "uS", "instead of a polynomial: targets, rising"),
        numbers("sigma_uS", "uS", "standard deviation there")}},
      {"drift",
       "G(t) = G(t0) (t / t0)^-exponent.",
       {real("t0_s", "s", 27.36, 1e-6, kYears, "after programming; when sigma was measured"),
        real("first_age_s", "s", 27.36, 1e-6, kYears, "youngest age that weights are used at"),
        real("last_age_s", "s", 27.36, 1e-6, kYears, "oldest age"),
        numbers("conductance_uS", "uS", "targets, rising"), numbers("exponent", "", "mean there"),
        numbers("exponent_sd", "", "standard deviation there")}},
      {"read_noise",
       "Of one read of every device, on top of what [programming] has.",
       {numbers("conductance_uS", "uS", "targets, rising"),
        numbers("relative_noise", "", "standard deviation over conductance")}},
  };
}

class SectionReader {
 public:
  SectionReader(const ParameterValues& values, std::string source, std::string section)
      : values_(values), where_(fmt::format("{}, [{}]", source, section)) {}

  Result<ConductanceCurve> table(const std::string& value, bool negative_allowed = false) const {
    ConductanceCurve curve;
    curve.at_uS = values_.reals("conductance_uS");
    curve.value = values_.reals(value);
    if (curve.value.empty()) return ConductanceCurve{};
    if (curve.at_uS.size() != curve.value.size()) {
      return bad(fmt::format("conductance_uS has {} numbers and {} has {}", curve.at_uS.size(),
                             value, curve.value.size()),
                 "give one number for each conductance");
    }
    if (std::adjacent_find(curve.at_uS.begin(), curve.at_uS.end(), std::greater_equal<>()) !=
        curve.at_uS.end()) {
      return bad("the numbers of conductance_uS do not rise", "sort them");
    }
    if (!negative_allowed &&
        std::any_of(curve.value.begin(), curve.value.end(), [](double v) { return v < 0; })) {
      return bad(fmt::format("{} has a negative number", value), "it is a standard deviation");
    }
    return curve;
  }

  tl::unexpected<Error> bad(const std::string& what, std::string advice) const {
    return fail(ErrorCode::BadPlan, fmt::format("{}: {}", where_, what), std::move(advice));
  }

 private:
  const ParameterValues& values_;
  std::string where_;
};

}  // namespace

float largest_magnitude(std::span<const float> weights) {
  float largest = 0;
  for (const float weight : weights) largest = std::max(largest, std::abs(weight));
  return largest;
}

double ConductanceCurve::operator()(double g_uS) const {
  if (!polynomial.empty()) {
    double sum = 0;
    for (auto it = polynomial.rbegin(); it != polynomial.rend(); ++it) sum = sum * g_uS + *it;
    return sum;
  }
  if (value.empty()) return 0;
  const auto above = std::upper_bound(at_uS.begin(), at_uS.end(), g_uS);
  if (above == at_uS.begin()) return value.front();
  if (above == at_uS.end()) return value.back();
  const auto i = static_cast<std::size_t>(above - at_uS.begin());
  const double part = (g_uS - at_uS[i - 1]) / (at_uS[i] - at_uS[i - 1]);
  return value[i - 1] + part * (value[i] - value[i - 1]);
}

NoiseModel::NoiseModel(Constants constants) : constants_(std::move(constants)) {
  grid_.reserve(kSteps + 1);
  for (std::size_t step = 0; step <= kSteps; ++step) {
    const double g_uS = constants_.g_max_uS * static_cast<double>(step) / kSteps;
    const auto at = [g_uS](const ConductanceCurve& curve) {
      return static_cast<float>(curve(g_uS));
    };
    grid_.push_back({std::max(0.0f, at(constants_.sigma_uS)), at(constants_.drift),
                     at(constants_.drift_sd), at(constants_.relative_noise)});
  }
}

void NoiseModel::apply(std::span<float> weights, Random& random) const {
  const float largest = largest_magnitude(weights);
  if (!(largest > 0)) return;
  const auto g_max = static_cast<float>(constants_.g_max_uS);
  const double first = std::log(constants_.first_age_s);
  const double log_age = first + random.uniform() * (std::log(constants_.last_age_s) - first);
  const auto decades = static_cast<float>(log_age - std::log(constants_.t0_s));
  const bool drifts = !constants_.drift.empty() && decades != 0;
  const bool reads = !constants_.relative_noise.empty();
  double before = 0;
  double after = 0;
  for (float& weight : weights) {
    const float target = std::min(1.0f, std::abs(weight) / largest);
    const AtConductance& at = grid_[static_cast<std::size_t>(std::lround(target * kSteps))];
    float g = std::max(0.0f, target * g_max + at.sigma_uS * random.normal());
    float reset = 0;
    if (constants_.reset_uS > 0 || constants_.reset_sigma_uS > 0) {
      reset = std::max(0.0f, static_cast<float>(constants_.reset_uS) +
                                 static_cast<float>(constants_.reset_sigma_uS) * random.normal());
    }
    before += g + reset;
    if (drifts) {
      g *= std::exp(-decades * (at.drift + at.drift_sd * random.normal()));
      reset *= std::exp(-decades * (grid_[0].drift + grid_[0].drift_sd * random.normal()));
    }
    after += g + reset;
    if (reads) g *= 1 + at.relative_noise * random.normal();
    weight = std::copysign(1.0f, weight) * (g - reset) * largest / g_max;
  }
  if (!drifts || !(after > 0)) return;
  const auto compensation = static_cast<float>(before / after);
  for (float& weight : weights) weight *= compensation;
}

Result<NoiseModel> parse_noise_model(const std::string& text, const std::string& source) {
  PCM_ASSIGN(const auto parsed,
             parse_sections(text, source, sections(),
                            "experiments/network/training/README.md describes such a file"));
  NoiseModel::Constants constants;
  const ParameterValues& model = parsed.at("model");
  constants.name = model.text("name").empty() ? std::filesystem::path(source).stem().string()
                                              : model.text("name");
  constants.g_max_uS = model.real("g_max_uS");
  constants.reset_uS = model.real("reset_uS");
  constants.reset_sigma_uS = model.real("reset_sigma_uS");

  const ParameterValues& programming = parsed.at("programming");
  const SectionReader programming_reader(programming, source, "programming");
  PCM_ASSIGN(constants.sigma_uS, programming_reader.table("sigma_uS"));
  if (const auto& polynomial = programming.reals("sigma_polynomial_uS"); !polynomial.empty()) {
    if (!constants.sigma_uS.empty()) {
      return programming_reader.bad("it has both a polynomial and a table", "leave one out");
    }
    constants.sigma_uS.polynomial = polynomial;
  }
  if (constants.sigma_uS.empty()) {
    return programming_reader.bad("it says nothing about sigma",
                                  "give sigma_polynomial_uS, or conductance_uS and sigma_uS");
  }

  const ParameterValues& drift = parsed.at("drift");
  const SectionReader drift_reader(drift, source, "drift");
  constants.t0_s = drift.real("t0_s");
  const auto age = [&](const char* key) {
    return drift.is_given(key) ? drift.real(key) : constants.t0_s;
  };
  constants.first_age_s = age("first_age_s");
  constants.last_age_s = drift.is_given("last_age_s")
                             ? drift.real("last_age_s")
                             : std::max(constants.t0_s, age("first_age_s"));
  if (constants.last_age_s < constants.first_age_s) {
    return drift_reader.bad(fmt::format("last_age_s {} is before first_age_s {}",
                                        constants.last_age_s, constants.first_age_s),
                            "exchange them");
  }
  PCM_ASSIGN(constants.drift, drift_reader.table("exponent", true));
  PCM_ASSIGN(constants.drift_sd, drift_reader.table("exponent_sd"));

  const SectionReader noise_reader(parsed.at("read_noise"), source, "read_noise");
  PCM_ASSIGN(constants.relative_noise, noise_reader.table("relative_noise"));
  return NoiseModel(std::move(constants));
}

Result<std::string> read_noise_model(const std::filesystem::path& file) {
  std::error_code status;
  if (!std::filesystem::is_regular_file(file, status)) {
    return fail(ErrorCode::NotFound, fmt::format("there is no noise model {}", file.string()));
  }
  std::ifstream stream(file, std::ios::binary);
  std::ostringstream text;
  text << stream.rdbuf();
  if (!stream || !text) {
    return fail(ErrorCode::Io, fmt::format("cannot read the noise model {}", file.string()),
                "check that you may read it");
  }
  return std::move(text).str();
}

}  // namespace pcmlab::training
