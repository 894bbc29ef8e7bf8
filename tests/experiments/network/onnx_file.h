// SPDX-License-Identifier: Apache-2.0
/// \file
/// ONNX models put together by a test, with weights from a fixed seed.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "experiments/network/network.h"

namespace pcmlab::test {

using Dims = std::vector<std::int64_t>;

struct ConvShape {
  int out = 0, in = 0, kernel_h = 3, kernel_w = 3, stride_h = 1, stride_w = 1;
  Dims pads{1, 1, 1, 1};  ///< top, left, bottom, right
  int groups = 1;
  bool bias = false;
};

/// Grows node by node; each function adds nodes and returns the name of the value they make.
class OnnxFile {
 public:
  /// One input "images" of these axes behind an open batch, operator set 13.
  explicit OnnxFile(const Dims& input = {3, 8, 8}, std::uint32_t seed = 1);

  std::string conv(const std::string& input, const ConvShape& shape);
  std::string batch_norm(const std::string& input, int channels);
  std::string relu(const std::string& input) { return node("Relu", {input}); }
  std::string add(const std::string& a, const std::string& b) { return node("Add", {a, b}); }
  std::string average(const std::string& input);  ///< [batch, channels]
  std::string dense(const std::string& input, int in, int out, bool bias = true);

  /// Any node without attributes, or with those set through last_node().
  std::string node(const std::string& op, const std::vector<std::string>& inputs);
  onnx::NodeProto& last_node() { return *model.mutable_graph()->mutable_node()->rbegin(); }
  void attribute(const std::string& name, std::int64_t value);
  void attribute(const std::string& name, const Dims& values);
  void attribute(const std::string& name, float value);

  /// Initialisers: random numbers of a width, given numbers, integers.
  std::string weights(const Dims& dims, float width);
  std::string tensor(const Dims& dims, const std::vector<float>& numbers);
  std::string integers(const std::vector<std::int64_t>& numbers);

  std::vector<std::byte> bytes(const std::string& output);
  Result<Network> network(const std::string& output) { return parse_network(bytes(output), "t"); }

  onnx::ModelProto model;

 private:
  std::mt19937 random_;
  int made_ = 0;
};

/// The same weights every time, of standard deviation `width`.
std::vector<float> random_numbers(std::mt19937& random, std::size_t count, float width);

}  // namespace pcmlab::test
