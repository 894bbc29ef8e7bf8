// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "experiments/network/augmentation.h"
#include "experiments/network/image_choice.h"

namespace pcmlab {
namespace {

/// Grey images as the network wants them: 28x28 or padded, in one channel or three. A network that
/// takes 784 numbers gets the 28x28 pixels row by row.
GreyLayout grey_layout(const ValueShape& input) {
  if (input == ValueShape{28 * 28, 1, 1}) return {1, 28};
  return {input.channels, input.height};
}

Result<Dataset> load_set(const ParameterValues& section, const ValueShape& input, Split split,
                         std::size_t limit) {
  const std::string& set = section.text("set");
  const std::filesystem::path folder = section.text("folder");
  if (set == "fashion-mnist") {
    return load_fashion_mnist(folder.empty() ? fashion_mnist_folder() : folder, split, limit,
                              grey_layout(input));
  }
  if (folder.empty()) {
    return fail(ErrorCode::BadPlan, fmt::format("[images] set = \"{}\" needs a folder", set),
                "set folder to where its files are");
  }
  if (set == "mnist") return load_mnist(folder, split, limit, grey_layout(input));
  if (set == "cifar-10") return load_cifar10(folder, split, limit);
  if (set == "cifar-100") return load_cifar100(folder, split, limit);
  return load_image_folder(
      folder, split, limit,
      {static_cast<int>(section.integer("shorter_side_px")), input.height, input.width});
}

/// What the plan says instead of the set's usual mean or std.
Result<void> replace(const ParameterValues& section, const std::string& key, const Dataset& images,
                     std::vector<float>& numbers) {
  const std::vector<double>& given = section.reals(key);
  if (given.empty()) return {};
  if (given.size() != numbers.size()) {
    return fail(ErrorCode::BadPlan,
                fmt::format("[images] {} has {} numbers, but the images of {} have {} channels",
                            key, given.size(), images.name, numbers.size()),
                "give one number a channel, or none for those that are usual");
  }
  numbers.assign(given.begin(), given.end());
  return {};
}

/// Training images for the steps that want some; the training set is read only if one does.
Result<std::vector<CalibrationImages>> load_calibration(const Plan& plan, const Network& network) {
  std::vector<CalibrationImages> calibration(plan.steps.size());
  std::optional<Dataset> training;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const PlanStep& step = plan.steps[i];
    const ExperimentInfo& info = *find_experiment(step.experiment);
    if (!info.calibration) continue;
    const CalibrationWish wish = info.calibration(step.values, network);
    if (wish.images == 0) continue;
    if (!training) {
      PCM_ASSIGN(training, load_plan_images(plan.section("images"), network, Split::Train, 0));
    }
    if (wish.images > training->count()) {
      return fail(ErrorCode::BadPlan,
                  fmt::format("step {} ({}) calibrates on {} training images, but {} has {}", i + 1,
                              step.experiment, wish.images, training->name, training->count()),
                  "lower calibration_batches or calibration_images");
    }
    calibration[i].indices = choose_images(wish.images, training->count(), wish.seed);
    calibration[i].images = subset_of(*training, calibration[i].indices);
    if (wish.augmentation) {
      calibration[i].images = augmented(calibration[i].images, *wish.augmentation, wish.seed);
    }
  }
  return calibration;
}

}  // namespace

Result<Network> load_plan_network(const std::string& file) {
  const std::vector<std::string> builtin = builtin_networks();
  if (std::find(builtin.begin(), builtin.end(), file) != builtin.end()) {
    return load_builtin_network(file);
  }
  return load_network(file);
}

Result<Network> load_plan_network(const ParameterValues& section) {
  PCM_ASSIGN(Network network, load_plan_network(section.text("file")));
  PCM_TRY(choose_digital_layers(network, section.texts("digital_layers")));
  return network;
}

Result<Dataset> load_plan_images(const ParameterValues& section, const Network& network,
                                 Split split, std::size_t limit) {
  const ValueShape& input = network.shapes.at(0);
  PCM_ASSIGN(Dataset images, load_set(section, input, split, limit));
  PCM_TRY(replace(section, "mean", images, images.normalisation.mean));
  PCM_TRY(replace(section, "std", images, images.normalisation.std));
  const bool as_vector = input == ValueShape{static_cast<int>(images.image_size()), 1, 1};
  if (!as_vector && input != ValueShape{images.channels, images.height, images.width}) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("network \"{}\" takes images of {}x{}x{}, but {} has {}x{}x{}",
                            network.name, input.channels, input.height, input.width, images.name,
                            images.channels, images.height, images.width),
                "name the data set that the network was trained on under [images]");
  }
  const ValueShape& output = network.shapes.at(static_cast<std::size_t>(network.output));
  const int classes = output.channels * output.height * output.width;
  if (classes != images.classes) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("network \"{}\" tells {} classes apart, but {} has {}", network.name,
                            classes, images.name, images.classes),
                section.text("set") == "image-folder"
                    ? "a label is the place of its class folder among all: let every class have "
                      "its folder, be it empty"
                    : "name the data set that the network was trained on under [images]");
  }
  return images;
}

Result<RunInputs> load_inputs(const Plan& plan) {
  PCM_ASSIGN(Network network, load_plan_network(plan.section("network").text("file")));
  return load_inputs(plan, std::move(network));
}

Result<RunInputs> load_inputs(const Plan& plan, Network network) {
  RunInputs inputs;
  inputs.network = std::move(network);
  PCM_TRY(choose_digital_layers(inputs.network, plan.section("network").texts("digital_layers")));
  inputs.weights = weights_of(inputs.network);
  const ParameterValues& images = plan.section("images");
  PCM_ASSIGN(inputs.images, load_plan_images(images, inputs.network, Split::Test,
                                             static_cast<std::size_t>(images.integer("limit"))));
  PCM_ASSIGN(inputs.calibration, load_calibration(plan, inputs.network));
  return inputs;
}

}  // namespace pcmlab
