// SPDX-License-Identifier: Apache-2.0
#include "mock_device/faulty_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>

namespace pcmlab::mock {
namespace {

using ::testing::ElementsAre;
using Bytes = std::vector<std::byte>;
using Direction = FaultyLine::Direction;

constexpr std::size_t kFrames = 20000;

/// Stands for a frame; the line does not look into it.
Bytes frame(std::size_t number, std::size_t size = 40) {
  Bytes bytes(size, std::byte{0});
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::byte>(number >> (8 * i) & 0xFF);
  return bytes;
}

Bytes pass(FaultyLine& line, Bytes bytes) {
  Bytes out;
  line.pass(bytes, out);
  return out;
}

/// What comes out for each of the first frames.
std::vector<Bytes> pass_all(FaultyLine& line, std::size_t frames = kFrames) {
  std::vector<Bytes> out;
  out.reserve(frames);
  for (std::size_t i = 0; i < frames; ++i) out.push_back(pass(line, frame(i)));
  return out;
}

LineFaults of_replies(const FrameFaults& faults) {
  LineFaults line;
  line.replies = faults;
  return line;
}

/// About so many of kFrames, within five standard deviations.
void expect_share(std::uint64_t count, double probability) {
  const double expected = probability * kFrames;
  EXPECT_NEAR(static_cast<double>(count), expected, 5 * std::sqrt(expected));
}

TEST(FaultyLine, APerfectOneChangesNothing) {
  FaultyLine line(Direction::Replies, {}, 1);
  EXPECT_TRUE(line.is_perfect());
  for (std::size_t i = 0; i < 100; ++i) EXPECT_EQ(pass(line, frame(i)), frame(i));
  EXPECT_EQ(line.counters(), FrameFaultCounters{});
}

TEST(FaultyLine, LosesAsManyFramesAsPlanned) {
  FaultyLine line(Direction::Replies, of_replies({.lost = 0.1}), 1);
  const auto out = pass_all(line);
  std::uint64_t lost = 0;
  for (std::size_t i = 0; i < kFrames; ++i) {
    lost += out[i].empty();
    if (!out[i].empty()) {
      EXPECT_EQ(out[i], frame(i));
    }
  }
  EXPECT_EQ(line.counters(), FrameFaultCounters{.lost = lost});
  expect_share(lost, 0.1);
}

TEST(FaultyLine, FlipsOneToThreeBitsOfACorruptedFrame) {
  FaultyLine line(Direction::Replies, of_replies({.corrupted = 1}), 1);
  std::array<std::uint64_t, 4> frames_with{};
  std::array<std::uint64_t, 40> flips_at{};
  for (std::size_t i = 0; i < kFrames; ++i) {
    const Bytes out = pass(line, frame(i));
    ASSERT_EQ(out.size(), 40U);
    std::size_t flips = 0;
    for (std::size_t at = 0; at < out.size(); ++at) {
      const auto changed = static_cast<std::uint8_t>(out[at] ^ frame(i)[at]);
      flips += static_cast<std::size_t>(std::popcount(changed));
      flips_at[at] += changed != 0;
    }
    ASSERT_GE(flips, 1U);
    ASSERT_LE(flips, 3U);
    ++frames_with[flips];
  }
  for (std::size_t flips = 1; flips <= 3; ++flips) expect_share(frames_with[flips], 1.0 / 3);
  for (const std::uint64_t flips : flips_at) expect_share(flips, 2.0 / 40);
  EXPECT_EQ(line.counters(), FrameFaultCounters{.corrupted = kFrames});
}

TEST(FaultyLine, TruncatesSomewhereInside) {
  FaultyLine line(Direction::Replies, of_replies({.truncated = 1}), 1);
  std::vector<std::uint64_t> frames_of_size(40);
  for (std::size_t i = 0; i < kFrames; ++i) {
    const Bytes out = pass(line, frame(i));
    ASSERT_GE(out.size(), 1U);
    ASSERT_LT(out.size(), 40U);
    const Bytes whole = frame(i);
    EXPECT_TRUE(std::equal(out.begin(), out.end(), whole.begin()));
    ++frames_of_size[out.size()];
  }
  for (std::size_t size = 1; size < 40; ++size) expect_share(frames_of_size[size], 1.0 / 39);
  EXPECT_EQ(line.counters(), FrameFaultCounters{.truncated = kFrames});
}

TEST(FaultyLine, SendsARepeatedFrameTwice) {
  FaultyLine line(Direction::Replies, of_replies({.repeated = 0.5}), 1);
  std::uint64_t repeated = 0;
  for (const Bytes& out : pass_all(line)) {
    ASSERT_TRUE(out.size() == 40 || out.size() == 80);
    if (out.size() != 80) continue;
    ++repeated;
    EXPECT_EQ(Bytes(out.begin(), out.begin() + 40), Bytes(out.begin() + 40, out.end()));
  }
  EXPECT_EQ(line.counters(), FrameFaultCounters{.repeated = repeated});
  expect_share(repeated, 0.5);
}

TEST(FaultyLine, ALateReplyComesAfterOneOfTheNext) {
  LineFaults faults;
  faults.late_replies = 0.2;
  faults.late_by = 4;
  FaultyLine line(Direction::Replies, faults, 1);
  std::vector<std::size_t> came_with(kFrames, kFrames);
  std::array<std::uint64_t, 5> late_by{};
  const auto out = pass_all(line);
  for (std::size_t i = 0; i < kFrames; ++i) {
    ASSERT_EQ(out[i].size() % 40, 0U);
    for (std::size_t at = 0; at < out[i].size(); at += 40) {
      std::size_t number = 0;
      for (std::size_t b = 0; b < 4; ++b) {
        number |= std::to_integer<std::size_t>(out[i][at + b]) << (8 * b);
      }
      EXPECT_EQ(came_with[number], kFrames) << "twice";
      came_with[number] = i;
      ASSERT_LE(i - number, 4U);
      ++late_by[i - number];
    }
  }
  for (std::size_t i = 0; i + 4 < kFrames; ++i) EXPECT_LT(came_with[i], kFrames) << i << " is lost";
  expect_share(kFrames - late_by[0], 0.2);
  for (std::size_t by = 1; by <= 4; ++by) expect_share(late_by[by], 0.05);
  expect_share(line.counters().late, 0.2);
}

TEST(FaultyLine, ALostConnectionTakesLateRepliesAlong) {
  LineFaults faults;
  faults.late_replies = 1;
  faults.most = 1;
  FaultyLine line(Direction::Replies, faults, 1);
  EXPECT_TRUE(pass(line, frame(0)).empty());
  line.drop();
  EXPECT_EQ(pass(line, frame(1)), frame(1));
}

TEST(FaultyLine, RequestsAreNeverLate) {
  LineFaults faults;
  faults.late_replies = 1;
  FaultyLine line(Direction::Requests, faults, 1);
  EXPECT_TRUE(line.is_perfect());
  EXPECT_EQ(pass(line, frame(0)), frame(0));
}

TEST(FaultyLine, AFrameSuffersOneFaultAtMost) {
  LineFaults faults =
      of_replies({.lost = 0.3, .corrupted = 0.3, .truncated = 0.3, .repeated = 0.3});
  faults.late_replies = 0.3;
  FaultyLine line(Direction::Replies, faults, 1);
  pass_all(line);
  double untouched = 1;
  for (const std::uint64_t count :
       {line.counters().lost, line.counters().corrupted, line.counters().truncated,
        line.counters().repeated, line.counters().late}) {
    expect_share(count, 0.3 * untouched);
    untouched *= 0.7;
  }
}

TEST(FaultyLine, TheSeedAndTheDirectionDecideWhichFrames) {
  const auto outcome = [](Direction direction, std::uint64_t seed) {
    LineFaults faults;
    faults.requests = faults.replies = {.lost = 0.2, .corrupted = 0.2};
    FaultyLine line(direction, faults, seed);
    return pass_all(line, 200);
  };
  const auto first = outcome(Direction::Replies, 1);
  EXPECT_EQ(first, outcome(Direction::Replies, 1));
  EXPECT_NE(first, outcome(Direction::Requests, 1));
  EXPECT_NE(first, outcome(Direction::Replies, 2));
  EXPECT_NE(first, outcome(Direction::Replies, std::uint64_t{1} << 40));
}

/// Draws of one kind of fault do not depend on what else is planned.
TEST(FaultyLine, MoreKindsOfFaultsLeaveThoseBeforeThemWhereTheyWere) {
  FaultyLine alone(Direction::Replies, of_replies({.lost = 0.1}), 5);
  FaultyLine together(Direction::Replies, of_replies({.lost = 0.1, .truncated = 0.5}), 5);
  const auto first = pass_all(alone);
  const auto second = pass_all(together);
  for (std::size_t i = 0; i < kFrames; ++i) EXPECT_EQ(first[i].empty(), second[i].empty());
}

TEST(FaultyLine, SparesTheFirstFramesAndStopsAfterTheMostFaults) {
  LineFaults faults = of_replies({.lost = 1});
  faults.spared = 3;
  faults.most = 2;
  FaultyLine line(Direction::Replies, faults, 1);
  std::vector<bool> came;
  for (const Bytes& out : pass_all(line, 8)) came.push_back(!out.empty());
  EXPECT_THAT(came, ElementsAre(true, true, true, false, false, true, true, true));
  EXPECT_EQ(line.counters().all(), 2U);
}

TEST(FaultyLine, APartOfAFrameComesThroughWhenTheConnectionGoes) {
  FaultyLine line(Direction::Replies, {}, 1);
  for (std::size_t i = 0; i < 1000; ++i) {
    Bytes bytes = frame(i);
    Bytes out;
    line.pass_part(bytes, out);
    ASSERT_GE(out.size(), 1U);
    ASSERT_LT(out.size(), 40U);
  }
  EXPECT_EQ(line.counters(), FrameFaultCounters{});
}

}  // namespace
}  // namespace pcmlab::mock
