// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/training.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "experiments/network/training/atomic_file.h"
#include "experiments/network/training/optimizer.h"

namespace pcmlab::training {
namespace {

Result<void> check_fit(const Network& network, const Dataset& images) {
  const ValueShape& in = network.shapes.front();
  const ValueShape& out = network.shapes[static_cast<std::size_t>(network.output)];
  if (in != ValueShape{images.channels, images.height, images.width}) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("network {} takes images of {}x{}x{}, {} has {}x{}x{}", network.name,
                            in.channels, in.height, in.width, images.name, images.channels,
                            images.height, images.width));
  }
  if (out != ValueShape{images.classes, 1, 1}) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("network {} has {} outputs, {} has {} classes", network.name,
                            out.channels * out.height * out.width, images.name, images.classes));
  }
  return {};
}

class Trainer {
 public:
  Trainer(const TrainingInputs& inputs, Checkpoint& state, const TrainingObserver& observer)
      : in_(inputs),
        state_(state),
        observer_(observer),
        trainable_(state.network),
        values_(trainable_.values(state.network)),
        statistics_(trainable_.statistics(state.network)),
        noisy_(trainable_.value_count()),
        gradients_(trainable_.value_count()) {
    const std::size_t count = in_.images.set().count();
    steps_ = static_cast<std::int64_t>((count + in_.settings.batch - 1) / in_.settings.batch);
    // A batch norm has nothing to learn from one image alone.
    if (count % in_.settings.batch == 1 && steps_ > 1) --steps_;
  }

  Result<void> run(const std::stop_token& stop) {
    while (state_.epoch < in_.settings.epochs) {
      PCM_TRY(epoch(stop));
    }
    return {};
  }

 private:
  Result<void> epoch(const std::stop_token& stop) {
    const auto order =
        in_.images.order(in_.settings.seed, static_cast<std::uint64_t>(state_.epoch));
    while (state_.step < steps_) {
      if (stop.stop_requested()) {
        PCM_TRY(save());
        return fail(ErrorCode::Stopped,
                    fmt::format("training stopped in epoch {} after step {} of {}",
                                state_.epoch + 1, state_.step, steps_));
      }
      const auto began = std::chrono::steady_clock::now();
      const std::size_t first = static_cast<std::size_t>(state_.step) * in_.settings.batch;
      const std::size_t count = std::min(in_.settings.batch, order.size() - first);
      PCM_TRY(step(std::span(order).subspan(first, count)));
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
      state_.seconds += took.count();
      seconds_ += took.count();
      images_ += static_cast<double>(count);
      tell();
    }
    if (normalised_with() == GradientEngine::Statistics::Fixed) PCM_TRY(renew_statistics(order));
    return finish_epoch();
  }

  /// Total number of steps so far, which names the random streams of a step.
  std::uint64_t number() const { return static_cast<std::uint64_t>(state_.total_steps); }

  double learning_rate() const {
    const std::int64_t all = in_.settings.epochs * steps_;
    const auto warm_up = static_cast<std::int64_t>(
        std::llround(in_.settings.warm_up_epochs * static_cast<double>(steps_)));
    return learning_rate_at(state_.total_steps, std::min(warm_up, all), all,
                            in_.settings.learning_rate);
  }

  GradientEngine::Statistics normalised_with() const {
    const std::int64_t from = in_.settings.fixed_statistics_from_epoch;
    return from > 0 && state_.epoch + 1 >= from ? GradientEngine::Statistics::Fixed
                                                : GradientEngine::Statistics::OfBatch;
  }

  bool for_chip() const { return state_.epoch + 1 >= in_.settings.noise_from_epoch; }

  /// The weights of one pass: with noise, where there is any.
  std::span<const float> weights_for(Random& random) {
    if (!for_chip() || !in_.noise.any()) return values_;
    in_.noise.apply(trainable_, values_, noisy_, random);
    return noisy_;
  }

  /// Weights have moved on while the statistics were fixed. These become what batch norms get now,
  /// in the mean over noise and images, and the network computes what it did.
  Result<void> renew_statistics(std::span<const std::uint32_t> order) {
    constexpr std::size_t kPasses = 20;
    const std::size_t passes =
        std::clamp(order.size() / in_.settings.batch, std::size_t{1}, kPasses);
    const std::size_t count = std::min(in_.settings.batch, order.size());
    std::vector<float> mean(statistics_.size(), 0.0f);
    for (std::size_t pass = 0; pass < passes; ++pass) {
      Random random(in_.settings.seed, Purpose::Statistics, number() + pass);
      PCM_TRY(in_.images.fill(order.subspan(pass * count, count), random, batch_));
      PCM_ASSIGN(const std::vector<float> measured,
                 in_.engine.measure_statistics(batch_, weights_for(random), statistics_));
      for (std::size_t i = 0; i < mean.size(); ++i) {
        mean[i] += measured[i] / static_cast<float>(passes);
      }
    }
    trainable_.exchange_statistics(values_, statistics_, mean);
    return {};
  }

