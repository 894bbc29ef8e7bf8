// SPDX-License-Identifier: Apache-2.0
// Reads the ONNX operators that a network of NodeKinds is made of. Shape-only operators (Flatten,
// Reshape to a vector) and Identity become aliases of values; they leave no node behind.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <onnx/onnx_pb.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <initializer_list>
#include <limits>
#include <optional>
#include <unordered_map>
#include <unordered_set>

#include "experiments/network/network.h"
#include "experiments/network/sha256.h"

namespace pcmlab {
namespace {

constexpr std::string_view kOperators =
    "Add, BatchNormalization, Constant, Conv, Flatten, Gemm, GlobalAveragePool, Identity, "
    "ReduceMean over height and width, Relu, Reshape to [batch, features]";

/// Larger extents than this are taken for a damaged file.
constexpr std::int64_t kMaxExtent = 1 << 20;
constexpr std::int64_t kMaxElements = 1 << 28;

tl::unexpected<Error> bad_file(const std::string& network, const std::string& what) {
  return fail(ErrorCode::BadFile, fmt::format("network {}: {}", network, what),
              "Export the network again, or copy the file again.");
}

class Reader {
 public:
  Reader(const onnx::ModelProto& model, std::string name) : model_(model) {
    network_.name = std::move(name);
  }

  Result<Network> read() {
    PCM_TRY(check_opset());
    PCM_TRY(collect_tensors());
    PCM_TRY(read_input());
    for (int i = 0; i < model_.graph().node_size(); ++i) {
      PCM_TRY(read_node(model_.graph().node(i), i));
    }
    PCM_TRY(read_output());
    for (const auto& entry : model_.metadata_props()) {
      network_.metadata[entry.key()] = entry.value();
    }
    return std::move(network_);
  }

 private:
  /// A value under one of its names. `flat`: seen as [batch, features] instead of
  /// [batch, channels, height, width]; the order in memory is the same.
  struct Value {
    ValueId id = 0;
    bool flat = false;
  };
  using Dims = std::vector<std::int64_t>;

  // ---- errors -----------------------------------------------------------------------------------

  tl::unexpected<Error> bad(std::string what, std::string advice = {}) const {
    return fail(ErrorCode::BadNetwork, fmt::format("network {}: {}", network_.name, what),
                std::move(advice));
  }
  tl::unexpected<Error> bad_node(const std::string& what, std::string advice = {}) const {
    return bad(fmt::format("node {} ({}): {}", node_name_, op_, what), std::move(advice));
  }

  // ---- the file's head --------------------------------------------------------------------------

  Result<void> check_opset() {
    for (const auto& opset : model_.opset_import()) {
      if (!opset.domain().empty() && opset.domain() != "ai.onnx") continue;
      if (opset.version() >= 7) return {};
      return bad(fmt::format("it was written for ONNX operator set {}", opset.version()),
                 "Export it with operator set 7 or later; 13 is tested.");
    }
    return bad_file(network_.name, "not an ONNX model, or cut short: it names no operator set");
  }

  Result<void> collect_tensors() {
    for (const auto& tensor : model_.graph().initializer()) tensors_[tensor.name()] = &tensor;
    return {};
  }

