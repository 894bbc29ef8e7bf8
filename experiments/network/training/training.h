// SPDX-License-Identifier: Apache-2.0
/// \file
/// A training from its checkpoint to its end. Runs in the caller's thread; engines have threads of
/// their own.
#pragma once

#include <filesystem>
#include <functional>
#include <stop_token>

#include "experiments/network/training/checkpoint.h"
#include "experiments/network/training/gradients.h"
#include "experiments/network/training/settings.h"
#include "experiments/network/training/weight_noise.h"

namespace pcmlab::training {

struct TrainingProgress {
  std::int64_t epoch = 0, epochs = 0;   ///< the first epoch is 1
  std::int64_t step = 0, steps = 0;     ///< complete ones of this epoch
  double loss = 0, train_accuracy = 0;  ///< of this epoch so far
  double images_per_s = 0;              ///< in this process, tests left out
  double remaining_s = 0;               ///< of the whole training, tests left out
};

struct TrainingObserver {
  std::function<void(const TrainingProgress&)> step_done;
  std::function<void(const EpochResult&)> epoch_done;
};

/// What a training works with. Everything must outlive train().
struct TrainingInputs {
  TrainingSettings settings;
  WeightNoise noise;
  const TrainingImages& images;
  const Dataset& test;
  GradientEngine& engine;
  std::filesystem::path folder;  ///< for checkpoints and log.jsonl; exists
};

/// Trains from where `state` is to the last epoch; a checkpoint after each. The same state gives
/// the same bits, however often it was saved and loaded on the way.
/// Errors: Stopped (a checkpoint was written), BadNetwork (images do not fit; a loss or weight that
/// is not finite), DiskFull, Io. After any error the folder's newest checkpoint is good.
Result<void> train(const TrainingInputs& inputs, Checkpoint& state,
                   const TrainingObserver& observer, const std::stop_token& stop);

}  // namespace pcmlab::training
