// SPDX-License-Identifier: Apache-2.0
/// \file
/// The order in which a network is computed: nodes merged into steps that touch memory once, and
/// values placed in buffers that are used again when their value is dead. Plain values; knows
/// nothing of oneDNN.
#pragma once

#include <cstddef>
#include <vector>

#include "experiments/network/network.h"

namespace pcmlab {

constexpr int kNone = -1;

/// One step. Output = activation(node(input) + summand), the node with the batch norm behind it if
/// `batch_norm` names one; an AddNode adds, a MultiplyNode multiplies by its summand anyway.
struct ComputationStep {
  int node = 0;            ///< index into Network::nodes
  int batch_norm = kNone;  ///< node merged into this one: a scale and a shift per channel
  int activation = kNone;  ///< Relu or ActivationNode merged into this one
  ValueId input = 0;
  ValueId summand = kNone;    ///< second input; for Conv and Dense it shares the output's buffer
  std::vector<ValueId> more;  ///< third and further inputs of a Concat
  ValueId output = 0;
};

struct Computation {
  std::vector<ComputationStep> steps;
  std::vector<int> buffer_of;        ///< by ValueId; kNone for values that are never stored
  std::vector<std::size_t> buffers;  ///< elements per image that each buffer must hold
  /// By ValueId: made by a Dense or a Reshape to a vector, or from such a value: channels side by
  /// side without gaps.
  std::vector<bool> vectors;
};

enum class Fusion {
  Full,
  None  ///< one step a node: every value can be looked at
};

Computation computation_of(const Network& network, Fusion fusion);

}  // namespace pcmlab
