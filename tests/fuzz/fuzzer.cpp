// SPDX-License-Identifier: Apache-2.0
// One libFuzzer program: the target is named at compile time by PCMLAB_FUZZ_TARGET.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/fuzz/targets.h"

namespace {

constexpr pcmlab::fuzz::Target target() {
  return *std::ranges::find(pcmlab::fuzz::kTargets, PCMLAB_FUZZ_TARGET,
                            &pcmlab::fuzz::Target::name);
}

}  // namespace

extern "C" {

std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  target().run(std::as_bytes(std::span(data, size)));
  return 0;
}

/// Three of four mutations get right checksums, so that what is behind the checksums is reached.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size,
                                    unsigned seed) {
  const std::size_t mutated = LLVMFuzzerMutate(data, size, max_size);
  if (seed % 4 != 0) target().mend(std::as_writable_bytes(std::span(data, mutated)));
  return mutated;
}

}  // extern "C"
