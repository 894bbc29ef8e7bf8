// SPDX-License-Identifier: Apache-2.0
#include "driver/replay_transport.h"

#include <algorithm>
#include <cstdio>
#include <limits>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "driver/request_difference.h"
#include "protocol/bytes.h"
#include "protocol/frame_reader.h"

namespace pcmlab {
namespace {

constexpr char kSame[] =
    "Replay with the plan, the network and the program version of the recording.";

std::string seconds_text(Duration time) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.6f s", seconds(time));
  return buffer;
}

struct Head {
  std::uint8_t type = 0;
  std::uint32_t sequence = 0;
};

/// Type and sequence number of a request, if the bytes are long enough for one.
std::optional<Head> head_of(std::span<const std::byte> request) {
  if (request.size() < wire::kHeaderBytes) return std::nullopt;
  wire::ByteReader in(request.subspan(wire::kMagic.size() + 1));
  Head head;
  head.type = in.u8();
  in.u16();
  head.sequence = in.u32();
  return head;
}

/// A stretch of the bytes from the board: a reply to a request that was recorded, or noise.
struct Stretch {
  std::size_t end = 0;
  std::optional<std::size_t> answers;  ///< step
};

}  // namespace

Result<std::unique_ptr<ReplayTransport>> ReplayTransport::open(const std::filesystem::path& file) {
  PCM_ASSIGN(Recording recording, load_recording(file));
  return std::make_unique<ReplayTransport>(std::move(recording));
}

ReplayTransport::ReplayTransport(Recording recording) : recording_(std::move(recording)) {
  const std::span<const Record> records = recording_.records;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= records.size(); ++i) {
    const bool reopening = i < records.size() && (records[i].kind == RecordKind::Reopened ||
                                                  records[i].kind == RecordKind::ReopenFailed);
    if (i < records.size() && !reopening) continue;
    add_connection(records.subspan(begin, i - begin));
    begin = i + 1;
    if (!reopening) continue;
    Step& step = steps_.emplace_back();
    step.record = &records[i];
    if (records[i].kind == RecordKind::ReopenFailed)
      step.failure = recorded_error(records[i]).value();
  }
}

void ReplayTransport::add_connection(std::span<const Record> records) {
  // Which bytes are replies, wherever the records cut them.
  const std::size_t first_step = steps_.size();
  std::vector<Stretch> stretches;
  {
    std::unordered_map<std::uint32_t, std::pair<std::size_t, std::uint8_t>> requests;
    wire::FrameReader reader;
    std::size_t step = first_step;
    std::uint64_t in_frames = 0;
    for (const Record& record : records) {
      if (record.kind == RecordKind::ToBoard) {
        if (const auto head = head_of(record.bytes)) requests[head->sequence] = {step, head->type};
        ++step;
      }
      if (record.kind != RecordKind::FromBoard) continue;
      reader.append(record.bytes);
      while (const std::optional<wire::Frame> frame = reader.next()) {
        const std::size_t size = wire::kHeaderBytes + frame->payload.size() + wire::kCrcBytes;
        in_frames += size;
        const std::size_t end = reader.skipped_bytes() + in_frames;
        if (end - size > (stretches.empty() ? 0 : stretches.back().end)) {
          stretches.push_back({end - size, std::nullopt});
        }
        const auto request = requests.find(frame->sequence);
        const bool reply =
            request != requests.end() && frame->type == (request->second.second | wire::kReplyBit);
        stretches.push_back({end, reply ? std::optional(request->second.first) : std::nullopt});
      }
    }
    stretches.push_back({std::numeric_limits<std::size_t>::max(), std::nullopt});
  }

  std::size_t offset = 0;
  auto stretch = stretches.begin();
  for (const Record& record : records) {
    switch (record.kind) {
      case RecordKind::ToBoard:
        steps_.push_back({&record, ++requests_, std::nullopt});
        break;
      case RecordKind::SendFailed:
        if (steps_.size() > first_step) steps_.back().failure = recorded_error(record).value();
        break;
      case RecordKind::ReceiveFailed: {
        Event& event = events_.emplace_back();
        event.steps_before = event.needs = steps_.size();
        event.failure = recorded_error(record).value();
        break;
      }
      case RecordKind::FromBoard:
        for (std::size_t done = 0; done < record.bytes.size();) {
          const std::size_t piece = std::min(record.bytes.size() - done, stretch->end - offset);
          Event& event = events_.emplace_back();
          event.steps_before = steps_.size();
          event.needs = stretch->answers ? *stretch->answers + 1 : steps_.size();
          event.bytes = record.bytes.subspan(done, piece);
          event.noise = !stretch->answers;
          done += piece;
          offset += piece;
          if (offset == stretch->end) ++stretch;
        }
        break;
      default:
        break;
    }
  }
}

