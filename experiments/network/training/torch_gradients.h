// SPDX-License-Identifier: Apache-2.0
/// \file
/// GradientEngine on libtorch, in a library of its own that is built where libtorch is.
#pragma once

#include <memory>

#include "experiments/network/training/gradients.h"

namespace pcmlab::training {

/// Float32, or bfloat16 with batch norms, sums and
/// weight updates in float32. Results depend on `threads` in their last digits and on nothing
/// else. Makes the process keep memory that tensors had, which saves a sixth of the time.
/// \param threads  0 = one a core. Errors: BadNetwork (a node that cannot be trained).
Result<std::unique_ptr<GradientEngine>> torch_gradients(const Network& network, Precision precision,
                                                        int threads);

}  // namespace pcmlab::training
