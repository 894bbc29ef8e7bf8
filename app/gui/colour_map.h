// SPDX-License-Identifier: Apache-2.0
/// \file
/// Numbers as colours: even steps of the number are even steps for the eye, also of the
/// colour-blind, because lightness alone carries the order. Made from points in Oklab (B. Ottosson,
/// 2020). Constant data.
#pragma once

#include <QRgb>
#include <array>

namespace pcmlab::gui {

using ColourMap = std::array<QRgb, 256>;

/// From dark blue to light yellow; lightness rises evenly.
const ColourMap& sequential_map();
/// Blue, nearly white in the middle, red; lightness falls evenly to both sides.
const ColourMap& diverging_map();

/// \param share  0 .. 1, clamped.
QRgb colour_of(const ColourMap& map, double share);
/// The lightness L of Oklab, 0 .. 1.
double lightness(QRgb colour);

}  // namespace pcmlab::gui
