// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/onnx_constants.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <numeric>

namespace pcmlab {
namespace {

bool is_integer(const onnx::TensorProto& tensor) {
  return tensor.data_type() == onnx::TensorProto::INT64 ||
         tensor.data_type() == onnx::TensorProto::INT32;
}

/// Numbers of a type kept as raw bytes or as a list.
template <class Number, class List>
std::optional<std::vector<Number>> numbers_of(const onnx::TensorProto& tensor, const List& list,
                                              std::size_t count) {
  const std::string& raw = tensor.raw_data();
  if (!tensor.has_raw_data()) {
    if (static_cast<std::size_t>(list.size()) != count) return std::nullopt;
    return std::vector<Number>(list.begin(), list.end());
  }
  if (raw.size() != count * sizeof(Number)) return std::nullopt;
  std::vector<Number> numbers(count);
  std::memcpy(numbers.data(), raw.data(), raw.size());
  return numbers;
}

}  // namespace

std::int64_t element_count(const Dims& dims) {
  return std::accumulate(dims.begin(), dims.end(), std::int64_t{1}, std::multiplies<>());
}

std::string OnnxConstants::origin(const std::string& name) const {
  const auto found = constants_.find(name);
  if (found == constants_.end() || found->second.tensor == nullptr) return {};
  return found->second.tensor->name();
}

Result<const OnnxConstants::Constant*> OnnxConstants::find(const OnnxNode& node, int i) const {
  if (!node.has_input(i)) return node.missing(i);
  const auto found = constants_.find(node.input(i));
  if (found == constants_.end()) {
    return node.bad(fmt::format("input {} is not stored in the file", node.input(i)),
                    "Weights must be initialisers, not computed by the graph.");
  }
  const onnx::TensorProto* tensor = found->second.tensor;
  if (tensor != nullptr && tensor->data_location() == onnx::TensorProto::EXTERNAL) {
    return node.bad(fmt::format("input {} is kept in a separate file", node.input(i)),
                    "Export the network with its weights inside the ONNX file.");
  }
  return &found->second;
}

Result<Dims> OnnxConstants::dims(const OnnxNode& node, int i) const {
  PCM_ASSIGN(const Constant* constant, find(node, i));
  if (constant->tensor == nullptr) {
    return constant->shape;
  }
  const onnx::TensorProto& tensor = *constant->tensor;
  std::int64_t product = 1;
  for (const std::int64_t n : tensor.dims()) {
    if (n < 1 || n > kMaxExtent || (product *= n) > kMaxElements) {
      return node.bad(fmt::format("input {} has the impossible shape {}", node.input(i),
                                  fmt::join(tensor.dims(), "x")));
    }
  }
  Dims dims(tensor.dims().begin(), tensor.dims().end());
  if (constant->transposed) std::reverse(dims.begin(), dims.end());
  return dims;
}

Result<std::vector<float>> OnnxConstants::floats(const OnnxNode& node, int i,
                                                 std::string_view what) const {
  PCM_ASSIGN(const Constant* constant, find(node, i));
  PCM_ASSIGN(const Dims shape, dims(node, i));
  if (constant->tensor == nullptr || constant->tensor->data_type() != onnx::TensorProto::FLOAT) {
    return node.bad(fmt::format("its {} {} are not float32", what, node.input(i)),
                    "Export the network in float32.");
  }
  const onnx::TensorProto& tensor = *constant->tensor;
  auto stored = numbers_of<float>(tensor, tensor.float_data(),
                                  static_cast<std::size_t>(element_count(shape)));
  if (!stored) {
    const std::size_t found = tensor.has_raw_data()
                                  ? tensor.raw_data().size() / sizeof(float)
                                  : static_cast<std::size_t>(tensor.float_data_size());
    return bad_file(node.network(),
                    fmt::format("node {} ({}): {} {} should hold {} numbers and holds {}",
                                node.name(), node.op(), what, node.input(i),
                                static_cast<std::size_t>(element_count(shape)), found));
  }
  if (!std::all_of(stored->begin(), stored->end(), [](float v) { return std::isfinite(v); })) {
    return node.bad(fmt::format("its {} {} hold NaN or infinite numbers", what, node.input(i)),
                    "The training diverged, or the file is damaged.");
  }
  if (!constant->transposed) return std::move(*stored);
  const auto rows = static_cast<std::size_t>(shape[0]),
             columns = static_cast<std::size_t>(shape[1]);
  std::vector<float> turned(stored->size());
  for (std::size_t row = 0; row < rows; ++row) {
    for (std::size_t c = 0; c < columns; ++c) turned[row * columns + c] = (*stored)[c * rows + row];
  }
  return turned;
}

Result<std::vector<float>> OnnxConstants::vector(const OnnxNode& node, int i, std::string_view what,
                                                 std::int64_t length) const {
  PCM_ASSIGN(std::vector<float> numbers, floats(node, i, what));
  if (numbers.size() != static_cast<std::size_t>(length)) {
    return node.bad(fmt::format("its {} {} has {} numbers instead of {}", what, node.input(i),
                                numbers.size(), length));
  }
  return numbers;
}

Result<float> OnnxConstants::number(const OnnxNode& node, int i, std::string_view what,
                                    float otherwise) const {
  if (!node.has_input(i)) return otherwise;
  PCM_ASSIGN(const std::vector<float> numbers, vector(node, i, what, 1));
  return numbers[0];
}

Result<Dims> OnnxConstants::integers(const OnnxNode& node, int i) const {
  PCM_ASSIGN(const Constant* constant, find(node, i));
  if (constant->tensor == nullptr) return constant->integers;
  const onnx::TensorProto& tensor = *constant->tensor;
  PCM_ASSIGN(const Dims shape, dims(node, i));
  if (!is_integer(tensor) || shape.size() > 2 ||
      static_cast<std::size_t>(element_count(shape)) > kMaxIntegers) {
    return node.bad(fmt::format("input {} is not a list of integers", node.input(i)));
  }
  std::optional<Dims> numbers;
  if (tensor.data_type() == onnx::TensorProto::INT64) {
    numbers = numbers_of<std::int64_t>(tensor, tensor.int64_data(),
                                       static_cast<std::size_t>(element_count(shape)));
  } else if (const auto narrow = numbers_of<std::int32_t>(
                 tensor, tensor.int32_data(), static_cast<std::size_t>(element_count(shape)))) {
    numbers.emplace(narrow->begin(), narrow->end());
  }
  if (!numbers) {
    return bad_file(node.network(), fmt::format("node {} ({}): {} holds more or fewer numbers than "
                                                "its shape says",
                                                node.name(), node.op(), node.input(i)));
  }
  return *numbers;
}

void OnnxConstants::keep(const OnnxNode& node, Dims integers) {
  Dims shape{static_cast<std::int64_t>(integers.size())};
  keep(node, std::move(integers), std::move(shape));
}

void OnnxConstants::keep(const OnnxNode& node, Dims integers, Dims shape) {
  constants_[node.output()] = {nullptr, false, std::move(integers), std::move(shape)};
}

bool OnnxConstants::are_integers(const OnnxNode& node) const {
  for (int i = 0; i < node.inputs(); ++i) {
    if (!node.has_input(i)) continue;
    const auto found = constants_.find(node.input(i));
    if (found == constants_.end()) return false;
    if (found->second.tensor != nullptr && !is_integer(*found->second.tensor)) return false;
  }
  return node.inputs() > 0;
}

Result<bool> OnnxConstants::fold(const OnnxNode& node, const std::optional<Dims>& shape) {
  const std::string& op = node.op();
  if (op == "Constant") {
    if (const auto* value = node.attribute("value"); value != nullptr && value->has_t()) {
      constants_[node.output()] = {&value->t(), false, {}, {}};
    } else if (const auto* one = node.attribute("value_int"); one != nullptr) {
      keep(node, {one->i()}, {});
    } else if (const auto* list = node.attribute("value_ints"); list != nullptr) {
      keep(node, Dims(list->ints().begin(), list->ints().end()));
    } else {
      return node.bad("only constants given as a tensor or as integers can be read");
    }
    return true;
  }
  if (op == "Shape" && shape.has_value()) {
    const auto rank = static_cast<std::int64_t>(shape->size());
    const auto place = [&](std::int64_t axis) {
      return std::clamp<std::int64_t>(axis < 0 ? axis + rank : axis, 0, rank);
    };
    const std::int64_t begin = place(node.integer("start", 0));
    const std::int64_t end = std::max(begin, place(node.integer("end", rank)));
    keep(node, Dims(shape->begin() + begin, shape->begin() + end));
    return true;
  }
  if (node.inputs() == 0 || !node.has_input(0) || !contains(node.input(0))) return false;
  if (op == "Identity") {
    const Constant held = constants_.at(node.input(0));
    constants_[node.output()] = held;
    return true;
  }
  if (are_integers(node)) return fold_integers(node);
  if (op == "Transpose") {
    PCM_ASSIGN(const Dims order, node.list("perm", {1, 0}));
    PCM_ASSIGN(const Dims old, dims(node, 0));
    if (order != Dims{1, 0} || old.size() != 2) {
      return node.bad("only a matrix of weights can be transposed");
    }
    Constant turned = constants_.at(node.input(0));
    turned.transposed = !turned.transposed;
    constants_[node.output()] = turned;
    return true;
  }
  return false;
}

}  // namespace pcmlab
