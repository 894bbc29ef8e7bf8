// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/onnx_writer.h"

#include <fmt/format.h>
#include <onnx/onnx_pb.h>

#include <array>
#include <initializer_list>
#include <span>
#include <unordered_set>

namespace pcmlab {
namespace {

constexpr int kIrVersion = 7;  // of ONNX 1.8, the first release with operator set 13
constexpr int kOperatorSet = 13;

class Writer {
 public:
  explicit Writer(const Network& network) : network_(network) {
    model_.set_ir_version(kIrVersion);
    model_.set_producer_name("pcmlab");
    model_.add_opset_import()->set_version(kOperatorSet);
    for (const auto& [key, value] : network.metadata) {
      auto* entry = model_.add_metadata_props();
      entry->set_key(key);
      entry->set_value(value);
    }
    graph_ = model_.mutable_graph();
    graph_->set_name(network.name.empty() ? "network" : network.name);
    const ValueShape& shape = network.shapes.front();
    describe(*graph_->add_input(), "images", {shape.channels, shape.height, shape.width});
    values_.resize(network.shapes.size());
    values_[0] = {"images", false};
  }

  Result<void> write(const Node& node) {
    node_ = &node;
    ++written_;
    name_ = node.name;
    if (name_.empty() || !names_.insert(name_).second) {
      name_ = fmt::format("{}_{}", node.name.empty() ? "node" : node.name, written_);
      names_.insert(name_);
    }
    return std::visit(
        [this](const auto& kind) -> Result<void> {
          if constexpr (requires { write_kind(kind); }) {
            write_kind(kind);
            return {};
          } else {
            return fail(ErrorCode::BadNetwork, fmt::format("node {} cannot be written", name_),
                        "train a network without such nodes");
          }
        },
        node.kind);
  }

