// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/hostile_line.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "protocol/crc32c.h"
#include "protocol/messages.h"
#include "tests/protocol/raw_frame.h"

namespace pcmlab::testing {
namespace {

constexpr std::size_t kLengthOffset = 12;
constexpr std::size_t kCrcOffset = 16;
constexpr std::size_t kRemembered = 200;
constexpr std::size_t kUsualPromise = 4096;

std::uint32_t length_of(std::span<const std::byte> frame) {
  std::uint32_t length = 0;
  std::memcpy(&length, frame.data() + kLengthOffset, sizeof length);
  return length;
}

}  // namespace

void HostileLine::put(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (missing_ == bytes[0]) bytes_.push_back(~bytes[0]);
  missing_.reset();
  append(bytes_, bytes);
  last_byte_ = bytes.back();
}

void HostileLine::put_rest(std::span<const std::byte> rest, std::span<const std::byte> frame) {
  if (rest.empty()) return;
  const std::size_t gone = frame.size() - rest.size();
  if (std::ranges::equal(rest, frame.last(rest.size())) && last_byte_ == frame[gone - 1]) {
    bytes_.push_back(~last_byte_);
  }
  put(rest);
  if (std::ranges::equal(rest, frame.first(rest.size()))) missing_ = frame[rest.size()];
}

void HostileLine::put_whole(std::span<const std::byte> frame) {
  whole.emplace_back(frame.begin(), frame.end());
  put(frame);
}

void HostileLine::send(std::span<const std::byte> frame) {
  if (random_.number(0, 99) < harmed_percent_) {
    suffer(frame);
  } else {
    put_whole(frame);
  }
  ++frames_;
  sent_.emplace_back(frame.begin(), frame.end());
  if (sent_.size() > kRemembered) sent_.pop_front();
  while (!late_.empty() && late_.front().after_frame <= frames_) {
    put_whole(late_.front().frame);
    late_.pop_front();
  }
}

void HostileLine::suffer(std::span<const std::byte> frame) {
  std::vector<std::byte> copy(frame.begin(), frame.end());
  switch (random_.number(0, 9)) {
    case 0:
    case 1:
      ++faults_["bits flipped"];
      return flip_bits(std::move(copy));
    case 2:
    case 3:
      ++faults_["truncated"];
      return cut(std::move(copy));
    case 4:
      ++faults_["repeated"];
      for (std::uint64_t times = random_.number(2, 3); times > 0; --times) put_whole(frame);
      return;
    case 5:
      ++faults_["late"];
      late_.push_back({frames_ + random_.number(2, 6), std::move(copy)});
      return;
    case 6:
      ++faults_["an old one again"];
      if (!sent_.empty()) put_whole(sent_[random_.number(0, sent_.size() - 1)]);
      return put_whole(frame);
    case 7:
      ++faults_["absurd length"];
      return give_absurd_length(std::move(copy));
    case 8:
      ++faults_["noise before it"];
      make_noise();
      return put_whole(frame);
    default:
      ++faults_["lost"];
  }
}

void HostileLine::flip_bits(std::vector<std::byte> frame) {
  const std::vector<std::byte> original = frame;
  for (std::uint64_t flips = random_.number(1, 8); flips > 0 || frame == original;) {
    const std::uint64_t bit = random_.number(0, frame.size() * 8 - 1);
    frame[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    if (flips > 0) --flips;
  }
  put(frame);
}

void HostileLine::cut(std::vector<std::byte> frame) {
  const std::vector<std::byte> original = frame;
  const std::size_t first = random_.number(0, frame.size() - 1);
  const std::size_t last = random_.number(first, frame.size() - 1);
  const auto at = [&frame](std::size_t i) {
    return frame.begin() + static_cast<std::ptrdiff_t>(i);
  };
  switch (random_.number(0, 3)) {
    case 0:
      frame.erase(frame.begin(), at(last) + 1);
      break;
    case 1:
      frame.erase(at(first), at(last) + 1);
      break;
    default:
      frame.erase(at(first), frame.end());
  }
  put_rest(frame, original);
}

void HostileLine::give_absurd_length(std::vector<std::byte> frame) {
  constexpr auto kMost = static_cast<std::uint32_t>(wire::kMaxPayloadBytes);
  const auto usual = static_cast<std::uint32_t>(random_.number(0, kUsualPromise));
  const auto any = static_cast<std::uint32_t>(random_.number(0, 0xFFFFFFFF));
  const std::array<std::uint32_t, 9> absurd = {usual, usual,      usual,      usual,     kMost + 1,
                                               any,   0xFFFFFFFF, 0x7FFFFFFF, 0xFFFFFFE8};
  std::uint32_t length = absurd[random_.number(0, absurd.size() - 1)];
  // The longest that is believed is waited for: seldom.
  if (random_.number(0, 499) == 0)
    length = kMost - static_cast<std::uint32_t>(random_.number(0, 9));
  if (length == length_of(frame)) ++length;
  std::memcpy(frame.data() + kLengthOffset, &length, sizeof length);
  if (random_.number(0, 3) != 0) {
    const std::uint32_t crc = wire::crc32c(std::span(frame).first(kCrcOffset));
    std::memcpy(frame.data() + kCrcOffset, &crc, sizeof crc);
  }
  put(frame);
}

void HostileLine::make_noise() {
  for (std::uint64_t parts = random_.number(1, 4); parts > 0; --parts) {
    put(std::as_bytes(std::span(wire::kMagic)).first(random_.number(1, wire::kMagic.size())));
    put(random_.bytes(random_.number(0, 30)));
  }
}

void HostileLine::flush() {
  while (!late_.empty()) {
    put_whole(late_.front().frame);
    late_.pop_front();
  }
  put(std::vector<std::byte>(wire::kHeaderBytes + wire::kMaxPayloadBytes + wire::kCrcBytes));
}

std::vector<std::byte> HostileLine::take(std::size_t most) {
  const auto rest = std::span<const std::byte>(bytes_).subspan(begin_);
  const auto piece = rest.first(std::min(most, rest.size()));
  std::vector<std::byte> taken(piece.begin(), piece.end());
  begin_ += taken.size();
  if (empty()) {
    bytes_.clear();
    begin_ = 0;
  }
  return taken;
}

}  // namespace pcmlab::testing
