// SPDX-License-Identifier: Apache-2.0
/// \file
/// Bytes as hexadecimal text, for expectations that a person can compare with the specification.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pcmlab::testing {

/// "01 ff" to bytes; white space is ignored.
std::vector<std::byte> from_hex(std::string_view text);

/// Lower-case digits without spaces.
std::string to_hex(std::span<const std::byte> bytes);

}  // namespace pcmlab::testing
