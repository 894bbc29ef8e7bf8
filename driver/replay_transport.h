// SPDX-License-Identifier: Apache-2.0
/// \file
/// A recorded conversation as a board. Used by one thread; owns the recording, which lies in memory
/// as a whole. Never waits and looks at no deadline.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/recording.h"
#include "driver/transport.h"

namespace pcmlab {

/// Strict: each send() must hand over the bytes of the next one recorded. What the board said comes
/// in the recorded order: a reply once the request it answers was sent, damaged and unasked bytes
/// and failures after as many requests and reopenings as were recorded before them. reopen() does
/// what it did where it was recorded.
///
/// Anything else is Refused, and says where in the recording and what differs; beyond the
/// recording's end it is Disconnected. Either is final: every later call, reopen() too, fails the
/// same way.
class ReplayTransport final : public Transport {
 public:
  /// Errors: those of load_recording().
  static Result<std::unique_ptr<ReplayTransport>> open(const std::filesystem::path& file);
  explicit ReplayTransport(Recording recording);

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override;
  Result<void> receive(std::vector<std::byte>& into, Deadline deadline) override;
  Result<void> reopen(Deadline deadline) override;
  std::string description() const override { return "replay of " + recording_.name; }

 private:
  /// What the program does: send() or reopen().
  struct Step {
    const Record* record = nullptr;
    std::size_t request = 0;       ///< number of the request, from 1; 0: reopen()
    std::optional<Error> failure;  ///< with which it ended
  };
  /// What the board does: bytes, or how receive() failed.
  struct Event {
    std::size_t steps_before = 0;  ///< recorded before it
    std::size_t needs = 0;         ///< steps that must have been taken
    std::span<const std::byte> bytes;
    bool noise = false;  ///< bytes that answer no request
    std::optional<Error> failure;
  };

  /// One connection's records: those from its opening up to a reopening or the end.
  void add_connection(std::span<const Record> records);
  bool at_end() const { return next_step_ == steps_.size(); }
  /// "at request 41 of 1200 (Program, 8192 devices, batch 7, recorded at 1.234567 s)"
  std::string place(const Step& step) const;
  tl::unexpected<Error> differs(const Step& step, std::string_view what, std::string advice);
  tl::unexpected<Error> ended(std::string_view doing);
  Result<void> noted(const Error& error);

  Recording recording_;
  std::vector<Step> steps_;
  std::vector<Event> events_;
  std::size_t requests_ = 0;
  std::size_t next_step_ = 0;
  std::size_t next_event_ = 0;
  bool heard_noise_ = false;           // the last that receive() gave
  std::optional<Error> disconnected_;  // until reopen()
  std::optional<Error> final_;
};

}  // namespace pcmlab
