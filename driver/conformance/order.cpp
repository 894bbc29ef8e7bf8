// SPDX-License-Identifier: Apache-2.0
// Sequence numbers, order, the queue, Abort, and losing the connection.
#include <algorithm>
#include <chrono>

#include "driver/conformance/checks.h"

namespace pcmlab::conformance {
namespace {

using std::chrono::milliseconds;
using wire::Refusal;

/// Work that a board in real time has still before it when the rest of the send has arrived.
constexpr Duration kBusy = milliseconds(100);
/// As much of it as proves that later frames arrived before it was done.
constexpr Duration kSurelyBusy = milliseconds(20);

Result<std::string> copied(Bench& bench) {
  for (const std::uint32_t sequence :
       {0u, 1u, 0xFFu, 0x100u, 0x7FFFFFFFu, 0x80000000u, 0xDEADBEEFu, 0xFFFFFFFFu}) {
    Sent sent = bench.make(wire::TemperatureRequest{});
    sent.sequence = sequence;
    sent.bytes = RawFrame{.type = sent.type, .sequence = sequence}.bytes();
    PCM_TRY(bench.ask(sent));
    sent.type = 0x7F;
    sent.bytes = RawFrame{.type = sent.type, .sequence = sequence}.bytes();
    PCM_TRY(bench.refused(sent, Refusal::UnknownRequest, "type 0x7F"));
  }
  return std::string();
}

Result<std::string> repeated(Bench& bench) {
  const Sent sent = bench.make(wire::TemperatureRequest{});
  PCM_TRY(bench.ask(sent));
  PCM_TRY(bench.ask(sent));
  if (bench.board().limits.max_requests_in_flight >= 2) {
    PCM_TRY(bench.exchange(std::vector<Sent>{sent, sent}));
  }
  return std::string();
}

Result<std::string> mixed(Bench& bench) {
  const std::vector<wire::Request> kinds{
      wire::StatusRequest{},
      wire::ReadRequest{wire::DeviceList{bench.any_devices(1)}, 1, Voltage::from_mV(200)},
      wire::TemperatureRequest{},
      wire::InformationRequest{},
      wire::HelloRequest{255, 255},
      wire::AbortRequest{},
      wire::ReadReferencesRequest{1, Voltage::from_mV(200)},
      wire::HelloRequest{}};
  const std::size_t window = bench.board().limits.max_requests_in_flight;
  std::size_t total = 0;
  for (std::size_t round = 0; round < kinds.size(); ++round) {
    std::vector<Sent> sent;
    for (std::size_t i = 0; i < window; ++i) {
      sent.push_back(bench.make(kinds[(round + i) % kinds.size()]));
    }
    PCM_TRY(bench.exchange(sent));
    total += sent.size();
  }
  return text(total, " requests, ", window, " in flight");
}

Result<std::string> full_window(Bench& bench) {
  std::vector<Sent> sent{bench.make(bench.long_read(kBusy))};
  while (sent.size() < bench.board().limits.max_requests_in_flight) {
    sent.push_back(bench.make(wire::TemperatureRequest{}));
  }
  PCM_ASSIGN(const auto replies, bench.exchange(sent));
  for (const wire::Reply& reply : replies) {
    if (std::holds_alternative<wire::RefusalReply>(reply)) {
      return failed(text("all ", sent.size(), " requests are taken"), Bench::describe(reply));
    }
  }
  return text(sent.size(), " in flight");
}

Result<std::string> queue_full(Bench& bench) {
  constexpr std::size_t kTooMany = 3;
  const std::size_t window = bench.board().limits.max_requests_in_flight;
  std::vector<Sent> sent{bench.make(bench.long_read(kBusy))};
  if (sent.front().board_time < kSurelyBusy) return skipped("no request keeps it busy for 20 ms");
  while (sent.size() < window + kTooMany) sent.push_back(bench.make(wire::TemperatureRequest{}));
  PCM_ASSIGN(const auto replies, bench.exchange(sent));
  for (std::size_t i = 0; i < replies.size(); ++i) {
    const bool refusal = std::holds_alternative<wire::RefusalReply>(replies[i]);
    if (i < window && refusal) {
      return failed(text("request ", i + 1, " is taken"), Bench::describe(replies[i]));
    }
    if (i >= window) {
      PCM_TRY(Bench::is_refusal(replies[i], Refusal::QueueFull,
                                text("request ", i + 1, " with ", window, " allowed in flight")));
    }
  }
  PCM_TRY(bench.get<wire::TemperatureReply>(wire::TemperatureRequest{}));
  return text(kTooMany, " refused");
}

Result<std::string> queue_full_no_effect(Bench& bench) {
  const std::size_t window = bench.board().limits.max_requests_in_flight;
  std::vector<Sent> sent{bench.make(bench.long_read(kBusy))};
  if (sent.front().board_time < kSurelyBusy) return skipped("no request keeps it busy for 20 ms");
  while (sent.size() < window) sent.push_back(bench.make(wire::TemperatureRequest{}));
  PCM_ASSIGN(const auto before, bench.status());
  const wire::ProgramRequest program{
      bench.new_batch(), bench.board().limits.min_width, bench.pulse_devices(1), {0}};
  sent.push_back(bench.make(program));
  PCM_ASSIGN(const auto replies, bench.exchange(sent));
  PCM_TRY(Bench::is_refusal(replies.back(), Refusal::QueueFull, "a batch beyond the queue"));
  PCM_TRY(bench.unchanged(before, "a batch beyond the queue"));
  return std::string();
}

Result<std::string> queued(Bench& bench) {
  const std::size_t window = bench.board().limits.max_requests_in_flight;
  if (window < 3) return skipped("fewer than 3 requests may be in flight");
  std::vector<Sent> sent{bench.make(bench.long_read(kBusy)), bench.make(wire::StatusRequest{})};
  if (sent.front().board_time < kSurelyBusy) return skipped("no request keeps it busy for 20 ms");
  while (sent.size() < window) sent.push_back(bench.make(wire::TemperatureRequest{}));
  PCM_ASSIGN(const auto replies, bench.exchange(sent));
  PCM_ASSIGN(const auto status, bench.as<wire::StatusReply>(replies[1]));
  if (status.queued_requests != window - 2) {
    return failed(text(window - 2, " requests wait behind this Status"),
                  text(status.queued_requests));
  }
  PCM_ASSIGN(const auto alone, bench.status());
  if (alone.queued_requests != 0) return failed("none wait behind the last", "some do");
  return std::string();
}

// ---- Abort -------------------------------------------------------------------------------------

Result<std::string> idle(Bench& bench) {
  PCM_ASSIGN(const auto reply, bench.get<wire::AbortReply>(wire::AbortRequest{}));
  if (reply.requests_dropped != 0) return failed("0 dropped", text(reply.requests_dropped));
  return std::string();
}

/// Sends work and then Abort, at once. What came before Abort must have been done or refused with
/// Aborted, in this order, and Abort must count those that had not begun.
Result<std::vector<wire::Reply>> abort_behind(Bench& bench, std::vector<Sent> sent,
                                              std::size_t taken) {
  sent.push_back(bench.make(wire::AbortRequest{}));
  if (sent.front().board_time < kSurelyBusy) return skipped("no request keeps it busy for 20 ms");
  PCM_ASSIGN(auto replies, bench.exchange(sent));
  std::uint32_t aborted = 0;
  for (std::size_t i = 0; i < taken; ++i) {
    const auto* refusal = std::get_if<wire::RefusalReply>(&replies[i]);
    if (refusal != nullptr && refusal->reason == Refusal::Aborted) {
      ++aborted;
    } else if (refusal != nullptr || aborted > 0) {
      return failed(aborted > 0 ? "Aborted, as the request before" : "done, or Aborted",
                    text("request ", i + 1, ": ", Bench::describe(replies[i])));
    }
  }
  if (taken > 1 && aborted == 0) {
    return failed("Abort acts as soon as it has arrived: the last requests are Aborted",
                  "all of them were done");
  }
  PCM_ASSIGN(const auto abort, bench.as<wire::AbortReply>(replies.back()));
  // The read at work is refused as well, but had begun.
  if (abort.requests_dropped != aborted && abort.requests_dropped + 1 != aborted) {
    return failed(text(aborted, " requests dropped, or one less"), text(abort.requests_dropped));
  }
  return replies;
}

std::vector<Sent> window_of_reads(Bench& bench) {
  std::vector<Sent> sent{bench.make(bench.long_read(kBusy))};
  while (sent.size() < bench.board().limits.max_requests_in_flight) {
    sent.push_back(bench.make(
        wire::ReadRequest{wire::DeviceList{bench.any_devices(1)}, 1, Voltage::from_mV(200)}));
  }
  return sent;
}

Result<std::string> abort_queue(Bench& bench) {
  const std::vector<Sent> sent = window_of_reads(bench);
  PCM_ASSIGN(const auto before, bench.status());
  PCM_TRY(abort_behind(bench, sent, sent.size()));
  PCM_TRY(bench.unchanged(before, "aborted reads"));
  return text(sent.size(), " requests before it");
}

Result<std::string> abort_overfull(Bench& bench) {
  std::vector<Sent> sent = window_of_reads(bench);
  const std::size_t window = sent.size();
  for (int i = 0; i < 2; ++i) sent.push_back(bench.make(wire::TemperatureRequest{}));
  PCM_ASSIGN(const auto replies, abort_behind(bench, sent, window));
  for (std::size_t i = window; i < sent.size(); ++i) {
    PCM_TRY(Bench::is_refusal(replies[i], Refusal::QueueFull, "beyond the queue, then Abort"));
  }
  return std::string();
}

Result<std::string> abort_later(Bench& bench) {
  // The window is kept: those after Abort are beyond no limit.
  const std::size_t window = bench.board().limits.max_requests_in_flight;
  if (window < 3) return skipped("fewer than 3 requests may be in flight");
  std::vector<Sent> sent{bench.make(bench.long_read(kBusy)), bench.make(wire::AbortRequest{}),
                         bench.make(wire::StatusRequest{}), bench.make(wire::TemperatureRequest{})};
  PCM_ASSIGN(const auto replies, bench.exchange(sent));
  PCM_TRY(bench.as<wire::AbortReply>(replies[1]));
  PCM_TRY(bench.as<wire::StatusReply>(replies[2]));
  PCM_TRY(bench.as<wire::TemperatureReply>(replies[3]));
  return std::string();
}

Result<std::string> abort_batches(Bench& bench) {
  const std::size_t window = bench.board().limits.max_requests_in_flight;
  if (window < 2) return skipped("fewer than 2 requests may be in flight");
  std::vector<Sent> sent{bench.make(bench.long_read(kBusy))};
  const std::vector<DeviceAddress> devices = bench.pulse_devices(8);
  PCM_ASSIGN(const auto before, bench.status());
  const wire::Pulse weak = bench.within_limits(1, Duration(50));
  std::vector<std::uint64_t> batches;
  while (sent.size() < std::min<std::size_t>(window, 4)) {
    batches.push_back(bench.new_batch());
    sent.push_back(
        bench.make(wire::InitialiseRequest{batches.back(), {weak}, wire::DeviceList{devices}}));
  }
  PCM_ASSIGN(const auto replies, abort_behind(bench, sent, sent.size()));
  PCM_ASSIGN(const auto after, bench.status());
  std::uint64_t pulses = 0;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    const auto record = std::find_if(
        after.recent_batches.begin(), after.recent_batches.end(),
        [&](const wire::BatchRecord& candidate) { return candidate.batch == batches[i]; });
    const bool kept = record != after.recent_batches.end();
    if (const auto* done = std::get_if<wire::InitialiseReply>(&replies[i + 1])) {
      pulses += done->pulses_executed;
      if (!kept || record->devices_done != done->devices_done) {
        return failed(
            "the record of a batch that Abort ended says how far it came",
            kept ? text(record->devices_done, " devices, the reply says ", done->devices_done)
                 : "there is none");
      }
    } else if (kept) {
      return failed("a batch refused with Aborted leaves no record", "there is one");
    }
  }
  if (after.pulses_executed - before.pulses_executed != pulses) {
    return failed(text(pulses, " pulses, as the replies say"),
                  text(after.pulses_executed - before.pulses_executed, " were counted"));
  }
  return std::string();
}

// ---- losing the connection ---------------------------------------------------------------------

Result<std::string> cut_frame(Bench& bench) {
  // Its header promises so much that what follows could not complete it.
  RawFrame promises{.type = static_cast<std::uint8_t>(wire::MessageType::Read),
                    .payload = Bytes(4000),
                    .sequence = bench.next_sequence()};
  Bytes half = promises.bytes();
  half.resize(half.size() / 2);
  PCM_TRY(bench.send(half));
  bench.glance();
  PCM_TRY(bench.reopen());
  PCM_TRY(bench.get<wire::HelloReply>(wire::HelloRequest{}));
  return std::string();
}

Result<std::string> drops_queue(Bench& bench) {
  PCM_ASSIGN(const auto before, bench.status());
  Bytes all;
  for (const Sent& sent : window_of_reads(bench)) all = joined({all, sent.bytes});
  PCM_TRY(bench.send(all));
  bench.glance();
  PCM_TRY(bench.reopen());
  PCM_TRY(bench.get<wire::HelloReply>(wire::HelloRequest{}));
  PCM_ASSIGN(const auto information, bench.get<wire::InformationReply>(wire::InformationRequest{}));
  if (information != bench.board()) {
    return failed("the same board with the same limits and boot epoch", "another Information");
  }
  PCM_TRY(bench.unchanged(before, "a lost connection"));
  PCM_ASSIGN(const auto after, bench.status());
  if (after.now < before.now) return failed("board time goes on", "it stepped back");
  return std::string();
}

Result<std::string> keeps_batches(Bench& bench) {
  const Sent sent = bench.make(wire::ProgramRequest{
      bench.new_batch(), bench.board().limits.min_width, bench.pulse_devices(1), {0}});
  PCM_TRY(bench.ask(sent));
  PCM_ASSIGN(const auto before, bench.status());
  PCM_TRY(bench.reopen());
  PCM_TRY(bench.get<wire::HelloReply>(wire::HelloRequest{}));
  PCM_TRY(bench.unchanged(before, "a lost connection"));
  PCM_TRY(bench.refused(sent, Refusal::DuplicateBatch, "a batch from before, byte for byte"));
  return std::string();
}

}  // namespace

