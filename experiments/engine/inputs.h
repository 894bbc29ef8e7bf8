// SPDX-License-Identifier: Apache-2.0
/// \file
/// Reads what a plan names: the network and its images. Free functions without state.
#pragma once

#include <string>

#include "experiments/engine/experiment.h"

namespace pcmlab {

/// A built-in network by its name, or an ONNX file. Errors: those of load_network().
Result<Network> load_plan_network(const std::string& file);

/// The network of a plan's section [network], with its digital layers. Errors: also BadPlan (no
/// such layer).
Result<Network> load_plan_network(const ParameterValues& section);

/// The images of a plan's section [images], laid out and normalised as it says, for one network.
/// \param split  Test to count accuracy on; Train for what may look at training images only, such
/// as batch-norm statistics.
/// \param limit  at most so many images, 0 = all; instead of the section's own limit.
/// Errors: those of the set's loader, BadPlan (no folder, mean and std that do not fit), BadNetwork
/// (images or classes other than the network's).
Result<Dataset> load_plan_images(const ParameterValues& section, const Network& network,
                                 Split split, std::size_t limit);

/// Reads the network and the test images that the plan names. Errors: those of the files.
Result<RunInputs> load_inputs(const Plan& plan);
/// The same for a network that is there already, all its layers analog. Errors: also BadNetwork (no
/// such digital layer).
Result<RunInputs> load_inputs(const Plan& plan, Network network);

}  // namespace pcmlab
