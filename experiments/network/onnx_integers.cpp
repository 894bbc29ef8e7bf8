// SPDX-License-Identifier: Apache-2.0
// OnnxConstants: what PyTorch computes from shapes, with integers alone.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "experiments/network/onnx_constants.h"

namespace pcmlab {
namespace {

/// Beyond this, sums and products are no shapes.
constexpr std::int64_t kMaxInteger = std::int64_t{1} << 31;

/// A shape of as many numbers, with at most one -1.
std::optional<Dims> completed(Dims shape, std::int64_t count) {
  std::int64_t known = 1;
  std::int64_t* open = nullptr;
  for (std::int64_t& size : shape) {
    if (size == -1 && open == nullptr) {
      open = &size;
    } else if (size < 1 || (known *= size) > count) {
      return std::nullopt;
    }
  }
  if (open != nullptr) *open = count / known;
  if (shape.size() > 2 || element_count(shape) != count) return std::nullopt;
  return shape;
}

}  // namespace

/// Nodes whose inputs are all integers.
Result<bool> OnnxConstants::fold_integers(const OnnxNode& node) {
  const std::string& op = node.op();
  PCM_ASSIGN(const Dims first, integers(node, 0));
  PCM_ASSIGN(const Dims shape, dims(node, 0));
  const auto size = static_cast<std::int64_t>(first.size());
  if (op == "Cast") {
    keep(node, first, shape);
  } else if (op == "Unsqueeze") {
    if (!shape.empty()) return node.bad("only a single integer can become a list");
    keep(node, first);
  } else if (op == "Squeeze") {
    if (size != 1) return node.bad("only a list of one integer can become a single one");
    keep(node, first, {});
  } else if (op == "Concat") {
    Dims all;
    for (int i = 0; i < node.inputs(); ++i) {
      PCM_ASSIGN(const Dims part, integers(node, i));
      all.insert(all.end(), part.begin(), part.end());
    }
    if (all.size() > kMaxIntegers || shape.size() > 1) {
      return node.bad("only short lists of integers can be joined");
    }
    keep(node, std::move(all));
  } else if (op == "Gather") {
    PCM_ASSIGN(const Dims indices, integers(node, 1));
    PCM_ASSIGN(Dims index_shape, dims(node, 1));
    Dims picked;
    for (const std::int64_t index : indices) {
      const std::int64_t place = index < 0 ? index + size : index;
      if (place < 0 || place >= size || shape.size() != 1) {
        return node.bad(
            fmt::format("index {} is outside the {} numbers it takes from", index, size));
      }
      picked.push_back(first[static_cast<std::size_t>(place)]);
    }
    keep(node, std::move(picked), std::move(index_shape));
  } else if (op == "Reshape") {
    PCM_ASSIGN(const Dims wanted, integers(node, 1));
    auto target = completed(wanted, size);
    if (!target) return node.bad("its integers do not have the shape it is to make");
    keep(node, first, std::move(*target));
  } else if (op == "Transpose") {
    if (shape.size() != 2) return node.bad("only a matrix of integers can be transposed");
    Dims turned;
    for (std::int64_t column = 0; column < shape[1]; ++column) {
      for (std::int64_t row = 0; row < shape[0]; ++row) {
        turned.push_back(first[static_cast<std::size_t>(row * shape[1] + column)]);
      }
    }
    keep(node, std::move(turned), {shape[1], shape[0]});
  } else if (op == "ConstantOfShape") {
    const auto* value = node.attribute("value");
    const auto count = element_count(first);
    const bool list =
        first.size() == 1 && count >= 0 && count <= static_cast<std::int64_t>(kMaxIntegers);
    if (!list || value == nullptr || value->t().data_type() != onnx::TensorProto::INT64 ||
        value->t().raw_data().find_first_not_of('\0') != std::string::npos ||
        std::any_of(value->t().int64_data().begin(), value->t().int64_data().end(),
                    [](std::int64_t n) { return n != 0; })) {
      return node.bad("only a short list of zeros can be made");
    }
    keep(node, Dims(static_cast<std::size_t>(count), 0));
  } else if (op == "Slice") {
    PCM_TRY(slice(node));
  } else {
    return fold_arithmetic(node);
  }
  return true;
}

/// Numbers of a list, or rows of a matrix.
Result<void> OnnxConstants::slice(const OnnxNode& node) {
  PCM_ASSIGN(const Dims all, integers(node, 0));
  PCM_ASSIGN(Dims shape, dims(node, 0));
  PCM_ASSIGN(const Dims begins, integers(node, 1));
  PCM_ASSIGN(const Dims ends, integers(node, 2));
  Dims axes{0}, steps{1};
  if (node.has_input(3)) {
    PCM_ASSIGN(axes, integers(node, 3));
  }
  if (node.has_input(4)) {
    PCM_ASSIGN(steps, integers(node, 4));
  }
  const bool known = steps == Dims{1} || steps == Dims{-1};
  if (begins.size() != 1 || ends.size() != 1 || axes != Dims{0} || !known || shape.empty()) {
    return node.bad("only the first axis can be sliced, with step 1 or -1");
  }
  const bool backwards = steps[0] < 0;
  const std::int64_t rows = shape[0];
  const auto place = [&](std::int64_t row) {
    if (row < 0) row += rows;
    return backwards ? std::clamp<std::int64_t>(row, -1, rows - 1)
                     : std::clamp<std::int64_t>(row, 0, rows);
  };
  const std::int64_t width = rows == 0 ? 0 : static_cast<std::int64_t>(all.size()) / rows;
  Dims taken;
  const std::int64_t end = place(ends[0]);
  shape[0] = 0;
  for (std::int64_t row = place(begins[0]); backwards ? row > end : row < end; row += steps[0]) {
    const auto from = all.begin() + row * width;
    taken.insert(taken.end(), from, from + width);
    ++shape[0];
  }
  keep(node, std::move(taken), std::move(shape));
  return {};
}

Result<bool> OnnxConstants::fold_arithmetic(const OnnxNode& node) {
  const std::string& op = node.op();
  if (op != "Mul" && op != "Add" && op != "Sub" && op != "Div") return false;
  PCM_ASSIGN(const Dims first, integers(node, 0));
  PCM_ASSIGN(const Dims second, integers(node, 1));
  PCM_ASSIGN(const Dims shape, dims(node, 0));
  PCM_ASSIGN(const Dims other, dims(node, 1));
  if (first.empty() || second.empty() || shape.size() > 1 || other.size() > 1 ||
      (first.size() != second.size() && first.size() != 1 && second.size() != 1)) {
    return node.bad("its lists of integers have different lengths");
  }
  Dims results;
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    const std::int64_t a = first[first.size() == 1 ? 0 : i];
    const std::int64_t b = second[second.size() == 1 ? 0 : i];
    const bool unknown = a == kBatch || b == kBatch;
    if (unknown || std::abs(a) > kMaxInteger || std::abs(b) > kMaxInteger ||
        (op == "Div" && b == 0)) {
      return node.bad(unknown ? "it computes with the size of the batch, which is not known"
                              : fmt::format("it computes with {} and {}", a, b));
    }
    results.push_back(op == "Mul" ? a * b : op == "Add" ? a + b : op == "Sub" ? a - b : a / b);
  }
  if (shape.empty() && other.empty()) {
    keep(node, std::move(results), {});
  } else {
    keep(node, std::move(results));
  }
  return true;
}

}  // namespace pcmlab
