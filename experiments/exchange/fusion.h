// SPDX-License-Identifier: Apache-2.0
/// \file
/// Weights as the conductances of a Fusion CSV, and back: aihwkit's FusionConductanceConverter.
/// Free functions without state.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "experiments/exchange/fusion_csv.h"
#include "experiments/network/network.h"
#include "protocol/quantities.h"

namespace pcmlab {

/// aihwkit's default, and the range that it allows.
constexpr double kFusionGMaxUs = 40, kFusionLeastGMaxUs = 10;

/// What aihwkit's model converts with.
struct FusionConverter {
  Conductance g_max = Conductance::from_uS(kFusionGMaxUs);
  /// max_input_size and max_output_size of its mapping: a layer with more inputs or outputs is
  /// several tiles. 0 = every layer is one.
  std::size_t most_inputs = 0, most_outputs = 0;
};

/// |W| * g_max / max|W| of the output's row in its tile, of every weight of every analog layer,
/// tile after tile; biases, which aihwkit keeps digital, are left out, and so is the device of a
/// pair that stays at RESET. Ids are the numbers of the nodes, classes AnalogConv2d and
/// AnalogLinear. \param magnitudes  |W| as measured, by weight, in units of the network's weights;
/// empty: the network's own, that is the targets.
std::vector<FusionLayer> fusion_layers(const Network& network, const FusionConverter& converter,
                                       std::span<const float> magnitudes = {});

/// Takes over ids, classes and names from a file that aihwkit exported for the same model, so that
/// its fusion_import() accepts the layers. Errors: BadFile (another number or size of layers).
Result<void> take_header(std::vector<FusionLayer>& layers, const std::vector<FusionLayer>& other,
                         const std::string& source);

/// Weights from conductances, sign(W) * G * max|W| / g_max by row, in the order of weights_of();
/// biases are the network's own. Errors: BadFile (layers that are not the network's).
Result<std::vector<float>> fusion_weights(const Network& network,
                                          const std::vector<FusionLayer>& layers,
                                          const FusionConverter& converter,
                                          const std::string& source);

}  // namespace pcmlab
