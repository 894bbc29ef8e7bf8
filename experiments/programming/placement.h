// SPDX-License-Identifier: Apache-2.0
/// \file
/// Which device of the array holds which conductance.
#pragma once

#include <span>
#include <vector>

#include "protocol/device_address.h"
#include "protocol/error.h"

namespace pcmlab {

/// Pairs of places side by side on a word line, without those that have a known-bad device.
std::size_t pairs_of(ArrayShape shape, std::span<const DeviceAddress> known_bad);

/// Fills the array word line by word line, the two devices of a pair side by side, leaving out
/// known-bad devices (with the other half of their pair's place, so that pairs stay neighbours).
/// \param devices  2 * weights.
/// Errors: DoesNotFit.
Result<std::vector<DeviceAddress>> place_devices(std::size_t devices, ArrayShape shape,
                                                 std::span<const DeviceAddress> known_bad);

}  // namespace pcmlab
