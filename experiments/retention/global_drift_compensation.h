// SPDX-License-Identifier: Apache-2.0
/// \file
/// One factor a layer that undoes the drift all its devices share (GDC, Joshi 2020). Pure
/// functions.
#pragma once

#include <span>
#include <vector>

namespace pcmlab {

/// alpha_l = sum of the layer's conductances now / at the reference; a layer's output is divided by
/// its alpha. 1 for a layer whose reference is 0.
/// \param now_uS, reference_uS  sums over all devices of each layer, G+ + G-.
std::vector<float> drift_factors(std::span<const double> now_uS,
                                 std::span<const double> reference_uS);

}  // namespace pcmlab
