// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/layerwise.h"

#include <algorithm>
#include <cmath>

namespace pcmlab {
namespace {

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

}  // namespace

LayerwiseNetwork::LayerwiseNetwork(const Network& network, Precision precision, int batch)
    : network_(network),
      precision_(precision),
      executor_(network, computation_of(network, Fusion::None), precision, batch) {
  plan_units();
  for (Norm& norm : norms_) {
    norm.node = &std::get<BatchNormNode>(
        network_.nodes[index_of(executor_.computation().steps[units_[norm.unit].step].node)].kind);
    set_norm(static_cast<std::size_t>(&norm - norms_.data()),
             {norm.node->mean, norm.node->variance});
  }
}

template <class Kind>
bool LayerwiseNetwork::is(std::size_t step) const {
  const auto& steps = executor_.computation().steps;
  return step < steps.size() &&
         std::holds_alternative<Kind>(network_.nodes[index_of(steps[step].node)].kind);
}

std::size_t LayerwiseNetwork::readers(ValueId value) const {
  std::size_t readers = value == network_.output ? 1 : 0;
  for (const Node& node : network_.nodes) {
    readers += static_cast<std::size_t>(std::count(node.inputs.begin(), node.inputs.end(), value));
  }
  return readers;
}

void LayerwiseNetwork::plan_units() {
  const auto& steps = executor_.computation().steps;
  for (std::size_t s = 0; s < steps.size();) {
    Unit unit;
    unit.step = s;
    unit.input = steps[s].input;
    unit.output = steps[s].output;
    if (is<BatchNormNode>(s)) {
      unit.norm = static_cast<int>(norms_.size());
      norms_.push_back({units_.size(), nullptr, {}, {}});
      unit.laid_out_anew =
          executor_.activation_shape(unit.input) != executor_.activation_shape(unit.output);
      s = unit.laid_out_anew ? s + 1 : plan_norm(s, unit);
    } else {
      const bool analog = !network_.nodes[index_of(steps[s].node)].digital;
      if (analog && (is<ConvNode>(s) || is<DenseNode>(s))) {
        unit.layer = static_cast<int>(converters_.size());
        unit.read_again = readers(unit.input) > 1;
        converters_.emplace_back();
      }
      ++s;
    }
    units_.push_back(unit);
  }
}

/// Takes an addition and a ReLU that follow at once into a batch norm's unit. Between them no other
/// value is needed, so the result may lie where one of theirs would have. \return the next step.
std::size_t LayerwiseNetwork::plan_norm(std::size_t step, Unit& unit) const {
  const auto& steps = executor_.computation().steps;
  const ActivationShape shape = executor_.activation_shape(unit.input);
  const auto same = [&](ValueId value) { return executor_.activation_shape(value) == shape; };
  std::size_t next = step + 1;
  if (is<AddNode>(next) && readers(unit.output) == 1) {
    const ComputationStep& add = steps[next];
    const ValueId other = add.input == unit.output ? add.summand : add.input;
    const bool reads = add.input == unit.output || add.summand == unit.output;
    if (reads && same(other) && same(add.output)) {
      unit.summand = other;
      unit.output = add.output;
      ++next;
    }
  }
  if (is<ReluNode>(next) && steps[next].input == unit.output && readers(unit.output) == 1 &&
      same(steps[next].output)) {
    unit.relu = true;
    unit.output = steps[next].output;
    ++next;
  }
  return next;
}

void LayerwiseNetwork::set_norm(std::size_t index, const BatchNormStatistics& statistics) {
  Norm& norm = norms_[index];
  const Unit& unit = units_[norm.unit];
  if (unit.laid_out_anew) {
    executor_.set_batch_norm(unit.step, statistics.mean, statistics.variance);
    return;
  }
  const std::size_t lanes = executor_.activation_shape(unit.input).channels();
  norm.slope.assign(lanes, 0.0f);
  norm.offset.assign(lanes, 0.0f);
  for (std::size_t c = 0; c < statistics.mean.size(); ++c) {
    norm.slope[c] = norm.node->gamma[c] / std::sqrt(statistics.variance[c] + norm.node->epsilon);
    norm.offset[c] = norm.node->beta[c] - statistics.mean[c] * norm.slope[c];
  }
}

void LayerwiseNetwork::set_converters(std::size_t layer, std::optional<Quantiser> input,
                                      std::optional<Quantiser> output) {
  converters_[layer] = {input, output};
}

/// The values of whole images of a batch; float32 only.
std::span<float> LayerwiseNetwork::values_of(LayerwiseSpace& space, ValueId value,
                                             std::size_t images) const {
  const std::size_t count = images * executor_.activation_shape(value).per_image();
  return {reinterpret_cast<float*>(space.workspace.data(value)), count};
}

void LayerwiseNetwork::run_analog(LayerwiseSpace& space, const Unit& unit) const {
  const Converters& converters = converters_[index_of(unit.layer)];
  const std::size_t images = index_of(executor_.batch());
  if (converters.input) {
    const std::span<float> input = values_of(space, unit.input, images);
    if (unit.read_again) space.kept.assign(input.begin(), input.end());
    converters.input->apply(input.data(), input.data(), input.size());
    space.workspace.run_step(unit.step);
    if (unit.read_again) std::copy(space.kept.begin(), space.kept.end(), input.begin());
  } else {
    space.workspace.run_step(unit.step);
  }
  if (converters.output) {
    const std::span<float> output = values_of(space, unit.output, images);
    converters.output->apply(output.data(), output.data(), output.size());
  }
}

void LayerwiseNetwork::run_unit(LayerwiseSpace& space, const Unit& unit) const {
  if (unit.layer != kNone) return run_analog(space, unit);
  if (unit.norm == kNone || unit.laid_out_anew) return space.workspace.run_step(unit.step);
  const Norm& norm = norms_[index_of(unit.norm)];
  normalise(space.workspace.data(unit.input),
            unit.summand == kNone ? nullptr : space.workspace.data(unit.summand),
            space.workspace.data(unit.output), precision_, executor_.activation_shape(unit.input),
            index_of(executor_.batch()), norm.slope, norm.offset, unit.relu);
}

std::span<const float> LayerwiseNetwork::run(LayerwiseSpace& space, const float* pixels) const {
  load(space, pixels);
  for (const Unit& unit : units_) run_unit(space, unit);
  return space.workspace.logits();
}

void LayerwiseNetwork::watch(LayerwiseSpace& space, const float* pixels, std::size_t images,
                             const Watch& watch) const {
  load(space, pixels);
  for (const Unit& unit : units_) {
    if (unit.layer == kNone) {
      run_unit(space, unit);
      continue;
    }
    watch(index_of(unit.layer), false, values_of(space, unit.input, images));
    space.workspace.run_step(unit.step);
    watch(index_of(unit.layer), true, values_of(space, unit.output, images));
  }
}

void LayerwiseNetwork::run_to(LayerwiseSpace& space, std::size_t norm) const {
  const std::size_t begin = norm == 0 ? 0 : norms_[norm - 1].unit;
  for (std::size_t u = begin; u < norms_[norm].unit; ++u) run_unit(space, units_[u]);
}

ChannelMoments LayerwiseNetwork::moments(LayerwiseSpace& space, std::size_t norm,
                                         std::size_t images, std::span<const float> shift) const {
  const ValueId value = units_[norms_[norm].unit].input;
  const ActivationShape shape = executor_.activation_shape(value);
  std::vector<float> padded(shape.channels(), 0.0f);
  std::copy(shift.begin(), shift.end(), padded.begin());
  return moments_of(space.workspace.data(value), precision_, shape, images, padded);
}

}  // namespace pcmlab
