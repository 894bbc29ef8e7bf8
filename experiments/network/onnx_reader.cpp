// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/onnx_reader.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

#include "experiments/network/onnx_layers.h"
#include "experiments/network/sha256.h"

namespace pcmlab {
namespace {

constexpr std::string_view kOperators =
    "Add, AveragePool, BatchNormalization, Clip, Concat of channels, Constant, Conv, Div, Dropout, "
    "Elu, Flatten, Gemm, GlobalAveragePool, GlobalMaxPool, HardSigmoid, HardSwish, Identity, "
    "LeakyRelu, LogSoftmax, MatMul, MaxPool, Mul, Pad, PRelu, ReduceMean over height and width, "
    "Relu, Reshape, Sigmoid, Softmax, Squeeze, Sub, Tanh, Unsqueeze";

}  // namespace

OnnxReader::OnnxReader(const onnx::ModelProto& model, std::string name) : model_(model) {
  network_.name = std::move(name);
}

Result<Network> OnnxReader::read() {
  PCM_TRY(check_opset());
  for (const auto& tensor : model_.graph().initializer()) constants_.add(tensor);
  for (const auto& node : model_.graph().node()) {
    for (const auto& input : node.input()) readers_[input].push_back(&node);
  }
  for (const auto& output : model_.graph().output()) readers_[output.name()].push_back(nullptr);
  PCM_TRY(read_input());
  for (int i = 0; i < model_.graph().node_size(); ++i) {
    const auto& proto = model_.graph().node(i);
    const OnnxNode node(proto, i, opset_, network_.name);
    if (node.outputs() < 1) return node.bad("it has no output");
    PCM_TRY(read_node(node));
  }
  PCM_TRY(read_output());
  for (const auto& entry : model_.metadata_props()) {
    network_.metadata[entry.key()] = entry.value();
  }
  return std::move(network_);
}

Result<void> OnnxReader::check_opset() {
  for (const auto& opset : model_.opset_import()) {
    if (!opset.domain().empty() && opset.domain() != "ai.onnx") continue;
    opset_ = static_cast<int>(std::min<std::int64_t>(opset.version(), 1000));
    if (opset_ >= 7) return {};
    return bad_network(network_.name,
                       fmt::format("it was written for ONNX operator set {}", opset.version()),
                       "Export it with operator set 7 or later; 13 is tested.");
  }
  return bad_file(network_.name, "not an ONNX model, or cut short: it names no operator set");
}

Result<void> OnnxReader::read_input() {
  const auto bad = [&](const std::string& what, std::string advice = {}) {
    return bad_network(network_.name, what, std::move(advice));
  };
  const onnx::ValueInfoProto* input = nullptr;
  for (const auto& candidate : model_.graph().input()) {
    if (constants_.contains(candidate.name())) continue;  // an initialiser listed as input too
    if (input != nullptr) {
      return bad(fmt::format("it has several inputs ({}, {}); one can be run", input->name(),
                             candidate.name()));
    }
    input = &candidate;
  }
  if (input == nullptr) return bad("it has no input");
  const auto& type = input->type().tensor_type();
  if (type.elem_type() != onnx::TensorProto::FLOAT) {
    return bad(fmt::format("its input {} is not float32", input->name()));
  }
  const auto& dims = type.shape().dim();
  if (dims.size() != 4 && dims.size() != 2) {
    return bad(fmt::format("its input {} has {} axes", input->name(), dims.size()),
               "The input must be [batch, channels, height, width] or [batch, features].");
  }
  batch_ = dims[0].dim_value();
  Dims extent;
  for (int axis = 1; axis < dims.size(); ++axis) {
    const std::int64_t size = dims[axis].dim_value();
    if (size < 1 || size > kMaxExtent) {
      return bad(fmt::format("axis {} of its input {} has no fixed size", axis, input->name()),
                 "Export it with a fixed image size; only the batch may be left open.");
    }
    extent.push_back(size);
    if (element_count(extent) > kMaxElements) {
      return bad(fmt::format("its input {} is too large", input->name()));
    }
  }
  network_.shapes.push_back(shape_from(extent));
  values_[input->name()] = {0, extent};
  return {};
}

Result<void> OnnxReader::read_output() {
  if (model_.graph().output_size() != 1) {
    return bad_network(network_.name, fmt::format("it has {} outputs; one, the logits, can be run",
                                                  model_.graph().output_size()));
  }
  const std::string& name = model_.graph().output(0).name();
  const auto found = values_.find(name);
  if (found == values_.end()) {
    return bad_network(network_.name, fmt::format("no node makes its output {}", name));
  }
  if (found->second.id == 0) {
    return bad_network(network_.name, fmt::format("its output {} is its input", name));
  }
  network_.output = found->second.id;
  return {};
}

Result<void> OnnxReader::read_node(const OnnxNode& node) {
  using Operator = Result<void> (OnnxReader::*)(const OnnxNode&);
  static const std::unordered_map<std::string, Operator> operators{
      {"Identity", &OnnxReader::read_alias},
      {"Dropout", &OnnxReader::read_alias},
      {"Cast", &OnnxReader::read_cast},
      {"Flatten", &OnnxReader::read_flatten},
      {"Reshape", &OnnxReader::read_reshape},
      {"Squeeze", &OnnxReader::read_squeeze},
      {"Unsqueeze", &OnnxReader::read_unsqueeze},
      {"Conv", &OnnxReader::read_conv_node},
      {"Gemm", &OnnxReader::read_dense_node},
      {"MatMul", &OnnxReader::read_dense_node},
      {"BatchNormalization", &OnnxReader::read_batch_norm_node},
      {"Add", &OnnxReader::read_arithmetic},
      {"Sub", &OnnxReader::read_arithmetic},
      {"Mul", &OnnxReader::read_arithmetic},
      {"Div", &OnnxReader::read_arithmetic},
      {"MaxPool", &OnnxReader::read_pool_node},
      {"AveragePool", &OnnxReader::read_pool_node},
      {"GlobalAveragePool", &OnnxReader::read_global_pool},
      {"GlobalMaxPool", &OnnxReader::read_global_pool},
      {"ReduceMean", &OnnxReader::read_reduce_mean},
      {"Concat", &OnnxReader::read_concat},
      {"Pad", &OnnxReader::read_pad},
      {"Softmax", &OnnxReader::read_softmax},
      {"LogSoftmax", &OnnxReader::read_softmax}};
  if (node.is_standard()) {
    std::optional<Dims> shape;
    if (const auto value = values_.find(node.has_input(0) ? node.input(0) : "");
        value != values_.end()) {
      shape = value->second.dims;
      shape->insert(shape->begin(), kBatch);
    }
    PCM_ASSIGN(const bool folded, constants_.fold(node, shape));
    if (folded) return {};
    if (const auto found = operators.find(node.op()); found != operators.end()) {
      return (this->*found->second)(node);
    }
    if (is_activation(node.op())) return read_activation_node(node);
  }
  return node.bad("this operator cannot be run", fmt::format("What can be run: {}.", kOperators));
}

Result<OnnxReader::Value> OnnxReader::value_of(const OnnxNode& node, int i, bool pads_too) const {
  if (!node.has_input(i)) return node.missing(i);
  const auto found = values_.find(node.input(i));
  if (found == values_.end()) {
    if (!constants_.contains(node.input(i))) {
      return node.bad(fmt::format("nothing before it makes its input {}", node.input(i)));
    }
    return node.bad(
        fmt::format("input {} is a constant; it must come from another node", node.input(i)));
  }
  if (!pads_too && found->second.pads != std::array<int, 4>{}) {
    return node.bad(fmt::format("its input {} is padded for another node", node.input(i)));
  }
  return found->second;
}

ValueShape OnnxReader::shape_from(const Dims& dims) {
  const auto at = [&](std::size_t i) { return i < dims.size() ? static_cast<int>(dims[i]) : 1; };
  return {at(0), at(1), at(2)};
}

Result<ValueId> OnnxReader::as_image(const OnnxNode& node, const Value& value) {
  if (value.dims.size() != 3) {
    return node.bad(value.dims.size() == 1 ? "its input is [batch, features], not an image"
                                           : "its input has no height and width");
  }
  return materialised(node, value);
}

Result<ValueId> OnnxReader::by_channels(const OnnxNode& node, int i) {
  PCM_ASSIGN(const Value value, value_of(node, i));
  return materialised(node, value);
}

Result<ValueId> OnnxReader::materialised(const OnnxNode& node, const Value& value) {
  if (value.dims.size() != 1 && value.dims.size() != 3) {
    return node.bad(fmt::format("its input has {} axes", value.dims.size() + 1),
                    "[batch, channels, height, width] or [batch, features] can be run.");
  }
  const ValueShape target = shape_from(value.dims);
  if (value.id == 0 && !input_seen_) network_.shapes[0] = target;  // images are given like this
  input_seen_ = input_seen_ || value.id == 0;
  if (shape_of(value.id) == target) return value.id;
  ValueId id = value.id;
  // First a vector without gaps, then what is wanted.
  const int features = static_cast<int>(element_count(value.dims));
  if (!std::any_of(network_.nodes.begin(), network_.nodes.end(), [&](const Node& other) {
        return other.output == id && (std::holds_alternative<DenseNode>(other.kind) ||
                                      std::holds_alternative<ReshapeNode>(other.kind));
      })) {
    id = add(node, ReshapeNode{features, 1, 1}, {id}, {features, 1, 1});
  }
  if (shape_of(id) == target) return id;
  return add(node, ReshapeNode{target.channels, target.height, target.width}, {id}, target);
}

ValueId OnnxReader::add(const OnnxNode& node, NodeKind kind, std::vector<ValueId> inputs,
                        const ValueShape& shape) {
  const auto output = static_cast<ValueId>(network_.shapes.size());
  network_.shapes.push_back(shape);
  network_.nodes.push_back({node.name(), std::move(kind), std::move(inputs), output});
  return output;
}

Result<void> OnnxReader::append(const OnnxNode& node, NodeKind kind, std::vector<ValueId> inputs,
                                Dims dims) {
  std::vector<ValueShape> shapes;
  shapes.reserve(inputs.size());
  for (const ValueId input : inputs) shapes.push_back(shape_of(input));
  const Node checked{node.name(), std::move(kind), inputs};
  auto shape = output_shape(checked, shapes);
  if (!shape) return tl::unexpected<Error>(shape.error().during("network " + network_.name));
  const std::int64_t plane = std::int64_t{shape->channels} * shape->height;
  if (plane > kMaxElements || plane * shape->width > kMaxElements) {
    return node.bad("its output is too large");
  }
  if (dims.empty()) {
    const bool flat = std::holds_alternative<DenseNode>(checked.kind) || is_flat(node);
    dims = flat ? Dims{shape->channels} : Dims{shape->channels, shape->height, shape->width};
  }
  input_seen_ = input_seen_ || std::find(inputs.begin(), inputs.end(), 0) != inputs.end();
  const ValueId output = add(node, checked.kind, std::move(inputs), *shape);
  values_[node.output()] = {output, std::move(dims)};
  made_as_[output] = node.output();
  return {};
}

bool OnnxReader::is_flat(const OnnxNode& node) const {
  for (int i = 0; i < node.inputs(); ++i) {
    const auto found = values_.find(node.input(i));
    if (found != values_.end()) return found->second.dims.size() == 1;
  }
  return false;
}

std::string OnnxReader::module_of(const OnnxNode& node) const {
  constexpr std::string_view kSuffix = ".weight";
  std::string module = constants_.origin(node.input(1));
  if (module.ends_with(kSuffix)) return module.substr(0, module.size() - kSuffix.size());
  module.clear();
  // "/layer1/layer1.0/conv1/Conv": a part may repeat the one before.
  const std::string& name = node.name();
  std::string before;
  for (std::size_t begin = 1, end = 0; name.starts_with('/'); begin = end + 1) {
    end = name.find('/', begin);
    if (end == std::string::npos) break;  // the operator
    const std::string part = name.substr(begin, end - begin);
    const bool repeats = !before.empty() && part.starts_with(before + ".");
    if (repeats) module.resize(module.size() - before.size());
    if (!repeats && !module.empty()) module += '.';
    module += part;
    before = part;
  }
  return module;
}

Result<Network> parse_network(std::span<const std::byte> onnx, std::string name) {
  if (onnx.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return bad_file(name, "larger than the 2 GB that an ONNX file can have");
  }
  onnx::ModelProto model;
  if (!model.ParseFromArray(onnx.data(), static_cast<int>(onnx.size()))) {
    return bad_file(name, "not an ONNX model, or cut short");
  }
  if (!model.has_graph()) return bad_file(name, "not an ONNX model: it holds no graph");
  PCM_ASSIGN(Network network, OnnxReader(model, std::move(name)).read());
  network.sha256 = sha256_hex(onnx);
  network.file.assign(onnx.begin(), onnx.end());
  return network;
}

Result<Network> load_network(const std::filesystem::path& file) {
  std::error_code status;
  if (!std::filesystem::exists(file, status)) {
    return fail(ErrorCode::NotFound, fmt::format("there is no network file {}", file.string()));
  }
  std::ifstream stream(file, std::ios::binary);
  std::vector<char> bytes;
  constexpr std::size_t kChunk = 1 << 20;
  while (stream) {
    const std::size_t old = bytes.size();
    bytes.resize(old + kChunk);
    stream.read(bytes.data() + old, kChunk);
    bytes.resize(old + static_cast<std::size_t>(stream.gcount()));
  }
  if (!stream.eof()) {
    return fail(ErrorCode::Io, fmt::format("cannot read network file {}", file.string()),
                "Check that it is a file and that you may read it.");
  }
  return parse_network(std::as_bytes(std::span(bytes)), file.stem().string());
}

}  // namespace pcmlab
