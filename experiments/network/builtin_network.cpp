// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "experiments/network/network.h"

// The file's bytes, put into the program by builtin/builtin_network.S.
extern "C" {
extern const std::byte pcmlab_builtin_network_begin[];
extern const std::byte pcmlab_builtin_network_end[];
}

namespace pcmlab {

std::vector<std::string> builtin_networks() { return {"resnet32-fashion-mnist"}; }

Result<Network> load_builtin_network(std::string_view name) {
  const std::vector<std::string> names = builtin_networks();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return fail(ErrorCode::NotFound, fmt::format("there is no built-in network \"{}\"", name),
                fmt::format("Built in: {}. Any other network is loaded from its ONNX file.",
                            fmt::join(names, ", ")));
  }
  return parse_network({pcmlab_builtin_network_begin, pcmlab_builtin_network_end},
                       std::string(name));
}

}  // namespace pcmlab