  std::vector<std::byte> finish() {
    describe(*graph_->add_output(), "logits",
             {network_.shapes[static_cast<std::size_t>(network_.output)].channels});
    std::vector<std::byte> bytes(model_.ByteSizeLong());
    model_.SerializeToArray(bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }

 private:
  /// The name of a value in the file, and whether it is [batch, features] there.
  struct Written {
    std::string name;
    bool flat = false;
  };

  static void describe(onnx::ValueInfoProto& value, const char* name,
                       std::initializer_list<int> axes) {
    value.set_name(name);
    auto* tensor = value.mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(onnx::TensorProto::FLOAT);
    tensor->mutable_shape()->add_dim()->set_dim_param("batch");
    for (const int axis : axes) tensor->mutable_shape()->add_dim()->set_dim_value(axis);
  }

  const Written& input(std::size_t i) const {
    return values_[static_cast<std::size_t>(node_->inputs[i])];
  }

  onnx::NodeProto& append(const char* op, bool flat) {
    auto& node = *graph_->add_node();
    node.set_op_type(op);
    node.set_name(name_);
    for (std::size_t i = 0; i < node_->inputs.size(); ++i) node.add_input(input(i).name);
    const std::string output = node_->output == network_.output ? "logits" : name_ + "_output";
    node.add_output(output);
    values_[static_cast<std::size_t>(node_->output)] = {output, flat};
    return node;
  }

  void tensor(onnx::NodeProto& node, const char* what, const std::vector<float>& numbers,
              std::initializer_list<int> dims) {
    auto& made = *graph_->add_initializer();
    made.set_name(fmt::format("{}.{}", name_, what));
    made.set_data_type(onnx::TensorProto::FLOAT);
    for (const int n : dims) made.add_dims(n);
    made.set_raw_data(numbers.data(), numbers.size() * sizeof(float));
    node.add_input(made.name());
  }

  static onnx::AttributeProto& attribute(onnx::NodeProto& node, const char* name,
                                         onnx::AttributeProto::AttributeType type) {
    auto& made = *node.add_attribute();
    made.set_name(name);
    made.set_type(type);
    return made;
  }
  static void integer(onnx::NodeProto& node, const char* name, int value) {
    attribute(node, name, onnx::AttributeProto::INT).set_i(value);
  }
  static void integers(onnx::NodeProto& node, const char* name, std::span<const int> values) {
    auto& made = attribute(node, name, onnx::AttributeProto::INTS);
    for (const int value : values) made.add_ints(value);
  }

  void write_kind(const ConvNode& conv) {
    auto& node = append("Conv", false);
    tensor(node, "weight", conv.weights,
           {conv.out_channels, conv.in_channels / conv.groups, conv.kernel_h, conv.kernel_w});
    if (!conv.bias.empty()) tensor(node, "bias", conv.bias, {conv.out_channels});
    integers(node, "kernel_shape", std::array{conv.kernel_h, conv.kernel_w});
    integers(node, "strides", std::array{conv.stride_h, conv.stride_w});
    integers(node, "dilations", std::array{conv.dilation_h, conv.dilation_w});
    integers(node, "pads", conv.pads);
    integer(node, "group", conv.groups);
  }

  void write_kind(const BatchNormNode& norm) {
    auto& node = append("BatchNormalization", input(0).flat);
    const int channels = static_cast<int>(norm.gamma.size());
    tensor(node, "scale", norm.gamma, {channels});
    tensor(node, "bias", norm.beta, {channels});
    tensor(node, "mean", norm.mean, {channels});
    tensor(node, "variance", norm.variance, {channels});
    attribute(node, "epsilon", onnx::AttributeProto::FLOAT).set_f(norm.epsilon);
  }

  void write_kind(const ReluNode&) { append("Relu", input(0).flat); }
  void write_kind(const AddNode&) { append("Add", input(0).flat); }
  void write_kind(const PoolNode& pool) {
    const bool average = pool.kind == PoolNode::Kind::Average;
    auto& node = append(average ? "AveragePool" : "MaxPool", false);
    integers(node, "kernel_shape", std::array{pool.kernel_h, pool.kernel_w});
    integers(node, "strides", std::array{pool.stride_h, pool.stride_w});
    integers(node, "pads", pool.pads);
    integer(node, "ceil_mode", pool.ceil ? 1 : 0);
    if (average) {
      integer(node, "count_include_pad", pool.count_pads ? 1 : 0);
    } else {
      integers(node, "dilations", std::array{pool.dilation_h, pool.dilation_w});
    }
  }
  void write_kind(const GlobalAverageNode&) { append("GlobalAveragePool", false); }

  void write_kind(const DenseNode& dense) {
    std::string from = input(0).name;
    if (!input(0).flat) {
      auto& flatten = *graph_->add_node();
      flatten.set_op_type("Flatten");
      flatten.set_name(name_ + "_flatten");
      flatten.add_input(from);
      from = name_ + "_flat";
      flatten.add_output(from);
      integer(flatten, "axis", 1);
    }
    auto& node = append("Gemm", true);
    node.set_input(0, from);
    tensor(node, "weight", dense.weights, {dense.out_features, dense.in_features});
    if (!dense.bias.empty()) tensor(node, "bias", dense.bias, {dense.out_features});
    integer(node, "transB", 1);
  }

  const Network& network_;
  onnx::ModelProto model_;
  onnx::GraphProto* graph_ = nullptr;
  std::vector<Written> values_;
  const Node* node_ = nullptr;
  std::string name_;
  std::unordered_set<std::string> names_;
  int written_ = 0;
};

}  // namespace

Result<std::vector<std::byte>> to_onnx(const Network& network) {
  if (network.nodes.empty() || network.output == 0 || network.shapes.empty()) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("network {} cannot be written: it has no nodes", network.name));
  }
  Writer writer(network);
  for (const Node& node : network.nodes) PCM_TRY(writer.write(node));
  return writer.finish();
}

}  // namespace pcmlab
