// SPDX-License-Identifier: Apache-2.0
/// \file
/// What is fuzzed. Each target takes any bytes, and ends the process with what was wrong when the
/// code under test accepts what it must not. The fuzzers and an ordinary test run the same ones.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace pcmlab::fuzz {

using Bytes = std::span<const std::byte>;

/// The first byte says how the rest is cut into pieces; the rest is a stream of frames.
void frame_reader(Bytes input);
/// Type, flags (2 bytes), payload.
void decode_request(Bytes input);
void decode_reply(Bytes input);
/// The bytes of a file.
void recording(Bytes input);
/// The first byte says how the rest is cut and when the board works; the rest is what a host sends.
void mock_board(Bytes input);

struct Target {
  std::string_view name;
  void (*run)(Bytes input);
  /// Makes the checksums in the input right, where it has any; without, no mutation gets far.
  void (*mend)(std::span<std::byte> input);
};

/// Right CRCs behind every magic of a frame whose length fits into the bytes.
void mend_frames(std::span<std::byte> bytes);
/// Right CRCs in every record of a recording, as far as their lengths lead.
void mend_recording(std::span<std::byte> file);
inline void mend_nothing(std::span<std::byte> /*input*/) {}

inline constexpr std::array kTargets = {
    Target{"frame_reader", frame_reader, mend_frames},
    Target{"decode_request", decode_request, mend_nothing},
    Target{"decode_reply", decode_reply, mend_nothing},
    Target{"recording", recording, mend_recording},
    Target{"mock_board", mock_board, mend_frames},
};

/// Inputs to begin with; the same at every call but for the times in recordings.
std::vector<std::vector<std::byte>> seeds(std::string_view target);

/// Ends the process, saying `broken`, when the condition does not hold.
void require(bool condition, const char* broken);

/// Cuts bytes into pieces of 1 to 64 bytes, or hands them over whole. The same number cuts the
/// same.
class Pieces {
 public:
  Pieces(Bytes bytes, std::byte how);
  bool empty() const { return rest_.empty(); }
  Bytes next();
  /// A number that goes on with the pieces.
  unsigned random();

 private:
  Bytes rest_;
  bool whole_;
  unsigned state_;
};

}  // namespace pcmlab::fuzz
