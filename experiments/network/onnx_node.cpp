// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/onnx_node.h"

#include <fmt/format.h>

namespace pcmlab {

tl::unexpected<Error> bad_file(const std::string& network, const std::string& what) {
  return fail(ErrorCode::BadFile, fmt::format("network {}: {}", network, what),
              "Export the network again, or copy the file again.");
}

tl::unexpected<Error> bad_network(const std::string& network, const std::string& what,
                                  std::string advice) {
  return fail(ErrorCode::BadNetwork, fmt::format("network {}: {}", network, what),
              std::move(advice));
}

OnnxNode::OnnxNode(const onnx::NodeProto& node, int number, int opset, const std::string& network)
    : node_(node),
      opset_(opset),
      name_(node.name().empty() ? fmt::format("{}_{}", node.op_type(), number) : node.name()),
      network_(network) {}

const onnx::AttributeProto* OnnxNode::attribute(std::string_view name) const {
  for (const auto& candidate : node_.attribute()) {
    if (candidate.name() == name) return &candidate;
  }
  return nullptr;
}

std::int64_t OnnxNode::integer(std::string_view name, std::int64_t otherwise) const {
  const auto* found = attribute(name);
  return found == nullptr ? otherwise : found->i();
}

float OnnxNode::real(std::string_view name, float otherwise) const {
  const auto* found = attribute(name);
  return found == nullptr ? otherwise : found->f();
}

Result<Dims> OnnxNode::list(std::string_view name, const Dims& otherwise) const {
  const auto* found = attribute(name);
  if (found == nullptr) return otherwise;
  if (!otherwise.empty() && static_cast<std::size_t>(found->ints_size()) != otherwise.size()) {
    return bad(fmt::format("attribute {} has {} numbers instead of {}", name, found->ints_size(),
                           otherwise.size()));
  }
  return Dims(found->ints().begin(), found->ints().end());
}

tl::unexpected<Error> OnnxNode::bad(const std::string& what, std::string advice) const {
  return bad_network(network_, fmt::format("node {} ({}): {}", name_, op(), what),
                     std::move(advice));
}

tl::unexpected<Error> OnnxNode::missing(int i) const {
  return bad(fmt::format("input {} is missing", i));
}

}  // namespace pcmlab
