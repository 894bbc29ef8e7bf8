// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the tests of data sets share: small files of the formats, and what an error says.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "experiments/network/dataset.h"
#include "tests/experiments/network/temporary_folder.h"

namespace pcmlab::test {

using Bytes = std::vector<std::uint8_t>;
using Labels = std::vector<std::uint16_t>;

/// Message and advice of an error, which must have both and this code.
template <class T>
std::string error_of(const Result<T>& result, ErrorCode code) {
  if (result) {
    ADD_FAILURE() << "no error";
    return {};
  }
  EXPECT_EQ(result.error().code, code) << result.error().message;
  EXPECT_FALSE(result.error().advice.empty());
  return result.error().message + " | " + result.error().advice;
}

/// All images of a set, normalised.
inline std::vector<float> pixels_of(const Dataset& set) { return set.read(0, set.count()).value(); }

}  // namespace pcmlab::test
