// SPDX-License-Identifier: Apache-2.0
/// \file
/// Sends requests over a Transport and finds their replies: sequence numbers, several requests in
/// flight, one repetition of what may be repeated. Knows nothing of devices or batches.
/// Owned by a TestBoard and used by its thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "driver/transport.h"
#include "protocol/error.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"

namespace pcmlab {

/// What went wrong on the line without becoming an error, since the board was opened.
struct LineCounters {
  std::uint64_t repeated_requests = 0;  ///< sent a second time because the first had no answer
  std::uint64_t ignored_replies = 0;    ///< stale or unexpected sequence number, or another type
  std::uint64_t bad_frames = 0;         ///< cut out of the stream, but with a wrong checksum
  std::uint64_t skipped_bytes = 0;      ///< belonged to no frame
};

/// Owns the transport. Calls come from one thread and do not nest: a callback that talks to the
/// board again gets ErrorCode::Internal. After Disconnected every call fails the same way until
/// reopen().
class Conversation {
 public:
  using Milliseconds = std::chrono::milliseconds;

  /// Work cut into requests of one type, of which several may be in flight.
  struct Work {
    wire::MessageType type{};
    std::size_t requests = 0;
    /// The k-th request; valid until the next call. Asked again for a repetition.
    std::function<const wire::Request&(std::size_t k)> request;
    /// Gets the replies in the order of the requests; refusals become errors before.
    std::function<Result<void>(std::size_t k, wire::Reply& reply)> take;
    /// What the k-th request is, for error texts: "program batch 17 (8192 devices, 400 ns)".
    std::function<std::string(std::size_t k)> describe;
    /// How long one request may keep the board busy.
    Duration board_time{};
  };

  /// How far the work came. Requests [0, taken) are done; [answered, sent) were sent, and what
  /// became of them the replies did not tell.
  struct Outcome {
    std::size_t taken = 0;     ///< requests whose reply take() accepted
    std::size_t answered = 0;  ///< the same, and one more if the board refused it or take() failed
    std::size_t sent = 0;      ///< requests that the board may have seen
    std::optional<Error> error;
    std::optional<wire::Refusal> refusal;  ///< the error is that the board refused, for this reason
  };

  /// \param reply_deadline  how long the board may be silent beyond twice its board_time
  Conversation(std::unique_ptr<Transport> transport, Milliseconds reply_deadline);

  /// Requests in flight at most; at least 1.
  void set_window(std::size_t window);

  /// Sends the requests and takes their replies. A request without an answer is repeated once if
  /// its type allows it. After an error nothing more is sent and what is in flight is awaited.
  Outcome run(const Work& work);

  /// One request, one reply. Errors: Timeout, Disconnected, BadFrame, Refused and its kin.
  template <class ExpectedReply>
  Result<ExpectedReply> ask(const wire::Request& request, std::string_view what) {
    PCM_ASSIGN(wire::Reply reply, ask_any(request, what));
    auto* expected = std::get_if<ExpectedReply>(&reply);
    if (expected == nullptr) {
      return fail(ErrorCode::BadFrame, std::string(what) + ": the board sent another kind of reply",
                  "Check that driver and firmware are of the same protocol version.");
    }
    return std::move(*expected);
  }

  /// Connects the transport again; replies to what was in flight before will be ignored.
  Result<void> reopen(Milliseconds deadline);

  /// Makes every later call fail as disconnected, for the reason given, until reopen().
  void close(const Error& reason);

  std::string peer() const { return transport_->description(); }
  LineCounters counters() const;

 private:
  struct Slot {
    bool waiting = false;
    unsigned attempts = 0;
    unsigned times_refused = 0;  ///< for lack of room in the board's queue
    std::uint32_t sequence = 0;
    wire::Reply reply;
  };

  Result<wire::Reply> ask_any(const wire::Request& request, std::string_view what);
  Result<void> advance(const Work& work, Outcome& outcome);
  Result<void> send(const Work& work, std::size_t k);
  Result<void> receive_one(const Work& work);
  Result<void> give_up_on(const Work& work, std::size_t k, std::string_view because);
  Result<void> deliver(const Work& work, Outcome& outcome);
  void await_rest(const Work& work);
  Result<wire::Frame> next_frame(Transport::Deadline deadline);
  Transport::Deadline reply_deadline(const Work& work) const;
  Error noted(Error error);

  Slot& slot(std::size_t k) { return slots_[k % slots_.size()]; }
  /// Index of the waiting request with this sequence number, or sent_.
  std::size_t find_waiting(std::uint32_t sequence);
  bool anything_waits();

  std::unique_ptr<Transport> transport_;
  Milliseconds reply_deadline_;
  wire::FrameReader reader_;
  std::vector<std::byte> inbox_;
  std::vector<std::byte> outbox_;
  std::vector<Slot> slots_;  // of the requests [taken_, sent_)
  std::size_t taken_ = 0;
  std::size_t sent_ = 0;
  std::size_t window_ = 1;
  std::uint32_t next_sequence_ = 1;
  Transport::Deadline last_progress_{};
  std::optional<Error> closed_;
  bool running_ = false;
  LineCounters counters_;
};

}  // namespace pcmlab
