// SPDX-License-Identifier: Apache-2.0
// What the fuzzers run, without a fuzzer: their seeds, inputs that were found to break something,
// and some thousand mutations with fixed seeds. A broken promise ends the program.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/fuzz/targets.h"
#include "tests/protocol/random_messages.h"

namespace pcmlab::fuzz {
namespace {

class FuzzTarget : public ::testing::TestWithParam<Target> {};

TEST_P(FuzzTarget, TakesItsSeeds) {
  const auto inputs = seeds(GetParam().name);
  EXPECT_GE(inputs.size(), 5u);
  for (const auto& input : inputs) GetParam().run(input);
}

TEST_P(FuzzTarget, TakesEverySeedCutAnywhere) {
  for (const auto& input : seeds(GetParam().name)) {
    const std::size_t step = 1 + input.size() / 200;
    for (std::size_t size = 0; size < input.size(); size += step) {
      GetParam().run(Bytes(input).first(size));
    }
  }
}

TEST_P(FuzzTarget, TakesWhatWasFoundToBreakIt) {
  const std::filesystem::path folder = std::filesystem::path(PCMLAB_FUZZ_FOUND) / GetParam().name;
  if (!std::filesystem::exists(folder)) return;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    SCOPED_TRACE(entry.path().string());
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    GetParam().run(std::as_bytes(std::span(text)));
  }
}

TEST_P(FuzzTarget, TakesDamagedSeedsWithRightChecksums) {
#ifdef PCMLAB_SANITIZED
  constexpr int kOfEach = 20;
#else
  constexpr int kOfEach = 200;
#endif
  testing::RandomMessages random(401);
  for (const auto& seed : seeds(GetParam().name)) {
    for (int i = 0; i < kOfEach; ++i) {
      std::vector<std::byte> input = seed;
      for (std::uint64_t changes = random.number(1, 4); changes > 0; --changes) {
        const std::uint64_t place = random.number(0, input.size() - 1);
        // Extremes are what counts and lengths break at.
        const std::byte extreme = random.number(0, 1) == 0 ? std::byte{0} : std::byte{0xFF};
        input[place] = random.number(0, 1) == 0 ? extreme : random.bytes(1)[0];
      }
      GetParam().mend(input);
      GetParam().run(input);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Every, FuzzTarget, ::testing::ValuesIn(kTargets),
                         [](const auto& target) { return std::string(target.param.name); });

}  // namespace
}  // namespace pcmlab::fuzz
