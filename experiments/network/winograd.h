// SPDX-License-Identifier: Apache-2.0
/// \file
/// 3x3 convolutions with stride 1 by Winograd's minimal filtering, F(4x4, 3x3): a quarter of the
/// multiplications (Lavin and Gray, arXiv 1509.09308). Used where AVX-512 is; oneDNN computes all
/// other convolutions. One object is read by several threads at once; pack() only while none runs.
#pragma once

#include <cstddef>
#include <dnnl.hpp>
#include <span>
#include <vector>

#include "experiments/network/inference.h"
#include "experiments/network/network.h"

namespace pcmlab {

/// Memory aligned to cache lines.
class AlignedBytes {
 public:
  AlignedBytes() = default;
  explicit AlignedBytes(std::size_t size) : bytes_(size + kLine, std::byte{0}) {}
  std::byte* data() const {
    const auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
    return bytes_.data() + (kLine - address % kLine) % kLine;
  }

 private:
  static constexpr std::size_t kLine = 64;
  mutable std::vector<std::byte> bytes_;
};
}  // namespace pcmlab
