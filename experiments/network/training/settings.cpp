// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/settings.h"

#include <fmt/format.h>

#include "experiments/engine/plan.h"
#include "experiments/network/training/topologies.h"

namespace pcmlab::training {

std::vector<Parameter> training_parameters() {
  constexpr double kMany = 1e6;
  constexpr double kLargestSeed = 9e15;
  return {
      text("network", "resnet32", "topology to train from scratch", topologies()),
      text("from", "", "instead: built-in network or ONNX file whose weights to go on from"),
      integer("hidden", "", 250, 1, kMany, "units between the two layers of the mlp"),
      text("images", "fashion-mnist", "what to train on",
           {"fashion-mnist", "mnist", "cifar-10", "cifar-100"}),
      text("folder", "", "where its files are; Fashion-MNIST has a Debian package"),
      integer("train_limit", "", 0, 0, kMany, "only so many training images; 0 = all"),
      integer("test_limit", "", 0, 0, kMany, "only so many test images; 0 = all"),
      integer("epochs", "", 12, 1, kMany, "passes over the training images"),
      integer("batch", "", 128, 2, kMany, "images for each step"),
      real("learning_rate", "", 0.1, 0, 1e3, "highest, after warm-up; then a cosine to zero"),
      real("warm_up_epochs", "", 1, 0, kMany, "in which the learning rate rises"),
      real("momentum", "", 0.9, 0, 1, "Nesterov's"),
      real("weight_decay", "", 5e-4, 0, 1, "of weights; not of biases and batch norms"),
      real("label_smoothing", "", 0, 0, 1, "share of each label that goes to all classes"),
      integer("crop_pixels", "", 2, 0, 1000, "images are shifted by so many at most; 4 for CIFAR"),
      boolean("flip", true, "mirror every second image"),
      real("noise", "", 0, 0, 10, "deviation of weight noise over max|w| of the layer (eta)"),
      text("noise_model", "", "instead: file of a measured noise model"),
      integer("noise_from_epoch", "", 1, 1, kMany, "first epoch with noise and clipping"),
      integer("fixed_statistics_from_epoch", "", 0, 0, kMany,
              "first epoch with the statistics of batch norms fixed as in inference; 0 = none"),
      real("clip_deviations", "", 0, 0, 1000, "limit of weights, in deviations; 0 = none"),
      text("precision", "auto", "of forward and backward pass", {"auto", "bfloat16", "float32"}),
      integer("seed", "", 1, 0, kLargestSeed, "another seed is another training"),
  };
}

TrainingSettings settings_of(const ParameterValues& values) {
  TrainingSettings s;
  s.epochs = values.integer("epochs");
  s.batch = static_cast<std::size_t>(values.integer("batch"));
  s.learning_rate = values.real("learning_rate");
  s.warm_up_epochs = values.real("warm_up_epochs");
  s.momentum = values.real("momentum");
  s.weight_decay = values.real("weight_decay");
  s.label_smoothing = values.real("label_smoothing");
  s.crop_pixels = static_cast<int>(values.integer("crop_pixels"));
  s.flip = values.boolean("flip");
  s.noise = values.real("noise");
  s.noise_from_epoch = values.integer("noise_from_epoch");
  s.fixed_statistics_from_epoch = values.integer("fixed_statistics_from_epoch");
  s.clip_deviations = values.real("clip_deviations");
  s.seed = static_cast<std::uint64_t>(values.integer("seed"));
  return s;
}

std::string settings_as_toml(const ParameterValues& values) {
  std::string text = "[training]\n";
  for (const auto& [name, value] : values.all()) {
    text += fmt::format("{} = {}\n", name, to_toml(value));
  }
  return text;
}

Result<ParameterValues> settings_from_toml(const std::string& text, const std::string& source) {
  PCM_ASSIGN(auto sections, parse_sections(text, source, {{"training", "", training_parameters()}},
                                           "this is a bug in pcmlab, or the file was changed"));
  return std::move(sections.at("training"));
}

}  // namespace pcmlab::training
