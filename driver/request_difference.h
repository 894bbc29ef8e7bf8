// SPDX-License-Identifier: Apache-2.0
/// \file
/// How a request differs from another that was recorded, for a person who knows devices and pulses
/// and not bytes. Pure functions.
#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace pcmlab {

/// "Program, 8192 devices, batch 17"; "40 bytes that are no request" when it cannot be read.
std::string describe_request(std::span<const std::byte> request);

/// What it asks for: "160.00 uA to 312.40 uA for 400 ns", "5 samples at 200 mV"; empty where it has
/// no settings, or is none.
std::string request_settings(std::span<const std::byte> request);

struct RequestDifference {
  std::string text;    ///< "batch number 17, recorded 12; width 400 ns, recorded 500 ns"
  std::string advice;  ///< how the two may have come apart
};

/// What differs between two requests that are not equal byte for byte. Devices are numbered from 1
/// in the order of the request.
RequestDifference request_difference(std::span<const std::byte> asked,
                                     std::span<const std::byte> recorded);

}  // namespace pcmlab
