// SPDX-License-Identifier: Apache-2.0
/// \file
/// Walks an ONNX graph and turns it into a Network. Operators that only say how a value is to be
/// seen (Flatten, Reshape, Squeeze, Unsqueeze, Identity, Dropout) become aliases of values and
/// leave no node behind, until somebody needs the numbers in that shape. Refers to the model, which
/// must outlive it; used once, by one thread. Internal to the ONNX reader.
#pragma once

#include <array>
#include <string>
#include <unordered_map>
#include <vector>

#include "experiments/network/network.h"
#include "experiments/network/onnx_constants.h"
#include "experiments/network/onnx_node.h"

namespace pcmlab {

class OnnxReader {
 public:
  OnnxReader(const onnx::ModelProto& model, std::string name);
  /// All but the file's bytes and checksum. Errors: BadFile, BadNetwork.
  Result<Network> read();

 private:
  /// A value under one of its names: its numbers in the order in which they are in memory, seen as
  /// an array of these axes behind the batch.
  struct Value {
    ValueId id = 0;
    Dims dims;
    std::array<int, 4> pads{};  ///< zeros that its one reader adds around it
  };

  // onnx_reader.cpp
  Result<void> check_opset();
  Result<void> read_input();
  Result<void> read_output();
  Result<void> read_node(const OnnxNode& node);
  /// \param pads_too  whether the reader adds the value's zeros itself.
  Result<Value> value_of(const OnnxNode& node, int i, bool pads_too = false) const;
  ValueShape shape_of(ValueId id) const { return network_.shapes[static_cast<std::size_t>(id)]; }
  static ValueShape shape_from(const Dims& dims);
  /// The node's input as [batch, channels, height, width].
  Result<ValueId> as_image(const OnnxNode& node, const Value& value);
  /// Input i so that its first axis is the channels of its shape.
  Result<ValueId> by_channels(const OnnxNode& node, int i);
  /// A value whose shape is what its axes say.
  Result<ValueId> materialised(const OnnxNode& node, const Value& value);
  /// Adds a node, named as the file's.
  ValueId add(const OnnxNode& node, NodeKind kind, std::vector<ValueId> inputs,
              const ValueShape& shape);
  /// The node itself. \param dims  of its output, if they are not those of its shape.
  Result<void> append(const OnnxNode& node, NodeKind kind, std::vector<ValueId> inputs,
                      Dims dims = {});
  /// Whether the node's first value is [batch, features].
  bool is_flat(const OnnxNode& node) const;
  /// PyTorch's name of the module with these weights, "layer1.0.conv1": from their name,
  /// "layer1.0.conv1.weight", else from the node's; or empty.
  std::string module_of(const OnnxNode& node) const;

  // onnx_operators.cpp: nodes that only rename a value, or see it with other axes,
  Result<void> read_alias(const OnnxNode& node);
  Result<void> read_cast(const OnnxNode& node);
  Result<void> read_flatten(const OnnxNode& node);
  Result<void> read_reshape(const OnnxNode& node);
  /// Axes of Squeeze and Unsqueeze, input 1 since operator set 13; counted from 0 with the batch.
  Result<Dims> axes_of(const OnnxNode& node, std::size_t rank) const;
  Result<void> read_squeeze(const OnnxNode& node);
  Result<void> read_unsqueeze(const OnnxNode& node);
  // and layers.
  Result<void> read_conv_node(const OnnxNode& node);
  Result<void> read_dense_node(const OnnxNode& node);
  Result<void> read_batch_norm_node(const OnnxNode& node);
  Result<void> read_activation_node(const OnnxNode& node);
  Result<void> read_arithmetic(const OnnxNode& node);
  /// Arithmetic with a constant: the bias of the layer before, or a step of its own.
  Result<void> read_linear_node(const OnnxNode& node, int constant);
  /// Where to put a bias that is added to a value, if the last node is a layer without one that
  /// makes this value for nobody else.
  std::vector<float>* missing_bias(const std::string& name);
  Result<void> read_pool_node(const OnnxNode& node);
  Result<void> read_global_pool(const OnnxNode& node);
  Result<void> read_reduce_mean(const OnnxNode& node);
  Result<void> read_concat(const OnnxNode& node);
  Result<void> read_pad(const OnnxNode& node);
  Result<void> read_softmax(const OnnxNode& node);

  const onnx::ModelProto& model_;
  Network network_;
  int opset_ = 0;
  std::int64_t batch_ = 0;   ///< of the graph's input; 0 = left open
  bool input_seen_ = false;  ///< a node depends on the shape of value 0
  OnnxConstants constants_;
  std::unordered_map<std::string, std::vector<const onnx::NodeProto*>> readers_;  ///< null: output
  std::unordered_map<std::string, Value> values_;
  std::unordered_map<ValueId, std::string> made_as_;  ///< the name under which a node made it
};

}  // namespace pcmlab