  Result<void> read_input() {
    const onnx::ValueInfoProto* input = nullptr;
    for (const auto& candidate : model_.graph().input()) {
      if (tensors_.contains(candidate.name())) continue;  // an initialiser listed as input too
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
    std::array<std::int64_t, 3> extent{1, 1, 1};
    for (int axis = 1; axis < dims.size(); ++axis) {
      const std::int64_t size = dims[axis].dim_value();
      if (size < 1 || size > kMaxExtent) {
        return bad(fmt::format("axis {} of its input {} has no fixed size", axis, input->name()),
                   "Export it with a fixed image size; only the batch may be left open.");
      }
      extent[static_cast<std::size_t>(axis) - 1] = size;
    }
    if (extent[0] * extent[1] > kMaxElements || extent[0] * extent[1] * extent[2] > kMaxElements) {
      return bad(fmt::format("its input {} is too large", input->name()));
    }
    network_.shapes.push_back(
        {static_cast<int>(extent[0]), static_cast<int>(extent[1]), static_cast<int>(extent[2])});
    values_[input->name()] = {0, dims.size() == 2};
    return {};
  }

  Result<void> read_output() {
    if (model_.graph().output_size() != 1) {
      return bad(fmt::format("it has {} outputs; one, the logits, can be run",
                             model_.graph().output_size()));
    }
    const std::string& name = model_.graph().output(0).name();
    const auto found = values_.find(name);
    if (found == values_.end()) return bad(fmt::format("no node makes its output {}", name));
    if (found->second.id == 0) return bad(fmt::format("its output {} is its input", name));
    network_.output = found->second.id;
    return {};
  }

  // ---- nodes ------------------------------------------------------------------------------------

  Result<void> read_node(const onnx::NodeProto& node, int number) {
    node_ = &node;
    op_ = node.op_type();
    node_name_ = node.name().empty() ? fmt::format("{}_{}", op_, number) : node.name();
    const bool standard = node.domain().empty() || node.domain() == "ai.onnx";
    if (node.output_size() < 1) return bad_node("it has no output");
    if (standard && op_ == "Constant") return read_constant();
    if (standard && op_ == "Identity") return read_identity();
    if (standard && op_ == "Flatten") return read_flatten();
    if (standard && op_ == "Reshape") return read_reshape();
    if (standard && op_ == "Conv") return read_conv();
    if (standard && op_ == "BatchNormalization") return read_batch_norm();
    if (standard && op_ == "Relu") return append(ReluNode{}, 1);
    if (standard && op_ == "Add") return append(AddNode{}, 2);
    if (standard && op_ == "GlobalAveragePool") return append(GlobalAverageNode{}, 1);
    if (standard && op_ == "ReduceMean") return read_reduce_mean();
    if (standard && op_ == "Gemm") return read_gemm();
    return bad_node("this operator cannot be run", fmt::format("What can be run: {}.", kOperators));
  }

  Result<void> read_constant() {
    if (const auto* value = attribute("value"); value != nullptr && value->has_t()) {
      tensors_[node_->output(0)] = &value->t();
      return {};
    }
    return bad_node("only constants given as a tensor can be read");
  }

  Result<void> read_identity() {
    if (node_->input_size() != 1) return bad_node("it must have one input");
    const std::string& from = node_->input(0);
    if (const auto tensor = tensors_.find(from); tensor != tensors_.end()) {
      const auto* held = tensor->second;
      tensors_[node_->output(0)] = held;
      return {};
    }
    PCM_ASSIGN(const Value value, value_of(0));
    values_[node_->output(0)] = value;
    return {};
  }

  Result<void> read_flatten() {
    if (integer("axis", 1) != 1) return bad_node("only axis 1 can be flattened from");
    PCM_ASSIGN(const Value value, value_of(0));
    values_[node_->output(0)] = {value.id, true};
    return {};
  }

  Result<void> read_reshape() {
    PCM_ASSIGN(const Value value, value_of(0));
    PCM_ASSIGN(const Dims target, integers_of(1));
    const ValueShape& shape = shape_of(value);
    const std::int64_t features = std::int64_t{shape.channels} * shape.height * shape.width;
    const bool same_batch =
        target.size() == 2 && (target[0] == 0 || target[0] == -1 || target[0] == batch_);
    const bool same_features =
        target.size() == 2 && (target[1] == features || (target[1] == -1 && target[0] != -1));
    if (!same_batch || !same_features) {
      return bad_node(fmt::format("cannot reshape to [{}]", fmt::join(target, ", ")),
                      fmt::format("Only [batch, {}] can be run here.", features));
    }
    values_[node_->output(0)] = {value.id, true};
    return {};
  }

  Result<void> read_conv() {
    PCM_ASSIGN(const Dims dims, dims_of(1));
    if (dims.size() != 4) return bad_node("only two-dimensional convolutions can be run");
    PCM_ASSIGN(const Dims strides, list("strides", {1, 1}));
    PCM_ASSIGN(const Dims dilations, list("dilations", {1, 1}));
    PCM_ASSIGN(const Dims pads, list("pads", {0, 0, 0, 0}));
    PCM_ASSIGN(const Dims kernel, list("kernel_shape", {dims[2], dims[3]}));
    const std::int64_t groups = integer("group", 1);
    if (dilations != Dims{1, 1}) return bad_node("dilated convolutions cannot be run");
    if (const auto* pad = attribute("auto_pad"); pad != nullptr && pad->s() != "NOTSET") {
      return bad_node(fmt::format("auto_pad {} cannot be run", pad->s()),
                      "Export it with explicit pads.");
    }
    if (kernel != Dims{dims[2], dims[3]}) {
      return bad_node(fmt::format("kernel_shape {} does not fit its weights, {}",
                                  fmt::join(kernel, "x"), fmt::join(dims, "x")));
    }
    const auto in_range = [](std::int64_t low) {
      return [low](std::int64_t n) { return n >= low && n <= kMaxExtent; };
    };
    if (!std::all_of(strides.begin(), strides.end(), in_range(1)) ||
        !std::all_of(pads.begin(), pads.end(), in_range(0))) {
      return bad_node(fmt::format("strides {} or pads {} are out of range", fmt::join(strides, "x"),
                                  fmt::join(pads, ",")));
    }
    if (groups < 1 || dims[0] % groups != 0 || dims[1] * groups > kMaxExtent) {
      return bad_node(
          fmt::format("{} groups do not divide its weights, {}", groups, fmt::join(dims, "x")));
    }
    ConvNode conv;
    conv.out_channels = static_cast<int>(dims[0]);
    conv.in_channels = static_cast<int>(dims[1] * groups);
    conv.kernel_h = static_cast<int>(dims[2]);
    conv.kernel_w = static_cast<int>(dims[3]);
    conv.stride_h = static_cast<int>(strides[0]);
    conv.stride_w = static_cast<int>(strides[1]);
    for (std::size_t side = 0; side < 4; ++side) conv.pads[side] = static_cast<int>(pads[side]);
    conv.groups = static_cast<int>(groups);
    PCM_ASSIGN(conv.weights, floats_of(1, "weights"));
    if (has_input(2)) {
      PCM_ASSIGN(conv.bias, vector_of(2, "bias", dims[0]));
    }
    return append(std::move(conv), 1);
  }

  Result<void> read_batch_norm() {
    if (integer("training_mode", 0) != 0) {
      return bad_node("it is in training mode", "Export the network in evaluation mode.");
    }
    PCM_ASSIGN(const Dims dims, dims_of(1));
    if (dims.size() != 1) return bad_node("its scale is not one number a channel");
    BatchNormNode norm;
    norm.epsilon = 1e-5f;
    if (const auto* epsilon = attribute("epsilon"); epsilon != nullptr) norm.epsilon = epsilon->f();
    PCM_ASSIGN(norm.gamma, vector_of(1, "scale", dims[0]));
    PCM_ASSIGN(norm.beta, vector_of(2, "bias", dims[0]));
    PCM_ASSIGN(norm.mean, vector_of(3, "mean", dims[0]));
    PCM_ASSIGN(norm.variance, vector_of(4, "variance", dims[0]));
    if (!(norm.epsilon >= 0) || std::any_of(norm.variance.begin(), norm.variance.end(),
                                            [&](float v) { return !(v + norm.epsilon > 0); })) {
      return bad_node("its variance is zero or negative");
    }
    return append(std::move(norm), 1);
  }

  Result<void> read_reduce_mean() {
    Dims axes;
    if (has_input(1)) {
      PCM_ASSIGN(axes, integers_of(1));  // operator set 18
    } else {
      PCM_ASSIGN(axes, list("axes", {}));
    }
    for (std::int64_t& axis : axes) axis = axis < 0 ? axis + 4 : axis;
    std::sort(axes.begin(), axes.end());
    if (axes != Dims{2, 3}) {
      return bad_node(fmt::format("cannot take the mean over axes [{}]", fmt::join(axes, ", ")),
                      "Only the mean over height and width (axes 2 and 3) can be run.");
    }
    const bool flat = integer("keepdims", 1) == 0;
    PCM_TRY(append(GlobalAverageNode{}, 1));
    values_[node_->output(0)].flat = flat;
    return {};
  }

  Result<void> read_gemm() {
    const auto one = [&](const char* name) {
      const auto* value = attribute(name);
      return value == nullptr || value->f() == 1.0f;
    };
    if (!one("alpha") || !one("beta") || integer("transA", 0) != 0) {
      return bad_node("only alpha = beta = 1 and transA = 0 can be run");
    }
    PCM_ASSIGN(const Dims dims, dims_of(1));
    if (dims.size() != 2) return bad_node("its weights are not a matrix");
    PCM_ASSIGN(std::vector<float> weights, floats_of(1, "weights"));
    const bool out_by_in = integer("transB", 0) != 0;
    DenseNode dense;
    dense.out_features = static_cast<int>(out_by_in ? dims[0] : dims[1]);
    dense.in_features = static_cast<int>(out_by_in ? dims[1] : dims[0]);
    if (out_by_in) {
      dense.weights = std::move(weights);
    } else {
      const auto outs = static_cast<std::size_t>(dense.out_features);
      const auto ins = static_cast<std::size_t>(dense.in_features);
      dense.weights.resize(weights.size());
      for (std::size_t out = 0; out < outs; ++out) {
        for (std::size_t in = 0; in < ins; ++in) {
          dense.weights[out * ins + in] = weights[in * outs + out];
        }
      }
    }
    if (has_input(2)) {
      PCM_ASSIGN(dense.bias, vector_of(2, "bias", dense.out_features));
    }
    return append(std::move(dense), 1);
  }

  /// Adds a node that takes its first `count` inputs from other nodes.
  Result<void> append(NodeKind kind, int count) {
    Node added{node_name_, std::move(kind), {}, static_cast<ValueId>(network_.shapes.size())};
    std::vector<ValueShape> shapes;
    std::optional<bool> flat;
    for (int i = 0; i < count; ++i) {
      PCM_ASSIGN(const Value value, value_of(i));
      if (flat.has_value() && *flat != value.flat) {
        return bad_node("it mixes a flattened value with one that is not");
      }
      flat = value.flat;
      added.inputs.push_back(value.id);
      shapes.push_back(shape_of(value));
    }
    const bool spatial = std::holds_alternative<ConvNode>(added.kind) ||
                         std::holds_alternative<GlobalAverageNode>(added.kind);
    const bool vectors = std::holds_alternative<DenseNode>(added.kind);
    if (spatial && *flat) return bad_node("its input is [batch, features], not an image");
    if (vectors && !*flat) {
      return bad_node("its input is an image, not [batch, features]", "Put a Flatten before it.");
    }
    auto shape = output_shape(added, shapes);
    if (!shape) return tl::unexpected<Error>(shape.error().during("network " + network_.name));
    const std::int64_t plane = std::int64_t{shape->channels} * shape->height;
    if (plane > kMaxElements || plane * shape->width > kMaxElements) {
      return bad_node("its output is too large");
    }
    values_[node_->output(0)] = {added.output, *flat};
    network_.shapes.push_back(*shape);
    network_.nodes.push_back(std::move(added));
    return {};
  }

  // ---- values, attributes, tensors --------------------------------------------------------------

  const ValueShape& shape_of(const Value& value) const {
    return network_.shapes[static_cast<std::size_t>(value.id)];
  }

  bool has_input(int i) const { return i < node_->input_size() && !node_->input(i).empty(); }

  Result<Value> value_of(int i) const {
    if (!has_input(i)) return bad_node(fmt::format("input {} is missing", i));
    const auto found = values_.find(node_->input(i));
    if (found != values_.end()) return found->second;
    if (tensors_.contains(node_->input(i))) {
      return bad_node(
          fmt::format("input {} is a constant; it must come from another node", node_->input(i)));
    }
    return bad_node(fmt::format("nothing before it makes its input {}", node_->input(i)));
  }

  const onnx::AttributeProto* attribute(std::string_view name) const {
    for (const auto& candidate : node_->attribute()) {
      if (candidate.name() == name) return &candidate;
    }
    return nullptr;
  }

  std::int64_t integer(std::string_view name, std::int64_t otherwise) const {
    const auto* found = attribute(name);
    return found == nullptr ? otherwise : found->i();
  }

  /// An attribute of as many integers as `otherwise` has; an empty `otherwise` takes any number.
  Result<Dims> list(std::string_view name, const Dims& otherwise) const {
    const auto* found = attribute(name);
    if (found == nullptr) return otherwise;
    if (!otherwise.empty() && static_cast<std::size_t>(found->ints_size()) != otherwise.size()) {
      return bad_node(fmt::format("attribute {} has {} numbers instead of {}", name,
                                  found->ints_size(), otherwise.size()));
    }
    return Dims(found->ints().begin(), found->ints().end());
  }

  Result<const onnx::TensorProto*> tensor_of(int i) const {
    if (!has_input(i)) return bad_node(fmt::format("input {} is missing", i));
    const auto found = tensors_.find(node_->input(i));
    if (found == tensors_.end()) {
      return bad_node(fmt::format("input {} is not stored in the file", node_->input(i)),
                      "Weights must be initialisers, not computed by the graph.");
    }
    if (found->second->data_location() == onnx::TensorProto::EXTERNAL) {
      return bad_node(fmt::format("input {} is kept in a separate file", node_->input(i)),
                      "Export the network with its weights inside the ONNX file.");
    }
    return found->second;
  }

  Result<Dims> dims_of(int i) const {
    PCM_ASSIGN(const onnx::TensorProto* tensor, tensor_of(i));
    std::int64_t product = 1;
    for (const std::int64_t n : tensor->dims()) {
      if (n < 1 || n > kMaxExtent || (product *= n) > kMaxElements) {
        return bad_node(fmt::format("input {} has the impossible shape {}", node_->input(i),
                                    fmt::join(tensor->dims(), "x")));
      }
    }
    return Dims(tensor->dims().begin(), tensor->dims().end());
  }

  /// Bytes of tensor i, which must hold exactly `bytes` of them.
  Result<std::vector<float>> floats_of(int i, std::string_view what) const {
    PCM_ASSIGN(const onnx::TensorProto* tensor, tensor_of(i));
    PCM_ASSIGN(const Dims dims, dims_of(i));
    if (tensor->data_type() != onnx::TensorProto::FLOAT) {
      return bad_node(fmt::format("its {} {} are not float32", what, node_->input(i)),
                      "Export the network in float32.");
    }
    std::size_t count = 1;
    for (const std::int64_t n : dims) count *= static_cast<std::size_t>(n);
    const bool raw = tensor->has_raw_data();
    const std::size_t stored = raw ? tensor->raw_data().size() / sizeof(float)
                                   : static_cast<std::size_t>(tensor->float_data_size());
    if (stored != count || (raw && tensor->raw_data().size() % sizeof(float) != 0)) {
      return bad_file(network_.name,
                      fmt::format("node {} ({}): {} {} should hold {} numbers and holds {}",
                                  node_name_, op_, what, node_->input(i), count, stored));
    }
    std::vector<float> numbers(count);
    std::memcpy(numbers.data(),
                raw ? static_cast<const void*>(tensor->raw_data().data())
                    : static_cast<const void*>(tensor->float_data().data()),
                count * sizeof(float));
    if (!std::all_of(numbers.begin(), numbers.end(), [](float v) { return std::isfinite(v); })) {
      return bad_node(fmt::format("its {} {} hold NaN or infinite numbers", what, node_->input(i)),
                      "The training diverged, or the file is damaged.");
    }
    return numbers;
  }

  Result<std::vector<float>> vector_of(int i, std::string_view what, std::int64_t length) const {
    PCM_ASSIGN(std::vector<float> numbers, floats_of(i, what));
    if (numbers.size() != static_cast<std::size_t>(length)) {
      return bad_node(fmt::format("its {} {} has {} numbers instead of {}", what, node_->input(i),
                                  numbers.size(), length));
    }
    return numbers;
  }

  Result<Dims> integers_of(int i) const {
    PCM_ASSIGN(const onnx::TensorProto* tensor, tensor_of(i));
    if (tensor->data_type() != onnx::TensorProto::INT64) {
      return bad_node(fmt::format("input {} is not a list of integers", node_->input(i)));
    }
    if (!tensor->has_raw_data()) {
      return Dims(tensor->int64_data().begin(), tensor->int64_data().end());
    }
    Dims numbers(tensor->raw_data().size() / sizeof(std::int64_t));
    std::memcpy(numbers.data(), tensor->raw_data().data(), numbers.size() * sizeof(std::int64_t));
    return numbers;
  }

  const onnx::ModelProto& model_;
  Network network_;
  std::unordered_map<std::string, const onnx::TensorProto*> tensors_;
  std::unordered_map<std::string, Value> values_;
  std::int64_t batch_ = 0;  ///< of the graph's input; 0 = left open
  const onnx::NodeProto* node_ = nullptr;
  std::string node_name_;
  std::string op_;
};

}  // namespace

Result<Network> parse_network(std::span<const std::byte> onnx, std::string name) {
  if (onnx.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    return bad_file(name, "larger than the 2 GB that an ONNX file can have");
  }
  onnx::ModelProto model;
  if (!model.ParseFromArray(onnx.data(), static_cast<int>(onnx.size()))) {
    return bad_file(name, "not an ONNX model, or cut short");
  }
  if (!model.has_graph()) return bad_file(name, "not an ONNX model: it holds no graph");
  PCM_ASSIGN(Network network, Reader(model, std::move(name)).read());
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
