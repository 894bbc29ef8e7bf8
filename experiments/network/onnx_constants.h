// SPDX-License-Identifier: Apache-2.0
/// \file
/// What an ONNX graph knows before it has seen an image: weights, constants, and the lists of
/// integers that PyTorch computes from shapes to say how to reshape. Refers to the model, which
/// must outlive it. Internal to the ONNX reader.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "experiments/network/onnx_node.h"

namespace pcmlab {

/// Stands for the size of the batch, which is not known.
constexpr std::int64_t kBatch = std::numeric_limits<std::int64_t>::min();
/// More integers than a shape or a list of pads has are not looked at.
constexpr std::size_t kMaxIntegers = 64;

/// How many numbers an array of these axes has.
std::int64_t element_count(const Dims& dims);

class OnnxConstants {
 public:
  /// Named tensors of the graph.
  void add(const onnx::TensorProto& tensor) { constants_[tensor.name()].tensor = &tensor; }
  bool contains(const std::string& name) const { return constants_.contains(name); }
  /// The name of the initialiser that a name stands for after Identity and the like.
  std::string origin(const std::string& name) const;

  /// Computes a node that needs no image: Constant, Shape, and of constants Identity, Cast,
  /// Transpose, Gather, Slice, Concat, Reshape, Unsqueeze, Squeeze, ConstantOfShape and arithmetic.
  /// \param shape  of the node's first input, kBatch first, if that is a value.
  /// \return false if the node is none of these. Errors: BadNetwork.
  Result<bool> fold(const OnnxNode& node, const std::optional<Dims>& shape);

  // Input i of a node. Errors: BadNetwork, BadFile (more or fewer numbers than the shape says).
  Result<Dims> dims(const OnnxNode& node, int i) const;
  /// All numbers, finite. \param what  they are, for errors: "weights".
  Result<std::vector<float>> floats(const OnnxNode& node, int i, std::string_view what) const;
  Result<std::vector<float>> vector(const OnnxNode& node, int i, std::string_view what,
                                    std::int64_t length) const;
  /// A list of integers, a single one, or a matrix, row by row.
  Result<Dims> integers(const OnnxNode& node, int i) const;
  /// A single number, or what is taken where the input is left out.
  Result<float> number(const OnnxNode& node, int i, std::string_view what, float otherwise) const;

 private:
  struct Constant {
    const onnx::TensorProto* tensor = nullptr;  ///< else `integers`
    bool transposed = false;
    Dims integers;
    Dims shape;  ///< of these: none, one or two axes
  };

  Result<const Constant*> find(const OnnxNode& node, int i) const;
  Result<bool> fold_integers(const OnnxNode& node);
  bool are_integers(const OnnxNode& node) const;
  Result<bool> fold_arithmetic(const OnnxNode& node);
  Result<void> slice(const OnnxNode& node);
  /// The node's output: a list, or an array of another shape.
  void keep(const OnnxNode& node, Dims integers);
  void keep(const OnnxNode& node, Dims integers, Dims shape);

  std::unordered_map<std::string, Constant> constants_;
};

}  // namespace pcmlab
