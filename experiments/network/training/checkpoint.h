// SPDX-License-Identifier: Apache-2.0
/// \file
/// A training as it stands, in a file from which it goes on as if it had never stopped. Plain
/// values. Format: a line that names it, the size of a JSON header, the header, the network as
/// ONNX, momentum as float32, and a SHA-256 of all of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/network/network.h"

namespace pcmlab::training {

/// What became of one epoch; a line of log.jsonl.
struct EpochResult {
  std::int64_t epoch = 0;     ///< the first is 1
  double loss = 0;            ///< mean over the images
  double train_accuracy = 0;  ///< of 1, of the augmented images, with noise
  double test_accuracy = 0;   ///< of 1, without noise
  double learning_rate = 0;   ///< of its last step
  double seconds = 0;         ///< of training, without the test
  double images_per_s = 0;
};

struct Checkpoint {
  std::string settings;     ///< as settings_as_toml()
  std::string noise_model;  ///< the text of its file; may be empty
  std::string data;         ///< Dataset::description of the training images
  int threads = 0;
  std::int64_t epoch = 0;  ///< complete epochs
  std::int64_t step = 0;   ///< complete steps of the next one
  std::int64_t total_steps = 0;
  // of the epoch under way
  double loss_sum = 0;
  std::int64_t correct = 0;
  std::int64_t seen = 0;
  double seconds = 0;
  std::vector<EpochResult> history;
  Network network;
  std::vector<float> momentum;  ///< one per value of the Trainable
};

std::string epoch_as_json(const EpochResult& epoch);

/// Writes checkpoint-STEPS.pcmtrain into a folder, atomically, and removes all but the newest two.
/// Errors: DiskFull, Io; older ones stay as they are.
Result<std::filesystem::path> save_checkpoint(const std::filesystem::path& folder,
                                              const Checkpoint& checkpoint);

/// Errors: NotFound, Io, BadFile (not a checkpoint, cut short, damaged), Unsupported (newer).
Result<Checkpoint> load_checkpoint(const std::filesystem::path& file);

/// Those of a folder, the newest first.
std::vector<std::filesystem::path> checkpoints_in(const std::filesystem::path& folder);

struct FoundCheckpoint {
  std::filesystem::path file;
  Checkpoint checkpoint;
  std::vector<Error> damaged;  ///< newer ones that could not be used
};
/// The newest one that is good. Errors: NotFound (there is none), or that of the newest one, when
/// none is good.
Result<FoundCheckpoint> newest_checkpoint(const std::filesystem::path& folder);

}  // namespace pcmlab::training
