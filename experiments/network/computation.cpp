// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/computation.h"

#include <algorithm>
#include <limits>

namespace pcmlab {
namespace {

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

class Planner {
 public:
  explicit Planner(const Network& network)
      : network_(network),
        readers_(network.shapes.size()),
        taken_(network.nodes.size(), false),
        ready_(network.shapes.size(), false) {
    for (std::size_t i = 0; i < network.nodes.size(); ++i) {
      for (const ValueId input : network.nodes[i].inputs) {
        readers_[index_of(input)].push_back(static_cast<int>(i));
      }
    }
    ready_[0] = true;
    find_vectors();
  }

  Computation computation(Fusion fusion) {
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      if (taken_[i]) continue;
      ComputationStep step = step_of(static_cast<int>(i));
      taken_[i] = true;
      if (fusion == Fusion::Full) merge_followers(step);
      ready_[index_of(step.output)] = true;
      computation_.steps.push_back(std::move(step));
    }
    place_values();
    return std::move(computation_);
  }

 private:
  template <class Kind>
  bool is(int node) const {
    return std::holds_alternative<Kind>(network_.nodes[index_of(node)].kind);
  }

  ComputationStep step_of(int index) const {
    const Node& node = network_.nodes[index_of(index)];
    ComputationStep step;
    step.node = index;
    step.input = node.inputs[0];
    if (node.inputs.size() > 1) step.summand = node.inputs[1];
    if (node.inputs.size() > 2) step.more.assign(node.inputs.begin() + 2, node.inputs.end());
    step.output = node.output;
    return step;
  }

  /// The node that alone reads a value, or kNone.
  int only_reader(ValueId value) const {
    const auto& readers = readers_[index_of(value)];
    return value == network_.output || readers.size() != 1 ? kNone : readers[0];
  }

  void merge(ComputationStep& step, int node) {
    taken_[index_of(node)] = true;
    step.output = network_.nodes[index_of(node)].output;
  }

  void find_vectors() {
    computation_.vectors.assign(network_.shapes.size(), false);
    for (std::size_t i = 0; i < network_.nodes.size(); ++i) {
      const Node& node = network_.nodes[i];
      const int index = static_cast<int>(i);
      bool vector = is<DenseNode>(index);
      if (const auto* reshape = std::get_if<ReshapeNode>(&node.kind)) {
        vector = reshape->height == 1 && reshape->width == 1;
      } else if (!is<ConvNode>(index) && !is<PadNode>(index)) {
        vector = vector || std::all_of(node.inputs.begin(), node.inputs.end(), [&](ValueId input) {
                   return computation_.vectors[index_of(input)];
                 });
      }
      computation_.vectors[index_of(node.output)] = vector;
    }
  }

  void merge_followers(ComputationStep& step) {
    const bool analog = is<ConvNode>(step.node) || is<DenseNode>(step.node);
    const bool adds = is<AddNode>(step.node) || is<MultiplyNode>(step.node);
    if (!analog && !adds) return;
    int next = only_reader(step.output);
    if (analog && next != kNone && is<BatchNormNode>(next)) {
      step.batch_norm = next;
      merge(step, next);
      next = only_reader(step.output);
    }
    if (analog && next != kNone && is<AddNode>(next)) {
      const auto& inputs = network_.nodes[index_of(next)].inputs;
      const ValueId other = inputs[0] == step.output ? inputs[1] : inputs[0];
      if (can_accumulate_into(other, step, next)) {
        step.summand = other;
        merge(step, next);
        next = only_reader(step.output);
      }
    }
    if (next != kNone && (is<ReluNode>(next) || is<ActivationNode>(next))) {
      step.activation = next;  // one: oneDNN 2.6 gets some chains wrong
      merge(step, next);
    }
  }

  /// Whether `step` may overwrite `other`, which it adds: computed already, read by nobody later.
  bool can_accumulate_into(ValueId other, const ComputationStep& step, int add) const {
    const bool own = other == 0 || other == step.input || other == network_.output;
    if (own || !ready_[index_of(other)]) return false;
    if (computation_.vectors[index_of(other)] != computation_.vectors[index_of(step.output)]) {
      return false;
    }
    const auto& readers = readers_[index_of(other)];
    return std::all_of(readers.begin(), readers.end(),
                       [&](int reader) { return reader == add || taken_[index_of(reader)]; });
  }

  void place_values() {
    std::vector<int> last_use(network_.shapes.size(), kNone);
    for (std::size_t i = 0; i < computation_.steps.size(); ++i) {
      const ComputationStep& step = computation_.steps[i];
      last_use[index_of(step.input)] = static_cast<int>(i);
      if (step.summand != kNone) last_use[index_of(step.summand)] = static_cast<int>(i);
      for (const ValueId input : step.more) last_use[index_of(input)] = static_cast<int>(i);
    }
    last_use[index_of(network_.output)] = std::numeric_limits<int>::max();
    computation_.buffer_of.assign(network_.shapes.size(), kNone);
    computation_.buffer_of[0] = take_buffer(0);
    for (std::size_t i = 0; i < computation_.steps.size(); ++i) {
      const ComputationStep& step = computation_.steps[i];
      const bool in_place =
          step.summand != kNone && (is<ConvNode>(step.node) || is<DenseNode>(step.node));
      int& buffer = computation_.buffer_of[index_of(step.output)];
      buffer = in_place ? computation_.buffer_of[index_of(step.summand)] : take_buffer(step.output);
      const auto release = [&](ValueId value) {
        int& last = last_use[index_of(value)];
        if (last != static_cast<int>(i)) return;
        free_.push_back(computation_.buffer_of[index_of(value)]);
        last = std::numeric_limits<int>::max();  // once, however often this step reads it
      };
      release(step.input);
      if (step.summand != kNone && !in_place) release(step.summand);
      for (const ValueId input : step.more) release(input);
      if (last_use[index_of(step.output)] == kNone) free_.push_back(buffer);  // read by nobody
    }
  }

  /// The free buffer whose size fits best, grown if need be, or a new one.
  int take_buffer(ValueId value) {
    const ValueShape& shape = network_.shapes[index_of(value)];
    const auto size =
        static_cast<std::size_t>(shape.channels) * index_of(shape.height) * index_of(shape.width);
    if (free_.empty()) {
      computation_.buffers.push_back(size);
      return static_cast<int>(computation_.buffers.size()) - 1;
    }
    const auto misfit = [&](int buffer) {
      const std::size_t held = computation_.buffers[index_of(buffer)];
      return held >= size ? held - size : size - held;
    };
    const auto best = std::min_element(free_.begin(), free_.end(),
                                       [&](int a, int b) { return misfit(a) < misfit(b); });
    const int buffer = *best;
    free_.erase(best);
    computation_.buffers[index_of(buffer)] = std::max(computation_.buffers[index_of(buffer)], size);
    return buffer;
  }

  const Network& network_;
  std::vector<std::vector<int>> readers_;  ///< by ValueId: nodes that take it
  std::vector<bool> taken_;                ///< by node: part of a step already
  std::vector<bool> ready_;                ///< by ValueId: computed by a step already
  std::vector<int> free_;                  ///< buffers whose value is dead
  Computation computation_;
};

}  // namespace

Computation computation_of(const Network& network, Fusion fusion) {
  return Planner(network).computation(fusion);
}

}  // namespace pcmlab
