// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "experiments/network/onnx_writer.h"
#include "experiments/network/training/atomic_file.h"
#include "experiments/network/training/settings.h"
#include "experiments/network/training/trainable.h"

namespace pcmlab::training {
namespace {

std::optional<double> eta_of(const Network& network) {
  const auto found = network.metadata.find(kSettingsKey);
  if (found == network.metadata.end()) return std::nullopt;
  const auto settings = settings_from_toml(found->second, network.name);
  if (!settings || !settings->text("noise_model").empty()) return std::nullopt;
  return settings->real("noise");
}

double accuracy_of(std::int64_t correct, const Dataset& images) {
  return static_cast<double>(correct) / static_cast<double>(images.count());
}

double largest_difference(std::span<const float> a, std::span<const float> b) {
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (!(difference <= largest)) largest = difference;  // NaN too
  }
  return largest;
}

}  // namespace

double NoisyAccuracy::mean() const {
  if (draws.empty()) return 0;
  return std::accumulate(draws.begin(), draws.end(), 0.0) / static_cast<double>(draws.size());
}

double NoisyAccuracy::deviation() const {
  if (draws.size() < 2) return 0;
  double squares = 0;
  for (const double draw : draws) squares += (draw - mean()) * (draw - mean());
  return std::sqrt(squares / static_cast<double>(draws.size() - 1));
}

Result<std::vector<NoisyAccuracy>> evaluate_noise(
    const Network& network, const Dataset& images, const EvaluationSettings& settings,
    const std::function<void(const NoisyAccuracy&)>& done, const std::stop_token& stop) {
  PCM_ASSIGN(InferenceEngine engine, InferenceEngine::create(network, settings.precision));
  const Trainable trainable(network);
  const std::vector<float> clean = trainable.values(network);
  std::vector<float> noisy(clean.size());

  std::vector<WeightNoise> noises{{}};
  for (const double eta : settings.etas) noises.push_back({eta, std::nullopt});
  if (settings.model) noises.push_back({0, settings.model});

  std::vector<NoisyAccuracy> results;
  for (const WeightNoise& noise : noises) {
    NoisyAccuracy result;
    result.network = network.name;
    result.trained_with = eta_of(network);
    result.eta = noise.eta;
    result.noise = noise.model ? noise.model->constants().name
                               : (noise.any() ? fmt::format("eta {}", noise.eta) : "none");
    const int draws = noise.any() ? settings.draws : 1;
    for (int draw = 0; draw < draws; ++draw) {
      if (stop.stop_requested()) return fail(ErrorCode::Stopped, "evaluation stopped");
      Random random(settings.seed, Purpose::Evaluation, static_cast<std::uint64_t>(draw));
      noise.apply(trainable, clean, noisy, random);
      engine.set_weights(std::span(noisy).first(trainable.analog_count()));
      PCM_ASSIGN(const std::int64_t correct, engine.count_correct(images));
      result.draws.push_back(accuracy_of(correct, images));
    }
    if (done) done(result);
    results.push_back(std::move(result));
  }
  return results;
}

Result<Verification> write_verified(const Network& network, const std::filesystem::path& file,
                                    GradientEngine& engine, const Dataset& test) {
  PCM_ASSIGN(const std::vector<std::byte> onnx, to_onnx(network));
  PCM_TRY(replace_file(file, onnx));
  PCM_ASSIGN(const Network written, load_network(file));

  constexpr std::size_t kCompared = 256;
  Verification result;
  result.compared = std::min(kCompared, test.count());
  const TrainingImages first(head_of(test, result.compared), {});
  std::vector<std::uint32_t> all(result.compared);
  std::iota(all.begin(), all.end(), 0U);
  Batch batch;
  Random unused(0, Purpose::Augmentation, 0);
  PCM_TRY(first.fill(all, unused, batch));
  const Trainable trainable(network);
  PCM_ASSIGN(const std::vector<float> expected,
             engine.logits(batch, trainable.values(network), trainable.statistics(network)));
  for (const float logit : expected) {
    result.largest_logit = std::max(result.largest_logit, std::abs(static_cast<double>(logit)));
  }

  PCM_ASSIGN(InferenceEngine float32, InferenceEngine::create(written, Precision::Float32));
  PCM_ASSIGN(const std::vector<float> logits, float32.logits(test, 0, result.compared));
  result.float32_difference = largest_difference(expected, logits);
  constexpr double kTolerance = 1e-3;
  if (!(result.float32_difference <= kTolerance * result.largest_logit)) {
    return fail(ErrorCode::Internal,
                fmt::format("{} does not compute what was trained: logits up to {:.3g} differ by "
                            "{:.3g}",
                            file.string(), result.largest_logit, result.float32_difference),
                "this is a bug in pcmlab; the checkpoint is not affected");
  }
  PCM_ASSIGN(const std::int64_t correct, float32.count_correct(test));
  result.float32_accuracy = accuracy_of(correct, test);
  if (fastest_precision() == Precision::Bfloat16) {
    PCM_ASSIGN(InferenceEngine bfloat16, InferenceEngine::create(written, Precision::Bfloat16));
    PCM_ASSIGN(const std::vector<float> rounded, bfloat16.logits(test, 0, result.compared));
    result.bfloat16_difference = largest_difference(expected, rounded);
    PCM_ASSIGN(const std::int64_t correct16, bfloat16.count_correct(test));
    result.bfloat16_accuracy = accuracy_of(correct16, test);
  }
  return result;
}

}  // namespace pcmlab::training
