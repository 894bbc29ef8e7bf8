// SPDX-License-Identifier: Apache-2.0
#include "protocol/crc32c.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "tests/protocol/hex.h"
#include "tests/protocol/random_messages.h"

namespace pcmlab::wire {
namespace {

using pcmlab::testing::from_hex;
using pcmlab::testing::RandomMessages;

struct Vector {
  std::vector<std::byte> bytes;
  std::uint32_t crc = 0;
};

// RFC 3720, appendix B.4. It prints the CRC as bytes in the order of transmission: aa 36 91 8a.
std::vector<Vector> published_vectors() {
  std::vector<std::byte> rising(32);
  for (std::size_t i = 0; i < rising.size(); ++i) {
    rising[i] = static_cast<std::byte>(i);
  }
  const std::vector<std::byte> falling(rising.rbegin(), rising.rend());
  const std::vector<std::byte> read_command = from_hex(
      "01c00000 00000000 00000000 00000000 14000000 00000400"
      "00000014 00000018 28000000 00000000 02000000 00000000");
  return {{std::vector<std::byte>(32, std::byte{0}), 0x8A9136AAu},
          {std::vector<std::byte>(32, std::byte{0xFF}), 0x62A8AB43u},
          {rising, 0x46DD794Eu},
          {falling, 0x113FDB5Cu},
          {read_command, 0xD9963A56u}};
}

TEST(Crc32c, AgreesWithThePublishedVectors) {
  for (const Vector& vector : published_vectors()) {
    EXPECT_EQ(crc32c(vector.bytes), vector.crc);
    EXPECT_EQ(crc32c_kernels::table(vector.bytes, 0), vector.crc);
    if (crc32c_kernels::has_sse42()) {
      EXPECT_EQ(crc32c_kernels::sse42(vector.bytes, 0), vector.crc);
    }
  }
}

TEST(Crc32c, OfTheNineDigitsIsTheCheckValueOfTheCatalogues) {
  constexpr std::string_view kDigits = "123456789";
  EXPECT_EQ(crc32c(std::as_bytes(std::span(kDigits))), 0xE3069283u);
}

TEST(Crc32c, OfNothingIsZeroAndContinuesAnyValue) {
  EXPECT_EQ(crc32c({}), 0u);
  EXPECT_EQ(crc32c({}, 0x12345678u), 0x12345678u);
}

TEST(Crc32c, IsTheSameInOnePieceOrInTwo) {
  RandomMessages random(1);
  const std::vector<std::byte> bytes = random.bytes(5000);
  const std::uint32_t whole = crc32c(bytes);
  for (std::size_t cut = 0; cut <= bytes.size(); cut += 37) {
    const std::span<const std::byte> span = bytes;
    EXPECT_EQ(crc32c(span.subspan(cut), crc32c(span.first(cut))), whole) << "cut at " << cut;
  }
}

TEST(Crc32c, TableAndInstructionAgreeForEveryLengthAndAlignment) {
  if (!crc32c_kernels::has_sse42()) {
    GTEST_SKIP() << "this processor has no SSE 4.2";
  }
  RandomMessages random(2);
  const std::vector<std::byte> bytes = random.bytes(20'000);
  const std::span<const std::byte> span = bytes;
  for (std::size_t start = 0; start < 9; ++start) {
    // Around the borders of words and of the blocks of 3072 bytes that are computed in lanes.
    for (const std::size_t middle : {32u, 1024u, 2048u, 3072u, 6144u, 9216u, 19'900u}) {
      for (std::size_t length = middle - 20; length < middle + 20; ++length) {
        const auto before = static_cast<std::uint32_t>(length * 2654435761u);
        const auto piece = span.subspan(start, length);
        ASSERT_EQ(crc32c_kernels::sse42(piece, before), crc32c_kernels::table(piece, before))
            << "start " << start << ", length " << length;
      }
    }
  }
}

}  // namespace
}  // namespace pcmlab::wire
