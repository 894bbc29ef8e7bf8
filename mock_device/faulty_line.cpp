// SPDX-License-Identifier: Apache-2.0
#include "mock_device/faulty_line.h"

#include <algorithm>
#include <array>
#include <utility>

#include "mock_device/lanes.h"

namespace pcmlab::mock {
namespace {

/// Keeps the line's draws apart from those of a chip with the same seed.
constexpr std::uint64_t kStream = 0x6c696e65;
constexpr std::uint32_t kDrawsPerFrame = 4;
constexpr std::uint32_t kMostFlips = 3;  // CRC-32C finds every error of so few bits

void append(std::vector<std::byte>& out, const std::vector<std::byte>& bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

}  // namespace

FaultyLine::FaultyLine(Direction direction, const LineFaults& faults, std::uint64_t seed)
    : direction_(direction),
      faults_(faults),
      probabilities_(direction == Direction::Requests ? faults.requests : faults.replies),
      late_(direction == Direction::Replies ? faults.late_replies : 0),
      seed_(seed ^ kStream) {}

bool FaultyLine::is_perfect() const { return probabilities_ == FrameFaults{} && late_ == 0; }

std::uint32_t FaultyLine::draw(Draw what, std::uint32_t index) const {
  const auto stream =
      static_cast<std::uint32_t>(direction_) << 8 | static_cast<std::uint32_t>(what);
  const auto frame = static_cast<std::uint32_t>(frames_);
  return lane_bits(lane_key(seed_, stream), frame * kDrawsPerFrame + index);
}

bool FaultyLine::hits(Draw what, double probability) const {
  return static_cast<double>(lane_uniform(draw(what))) < probability;
}

void FaultyLine::truncate(std::vector<std::byte>& frame) const {
  frame.resize(1 + draw(Draw::Damage) % (frame.size() - 1));
}

void FaultyLine::flip_bits(std::vector<std::byte>& frame) const {
  const std::size_t bits = 8 * frame.size();
  std::array<std::size_t, kMostFlips> flipped{};
  const std::size_t count = 1 + draw(Draw::Damage) % kMostFlips;
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t bit = draw(Draw::Damage, static_cast<std::uint32_t>(i) + 1) % bits;
    const auto before = flipped.begin() + static_cast<std::ptrdiff_t>(i);
    while (std::find(flipped.begin(), before, bit) != before) bit = (bit + 1) % bits;
    flipped[i] = bit;
    frame[bit / 8] ^= std::byte{1} << (bit % 8);
  }
}

void FaultyLine::suffer(std::vector<std::byte>& frame, std::vector<std::byte>& out) {
  if (hits(Draw::Lost, probabilities_.lost)) {
    ++counters_.lost;
  } else if (hits(Draw::Corrupted, probabilities_.corrupted)) {
    ++counters_.corrupted;
    flip_bits(frame);
    append(out, frame);
  } else if (hits(Draw::Truncated, probabilities_.truncated)) {
    ++counters_.truncated;
    truncate(frame);
    append(out, frame);
  } else if (hits(Draw::Repeated, probabilities_.repeated)) {
    ++counters_.repeated;
    append(out, frame);
    append(out, frame);
  } else if (hits(Draw::Late, late_)) {
    ++counters_.late;
    const std::uint32_t by = 1 + draw(Draw::Damage) % std::max(faults_.late_by, 1U);
    held_.push_back({frames_ + by, std::move(frame)});
  } else {
    append(out, frame);
  }
}

void FaultyLine::pass(std::vector<std::byte>& frame, std::vector<std::byte>& out) {
  const bool safe = frames_ < faults_.spared ||
                    (faults_.most != 0 && counters_.all() >= faults_.most) || is_perfect();
  if (safe) {
    append(out, frame);
  } else {
    suffer(frame, out);
  }
  for (auto held = held_.begin(); held != held_.end();) {
    if (held->after_frame > frames_) {
      ++held;
      continue;
    }
    append(out, held->bytes);
    held = held_.erase(held);
  }
  ++frames_;
}

void FaultyLine::pass_part(std::vector<std::byte>& frame, std::vector<std::byte>& out) {
  truncate(frame);
  append(out, frame);
  ++frames_;
}

}  // namespace pcmlab::mock