std::string ReplayTransport::place(const Step& step) const {
  const std::string when = "recorded at " + seconds_text(step.record->time);
  if (step.request == 0) return "where the connection was opened again (" + when + ")";
  return "at request " + std::to_string(step.request) + " of " + std::to_string(requests_) + " (" +
         describe_request(step.record->bytes) + ", " + when + ")";
}

tl::unexpected<Error> ReplayTransport::differs(const Step& step, std::string_view what,
                                               std::string advice) {
  final_ = Error{ErrorCode::Refused,
                 description() + " differs " + place(step) + ": " + std::string(what),
                 std::move(advice)};
  return tl::unexpected(*final_);
}

tl::unexpected<Error> ReplayTransport::ended(std::string_view doing) {
  std::string message = description() + ": the recording ends here, after " +
                        std::to_string(requests_) + (requests_ == 1 ? " request" : " requests");
  if (!recording_.records.empty()) {
    message += " and " + seconds_text(recording_.records.back().time);
  }
  if (recording_.cut_off) message += "; it was cut off and not closed";
  message += "; the program " + std::string(doing);
  final_ = Error{ErrorCode::Disconnected, std::move(message),
                 recording_.cut_off ? "Nothing is known of what came then." : kSame};
  return tl::unexpected(*final_);
}

Result<void> ReplayTransport::noted(const Error& error) {
  if (error.code == ErrorCode::Disconnected) disconnected_ = error;
  return tl::unexpected(error);
}

Result<void> ReplayTransport::send(std::span<const std::byte> bytes, Deadline /*deadline*/) {
  if (final_) return tl::unexpected(*final_);
  const bool recorded = !at_end() && steps_[next_step_].request != 0;
  if (!recorded && disconnected_) return tl::unexpected(*disconnected_);
  if (at_end()) return ended("asked for " + describe_request(bytes));
  const Step& step = steps_[next_step_];
  if (!recorded) return differs(step, "the program asked for " + describe_request(bytes), kSame);
  if (!std::equal(bytes.begin(), bytes.end(), step.record->bytes.begin(),
                  step.record->bytes.end())) {
    RequestDifference difference = request_difference(bytes, step.record->bytes);
    return differs(step, difference.text, std::move(difference.advice));
  }
  ++next_step_;
  heard_noise_ = false;
  return step.failure ? noted(*step.failure) : Result<void>{};
}

Result<void> ReplayTransport::receive(std::vector<std::byte>& into, Deadline /*deadline*/) {
  if (final_) return tl::unexpected(*final_);
  if (next_event_ < events_.size() && events_[next_event_].needs <= next_step_) {
    const Event& event = events_[next_event_++];
    heard_noise_ = event.noise;
    if (event.failure) return noted(*event.failure);
    into.insert(into.end(), event.bytes.begin(), event.bytes.end());
    return {};
  }
  if (disconnected_) return tl::unexpected(*disconnected_);
  // The recorded program gave up on its own when its deadline had passed and only noise had come.
  if (heard_noise_ && !at_end()) {
    return fail(ErrorCode::Timeout, "only noise had come from " + description());
  }
  if (at_end()) return ended("waits for the board");
  return differs(steps_[next_step_], "the program waits for the board instead", kSame);
}

Result<void> ReplayTransport::reopen(Deadline /*deadline*/) {
  if (final_) return tl::unexpected(*final_);
  if (at_end()) return ended("opens the connection again");
  const Step& step = steps_[next_step_];
  if (step.request != 0) {
    return differs(step, "the program opens the connection again instead", kSame);
  }
  // What was on its way is dropped; how a call failed is nothing that can be passed over.
  while (next_event_ < events_.size() && events_[next_event_].steps_before <= next_step_) {
    const Event& event = events_[next_event_++];
    if (!event.failure) continue;
    return differs(step, "the program has not heard of \"" + event.failure->message + "\"", kSame);
  }
  ++next_step_;
  heard_noise_ = false;
  if (!step.failure) {
    disconnected_.reset();
    return {};
  }
  disconnected_ = Error{ErrorCode::Disconnected, step.failure->message, step.failure->advice};
  return tl::unexpected(*step.failure);
}

}  // namespace pcmlab
