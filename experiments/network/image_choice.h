// SPDX-License-Identifier: Apache-2.0
/// \file
/// Some images of a set, chosen at random. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "experiments/network/dataset.h"

namespace pcmlab {

/// `count` different numbers below `total`, in random order; the same on every machine.
/// \param count  at most `total`.
std::vector<std::uint32_t> choose_images(std::size_t count, std::size_t total, std::uint64_t seed);

/// These images alone, in this order.
Dataset subset_of(const Dataset& images, std::span<const std::uint32_t> indices);

}  // namespace pcmlab
