// SPDX-License-Identifier: Apache-2.0
/// \file
/// One node of an ONNX graph as the reader looks at it: its name, its attributes, and how an error
/// of it is told. Refers to the model, which must outlive it. Internal to the ONNX reader.
#pragma once

#include <onnx/onnx_pb.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

using Dims = std::vector<std::int64_t>;

/// Larger extents than this are taken for a damaged file.
constexpr std::int64_t kMaxExtent = 1 << 20;
constexpr std::int64_t kMaxElements = 1 << 28;

/// Errors of the file as a whole: BadFile, with advice, and BadNetwork.
tl::unexpected<Error> bad_file(const std::string& network, const std::string& what);
tl::unexpected<Error> bad_network(const std::string& network, const std::string& what,
                                  std::string advice = {});

class OnnxNode {
 public:
  /// \param number  names a node that the file left without a name.
  OnnxNode(const onnx::NodeProto& node, int number, int opset, const std::string& network);

  const std::string& op() const { return node_.op_type(); }
  const std::string& name() const { return name_; }
  const std::string& network() const { return network_; }
  /// Of the file's operator set.
  int opset() const { return opset_; }
  /// Whether the operator is one of ONNX itself.
  bool is_standard() const { return node_.domain().empty() || node_.domain() == "ai.onnx"; }

  int inputs() const { return node_.input_size(); }
  bool has_input(int i) const { return i < node_.input_size() && !node_.input(i).empty(); }
  const std::string& input(int i) const { return node_.input(i); }
  const std::string& output() const { return node_.output(0); }
  int outputs() const { return node_.output_size(); }

  const onnx::AttributeProto* attribute(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t otherwise) const;
  float real(std::string_view name, float otherwise) const;
  /// An attribute of as many integers as `otherwise` has; an empty `otherwise` takes any number.
  Result<Dims> list(std::string_view name, const Dims& otherwise) const;

  /// BadNetwork, naming network, node and operator.
  tl::unexpected<Error> bad(const std::string& what, std::string advice = {}) const;
  tl::unexpected<Error> missing(int i) const;

 private:
  const onnx::NodeProto& node_;
  int opset_;
  std::string name_;
  const std::string& network_;
};

}  // namespace pcmlab