void add_sequence_and_order(Checks& checks) {
  const std::string order = "Conversation: Order";
  const std::string flight = "Conversation: Several in flight";
  checks.insert(
      checks.end(),
      {{{"sequence.copied", "Conversation: Sequence numbers", "any sequence number is copied"},
        copied},
       {{"sequence.repeated", "Conversation: Sequence numbers",
         "a sequence number used again is answered again", kInformation},
        repeated},
       {{"order.mixed", order, "one reply to each, in the order of the requests", kInformation},
        mixed},
       {{"order.window", flight, "as many in flight as Information says are taken", kInformation},
        full_window},
       {{"order.queue_full", flight, "those beyond are refused with QueueFull, in their turn",
         kInformation},
        queue_full},
       {{"order.queue_full_no_effect", flight, "and are not executed", kInformation | kPulses},
        queue_full_no_effect},
       {{"order.queued", "0x06 Status", "Status counts the requests behind it", kInformation},
        queued}});
}

void add_abort(Checks& checks) {
  const std::string section = "0x09 Abort";
  checks.insert(
      checks.end(),
      {{{"abort.idle", section, "with nothing to do it drops nothing"}, idle},
       {{"abort.queue", section, "what has not begun is refused with Aborted, and counted",
         kInformation},
        abort_queue},
       {{"abort.overfull", "Conversation: Several in flight", "Abort is taken by a full queue",
         kInformation},
        abort_overfull},
       {{"abort.later", section, "requests after it are not concerned", kInformation}, abort_later},
       {{"abort.batches", section, "aborted batches have no effect and leave no record",
         kInformation | kPulses, 3},
        abort_batches}});
}

void add_connection(Checks& checks) {
  const std::string section = "Conversation: Losing the connection";
  checks.insert(
      checks.end(),
      {{{"connection.cut_frame", section, "half a frame from before is forgotten", kInformation},
        cut_frame},
       {{"connection.state", section, "the queue is dropped, all else stays", kInformation},
        drops_queue},
       {{"connection.batches", section, "a batch from before is a DuplicateBatch",
         kInformation | kPulses},
        keeps_batches}});
}

}  // namespace pcmlab::conformance