  Result<void> step(std::span<const std::uint32_t> chosen) {
    Random augmentation(in_.settings.seed, Purpose::Augmentation, number());
    PCM_TRY(in_.images.fill(chosen, augmentation, batch_));
    Random noise(in_.settings.seed, Purpose::Noise, number());
    const std::span<const float> used = weights_for(noise);
    PCM_ASSIGN(const GradientEngine::Step result,
               in_.engine.step(batch_, in_.settings.label_smoothing, normalised_with(), used,
                               statistics_, gradients_));
    rate_ = learning_rate();
    const bool finite = descend(trainable_, {in_.settings.momentum, in_.settings.weight_decay},
                                rate_, gradients_, state_.momentum, values_) &&
                        std::isfinite(result.loss);
    if (!finite) {
      return fail(ErrorCode::BadNetwork,
                  fmt::format("training diverged in epoch {}, step {}: the loss is {} and weights "
                              "are no longer finite",
                              state_.epoch + 1, state_.step + 1, result.loss),
                  "train with a lower learning rate, a longer warm-up or less noise; the "
                  "checkpoints of earlier epochs are kept");
    }
    if (for_chip() && in_.settings.clip_deviations > 0) {
      clip_weights(trainable_, values_, in_.settings.clip_deviations);
    }
    state_.loss_sum += result.loss * static_cast<double>(chosen.size());
    state_.correct += result.correct;
    state_.seen += static_cast<std::int64_t>(chosen.size());
    ++state_.step;
    ++state_.total_steps;
    return {};
  }

  double seen() const { return static_cast<double>(std::max<std::int64_t>(state_.seen, 1)); }

  void tell() const {
    if (!observer_.step_done) return;
    TrainingProgress progress;
    progress.epoch = state_.epoch + 1;
    progress.epochs = in_.settings.epochs;
    progress.step = state_.step;
    progress.steps = steps_;
    progress.loss = state_.loss_sum / seen();
    progress.train_accuracy = static_cast<double>(state_.correct) / seen();
    progress.images_per_s = images_ / seconds_;
    const auto left = static_cast<double>(in_.settings.epochs * steps_ - state_.total_steps);
    progress.remaining_s = left * static_cast<double>(in_.settings.batch) / progress.images_per_s;
    observer_.step_done(progress);
  }

  Result<void> finish_epoch() {
    trainable_.store(values_, statistics_, state_.network);
    EpochResult result;
    result.epoch = state_.epoch + 1;
    result.loss = state_.loss_sum / seen();
    result.train_accuracy = static_cast<double>(state_.correct) / seen();
    result.learning_rate = rate_;
    result.seconds = state_.seconds;
    result.images_per_s = seen() / std::max(state_.seconds, 1e-9);
    PCM_ASSIGN(InferenceEngine engine,
               InferenceEngine::create(state_.network, fastest_precision()));
    PCM_ASSIGN(const std::int64_t correct, engine.count_correct(in_.test));
    result.test_accuracy = static_cast<double>(correct) / static_cast<double>(in_.test.count());
    state_.history.push_back(result);
    ++state_.epoch;
    state_.step = state_.correct = state_.seen = 0;
    state_.loss_sum = state_.seconds = 0;
    PCM_TRY(save());
    if (observer_.epoch_done) observer_.epoch_done(result);
    return {};
  }

  Result<void> save() {
    trainable_.store(values_, statistics_, state_.network);
    PCM_TRY(save_checkpoint(in_.folder, state_));
    std::string log;
    for (const EpochResult& epoch : state_.history) log.append(epoch_as_json(epoch)).append("\n");
    return replace_file(in_.folder / "log.jsonl", log);
  }

  const TrainingInputs& in_;
  Checkpoint& state_;
  const TrainingObserver& observer_;
  Trainable trainable_;
  std::vector<float> values_, statistics_, noisy_, gradients_;
  Batch batch_;
  std::int64_t steps_ = 0;  ///< of one epoch
  double rate_ = 0;
  double seconds_ = 0;  ///< of this process
  double images_ = 0;
};

}  // namespace

Result<void> train(const TrainingInputs& inputs, Checkpoint& state,
                   const TrainingObserver& observer, const std::stop_token& stop) {
  PCM_TRY(check_fit(state.network, inputs.images.set()));
  PCM_TRY(check_fit(state.network, inputs.test));
  return Trainer(inputs, state, observer).run(stop);
}

}  // namespace pcmlab::training
