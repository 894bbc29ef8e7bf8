// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "experiments/network/network.h"

// The files' bytes, put into the program by builtin/builtin_networks.S.
extern "C" {
extern const std::byte pcmlab_resnet32_fashion_mnist_begin[];
extern const std::byte pcmlab_resnet32_fashion_mnist_end[];
extern const std::byte pcmlab_resnet32_cifar_10_begin[];
extern const std::byte pcmlab_resnet32_cifar_10_end[];
}

namespace pcmlab {
namespace {

struct BuiltinNetwork {
  const char* name;
  const std::byte* begin;
  const std::byte* end;
};

const std::array kBuiltin = {
    BuiltinNetwork{"resnet32-fashion-mnist", pcmlab_resnet32_fashion_mnist_begin,
                   pcmlab_resnet32_fashion_mnist_end},
    BuiltinNetwork{"resnet32-cifar-10", pcmlab_resnet32_cifar_10_begin,
                   pcmlab_resnet32_cifar_10_end}};

}  // namespace

std::vector<std::string> builtin_networks() {
  std::vector<std::string> names;
  for (const BuiltinNetwork& network : kBuiltin) names.emplace_back(network.name);
  return names;
}

Result<Network> load_builtin_network(std::string_view name) {
  const auto found = std::find_if(kBuiltin.begin(), kBuiltin.end(),
                                  [&](const BuiltinNetwork& built) { return built.name == name; });
  if (found == kBuiltin.end()) {
    return fail(ErrorCode::NotFound, fmt::format("there is no built-in network \"{}\"", name),
                fmt::format("Built in: {}. Any other network is loaded from its ONNX file.",
                            fmt::join(builtin_networks(), ", ")));
  }
  return parse_network({found->begin, found->end}, std::string(name));
}

}  // namespace pcmlab
