// SPDX-License-Identifier: Apache-2.0
#include "driver/conversation.h"

#include <algorithm>
#include <utility>

namespace pcmlab {
namespace {

using wire::Refusal;

constexpr unsigned kMostQueueFull = 3;

bool is_older(std::uint32_t a, std::uint32_t b) { return static_cast<std::int32_t>(a - b) < 0; }

struct Consequence {
  ErrorCode code;
  std::string_view advice;
};

Consequence consequence_of(Refusal reason) {
  switch (reason) {
    case Refusal::UnknownRequest:
      return {ErrorCode::Unsupported, "Update the firmware."};
    case Refusal::BadPayload:
      return {ErrorCode::Refused,
              "Check that driver and firmware are of the same protocol version."};
    case Refusal::BadAddress:
      return {ErrorCode::Refused, "Check the placement against the array's shape."};
    case Refusal::LimitExceeded:
      return {ErrorCode::LimitExceeded,
              "Stay within information().limits; limits that were tightened last until the board's "
              "next power-up."};
    case Refusal::Unsupported:
      return {ErrorCode::Unsupported, "See information().capabilities."};
    case Refusal::VersionMismatch:
      return {ErrorCode::Incompatible, "Update pcmlab or the firmware."};
    case Refusal::QueueFull:
      return {ErrorCode::Refused,
              "The board is slower than expected; wait until status() shows an empty queue."};
    case Refusal::Aborted:
      return {ErrorCode::Stopped, "It was not done; ask for it again when work goes on."};
    case Refusal::DuplicateBatch:
      return {ErrorCode::DuplicateBatch,
              "Ask status() how far that batch came; never use its number again."};
    case Refusal::OverTemperature:
      return {ErrorCode::LimitExceeded,
              "Let the chip cool below information().limits.max_temperature."};
  }
  return {ErrorCode::Refused, "Update pcmlab."};
}

Error to_error(const wire::RefusalReply& refusal, const std::string& what) {
  const Consequence consequence = consequence_of(refusal.reason);
  std::string message = what + ": the board refused: " + std::string(to_string(refusal.reason));
  if (!refusal.detail.empty()) message += " (" + refusal.detail + ")";
  return {consequence.code, std::move(message), std::string(consequence.advice)};
}

}  // namespace

Conversation::Conversation(std::unique_ptr<Transport> transport, Milliseconds reply_deadline)
    : transport_(std::move(transport)), reply_deadline_(reply_deadline) {}

void Conversation::set_window(std::size_t window) { window_ = std::max<std::size_t>(window, 1); }

LineCounters Conversation::counters() const {
  LineCounters counters = counters_;
  counters.bad_frames = reader_.bad_frames();
  counters.skipped_bytes = reader_.skipped_bytes();
  return counters;
}

Conversation::Outcome Conversation::run(const Work& work) {
  Outcome outcome;
  if (closed_) {
    outcome.error = closed_->during(work.describe(0) + ": the board is disconnected");
    return outcome;
  }
  if (running_) {
    outcome.error = Error{ErrorCode::Internal,
                          work.describe(0) + ": asked while another call to the board is going on",
                          "Collect what the sink gets and talk to the board afterwards."};
    return outcome;
  }
  struct Running {
    explicit Running(bool& running) : flag(running) { flag = true; }
    ~Running() { flag = false; }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    bool& flag;
  } const running(running_);

  taken_ = sent_ = 0;
  slots_.resize(std::max(slots_.size(), window_));
  while (taken_ < work.requests) {
    if (Result<void> advanced = advance(work, outcome); !advanced) {
      outcome.error = std::move(advanced).error();
      break;
    }
  }
  outcome.taken = taken_;
  outcome.answered = std::max(outcome.answered, taken_);
  outcome.sent = sent_;
  if (outcome.error && !closed_) await_rest(work);
  return outcome;
}

Result<void> Conversation::advance(const Work& work, Outcome& outcome) {
  while (sent_ < work.requests && sent_ - taken_ < window_) {
    slot(sent_).attempts = 0;
    slot(sent_).waiting = false;
    slot(sent_).times_refused = 0;
    PCM_TRY(send(work, sent_++));
  }
  PCM_TRY(receive_one(work));
  return deliver(work, outcome);
}

Result<void> Conversation::send(const Work& work, std::size_t k) {
  Slot& slot = this->slot(k);
  const bool board_was_idle = !anything_waits() || slot.attempts > 0;
  slot.sequence = next_sequence_++;
  slot.waiting = true;
  ++slot.attempts;
  outbox_.clear();
  encode(work.request(k), slot.sequence, outbox_);
  const auto now = Transport::Clock::now();
  if (board_was_idle) last_progress_ = now;
  if (Result<void> sent = transport_->send(outbox_, now + reply_deadline_ + 2 * work.board_time);
      !sent) {
    return tl::unexpected(noted(sent.error().during(work.describe(k))));
  }
  return {};
}

Result<void> Conversation::receive_one(const Work& work) {
  Result<wire::Frame> frame = next_frame(reply_deadline(work));
  if (!frame) {
    if (frame.error().code != ErrorCode::Timeout) {
      return tl::unexpected(noted(frame.error().during(work.describe(taken_))));
    }
    // What began like a frame and never ended must not swallow the next one.
    reader_.reset();
    // The first in order stands for all: if its repetition is answered, that shows what became of
    // the others; if not, the board is silent.
    return give_up_on(work, taken_, frame.error().message);
  }

  const std::size_t answered = find_waiting(frame->sequence);
  const auto expected_type =
      static_cast<std::uint8_t>(static_cast<std::uint8_t>(work.type) | wire::kReplyBit);
  if (answered == sent_ || frame->type != expected_type) {
    ++counters_.ignored_replies;
    return {};
  }
  Result<wire::Reply> reply = decode_reply(*frame);
  if (!reply) return tl::unexpected(reply.error().during(work.describe(answered)));
  if (const auto* refusal = std::get_if<wire::RefusalReply>(&*reply);
      refusal != nullptr && refusal->reason == Refusal::QueueFull &&
      slot(answered).times_refused < kMostQueueFull) {
    // Not executed, whatever it was. The board counts otherwise than we do: a request that was
    // repeated may have been there all the time.
    ++slot(answered).times_refused;
    ++counters_.repeated_requests;
    --slot(answered).attempts;
    return send(work, answered);
  }
  slot(answered).reply = std::move(*reply);
  slot(answered).waiting = false;
  last_progress_ = Transport::Clock::now();

  // Boards answer in order: whatever was sent before this request will not be answered any more.
  const std::uint32_t sequence = frame->sequence;
  for (std::size_t k = taken_; k < sent_; ++k) {
    if (slot(k).waiting && is_older(slot(k).sequence, sequence)) {
      PCM_TRY(give_up_on(work, k, "no answer, though later requests were answered"));
    }
  }
  return {};
}

Result<void> Conversation::give_up_on(const Work& work, std::size_t k, std::string_view because) {
  if (may_be_repeated(work.type) && slot(k).attempts < 2) {
    ++counters_.repeated_requests;
    return send(work, k);
  }
  std::string message = work.describe(k) + ": " + std::string(because);
  if (may_be_repeated(work.type)) {
    message += ", twice";
    return fail(ErrorCode::Timeout, std::move(message), "Check the board's power and cable.");
  }
  return fail(ErrorCode::Timeout, std::move(message),
              "It may have been executed: ask status() before anything is sent again.");
}

Result<void> Conversation::deliver(const Work& work, Outcome& outcome) {
  while (taken_ < sent_ && !slot(taken_).waiting) {
    wire::Reply& reply = slot(taken_).reply;
    outcome.answered = taken_ + 1;
    if (const auto* refusal = std::get_if<wire::RefusalReply>(&reply)) {
      outcome.refusal = refusal->reason;
      return tl::unexpected(to_error(*refusal, work.describe(taken_)));
    }
    PCM_TRY(work.take(taken_, reply));
    ++taken_;
    // The board cannot be late while nobody listens.
    last_progress_ = Transport::Clock::now();
  }
  return {};
}

void Conversation::await_rest(const Work& work) {
  while (anything_waits()) {
    Result<wire::Frame> frame = next_frame(reply_deadline(work));
    if (!frame) {
      if (frame.error().code != ErrorCode::Timeout) noted(frame.error());
      return;
    }
    if (find_waiting(frame->sequence) == sent_) {
      ++counters_.ignored_replies;
      continue;
    }
    last_progress_ = Transport::Clock::now();
    for (std::size_t k = taken_; k < sent_; ++k) {
      if (!is_older(frame->sequence, slot(k).sequence)) slot(k).waiting = false;
    }
  }
}

Result<wire::Frame> Conversation::next_frame(Transport::Deadline deadline) {
  bool late = false;
  for (;;) {
    if (std::optional<wire::Frame> frame = reader_.next()) return std::move(*frame);
    if (late) {
      return fail(ErrorCode::Timeout, "only noise came from " + peer() + " before the deadline");
    }
    inbox_.clear();
    PCM_TRY(transport_->receive(inbox_, deadline));
    reader_.append(inbox_);
    late = Transport::Clock::now() > deadline;
  }
}

Transport::Deadline Conversation::reply_deadline(const Work& work) const {
  return last_progress_ + reply_deadline_ + 2 * work.board_time;
}

Error Conversation::noted(Error error) {
  if (error.code == ErrorCode::Disconnected) close(error);
  return error;
}

void Conversation::close(const Error& reason) {
  closed_ = Error{ErrorCode::Disconnected, reason.message,
                  "Check the board's power and cable; then connect it again."};
}

std::size_t Conversation::find_waiting(std::uint32_t sequence) {
  for (std::size_t k = taken_; k < sent_; ++k) {
    if (slot(k).waiting && slot(k).sequence == sequence) return k;
  }
  return sent_;
}

bool Conversation::anything_waits() {
  for (std::size_t k = taken_; k < sent_; ++k) {
    if (slot(k).waiting) return true;
  }
  return false;
}

Result<wire::Reply> Conversation::ask_any(const wire::Request& request, std::string_view what) {
  wire::Reply answer;
  Work work;
  work.type = type_of(request);
  work.requests = 1;
  work.request = [&](std::size_t) -> const wire::Request& { return request; };
  work.take = [&](std::size_t, wire::Reply& reply) -> Result<void> {
    answer = std::move(reply);
    return {};
  };
  work.describe = [&](std::size_t) { return std::string(what); };
  Outcome outcome = run(work);
  if (outcome.error) return tl::unexpected(std::move(*outcome.error));
  return answer;
}

Result<void> Conversation::reopen(Milliseconds deadline) {
  if (Result<void> opened = transport_->reopen(Transport::Clock::now() + deadline); !opened) {
    close(opened.error());
    return opened;
  }
  reader_.reset();
  closed_.reset();
  return {};
}

}  // namespace pcmlab
