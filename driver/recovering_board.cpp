// SPDX-License-Identifier: Apache-2.0
#include "driver/recovering_board.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdio>
#include <limits>
#include <map>
#include <mutex>
#include <utility>

namespace pcmlab {
namespace {

constexpr auto kMostContinuations = std::numeric_limits<std::uint8_t>::max();

bool is_silence(const Error& error) {
  return error.code == ErrorCode::Timeout || error.code == ErrorCode::Disconnected ||
         error.code == ErrorCode::BadFrame;
}

bool is_interruption(const Error& error) {
  return is_silence(error) || error.code == ErrorCode::Io;
}

const wire::BatchRecord* find(const BoardStatus& status, std::uint64_t batch) {
  const auto& records = status.recent_batches;
  const auto found =
      std::find_if(records.rbegin(), records.rend(),
                   [batch](const wire::BatchRecord& record) { return record.batch == batch; });
  return found == records.rend() ? nullptr : &*found;
}

std::string name(std::uint64_t batch, std::size_t devices) {
  return "batch " + std::to_string(batch) + " (" + std::to_string(devices) +
         (devices == 1 ? " device)" : " devices)");
}

std::string celsius(Temperature temperature) {
  constexpr double kZero_K = 273.15;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f C", temperature.K() - kZero_K);
  return text.data();
}

}  // namespace

RecoveringBoard::RecoveringBoard(std::unique_ptr<TestBoard> board, RecoverySettings settings)
    : board_(std::move(board)),
      settings_(std::move(settings)),
      boot_epoch_(board_->information().boot_epoch),
      latest_seen_at_(std::chrono::steady_clock::now()) {
  if (!settings_.earlier) return;
  const EarlierWork& earlier = *settings_.earlier;
  boot_epoch_ = earlier.boot_epoch;  // another one is noticed by the first status
  offset_ = earlier.offset;
  latest_ = earlier.latest;
  latest_seen_at_ -= earlier.ago;
}

void RecoveringBoard::tell(BoardEvent::Kind kind, std::string text) const {
  if (settings_.tell) settings_.tell({kind, std::move(text), boot_epoch_, offset_});
}

// ---- time ------------------------------------------------------------------------------------

BoardTime RecoveringBoard::seen(BoardTime of_board) {
  const BoardTime time = of_board + offset_;
  if (time > latest_) {
    latest_ = time;
    latest_seen_at_ = std::chrono::steady_clock::now();
  }
  return time;
}

void RecoveringBoard::note_epoch(const BoardStatus& status) {
  if (status.boot_epoch == boot_epoch_) return;
  boot_epoch_ = status.boot_epoch;
  ++memory_losses_;
  BoardTime now = latest_;
  if ((information().capabilities & wire::kVirtualTime) == 0) {
    now += std::chrono::steady_clock::now() - latest_seen_at_;
  }
  offset_ = std::max(now - status.now, BoardTime(0));
  tell(BoardEvent::Kind::MemoryLost,
       "board " + information().serial + " has booted: its clock, records and counters are new");
}

// ---- recovery --------------------------------------------------------------------------------

Result<BoardStatus> RecoveringBoard::ask_status() {
  PCM_ASSIGN(BoardStatus status, board_->status());
  note_epoch(status);
  return status;
}

Result<BoardStatus> RecoveringBoard::recover(const Error& error) {
  ++interruptions_;
  tell(BoardEvent::Kind::Interrupted, error.message);
  if (error.code != ErrorCode::Disconnected) {
    Result<BoardStatus> status = ask_status();
    if (status || !is_interruption(status.error())) return status;
  }
  for (unsigned attempt = 1;; ++attempt) {
    PCM_TRY(reopen_patiently());
    tell(BoardEvent::Kind::Reconnected, "board " + information().serial + " is connected again");
    Result<BoardStatus> status = ask_status();
    if (status || !is_interruption(status.error()) || attempt > settings_.attempts) return status;
    ++interruptions_;
    tell(BoardEvent::Kind::Interrupted, status.error().message);
  }
}

Result<void> RecoveringBoard::reopen_patiently() {
  const auto deadline = std::chrono::steady_clock::now() + settings_.wait_for_board;
  for (;;) {
    Result<void> opened = board_->reopen();
    if (opened) return opened;
    if (settings_.stop.stop_requested()) {
      return fail(ErrorCode::Stopped, "stopped while waiting for board " + information().serial +
                                          " to come back (" + opened.error().message + ")");
    }
    // Another board at the plug may be exchanged as well.
    const bool may_come =
        is_silence(opened.error()) || opened.error().code == ErrorCode::Incompatible;
    if (!may_come || std::chrono::steady_clock::now() >= deadline) return opened;
    PCM_TRY(
        wait(settings_.pause_between_attempts, "board " + information().serial + " to come back"));
  }
}

Result<void> RecoveringBoard::wait(std::chrono::milliseconds time, const std::string& for_what) {
  if (on_waiting_) PCM_TRY(on_waiting_(for_what));
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, settings_.stop, time, [] { return false; });
  return {};
}

Result<void> RecoveringBoard::wait_until_cool() {
  constexpr std::chrono::milliseconds kBetweenLooks{500};
  const Temperature limit = information().limits.max_temperature;
  const bool is_virtual = (information().capabilities & wire::kVirtualTime) != 0;
  PCM_ASSIGN(Temperature chip, temperature());
  PCM_ASSIGN(BoardStatus now, status());
  tell(BoardEvent::Kind::TooHot, "paused by itself: the chip is at " + celsius(chip) +
                                     ", the limit is " + celsius(limit) +
                                     "; no pulses until it has cooled");
  const BoardTime begin = now.now;
  std::optional<BoardTime> cool_since;
  for (;;) {
    if (chip > limit) cool_since.reset();
    if (chip <= limit && !cool_since) cool_since = now.now;
    if (cool_since && now.now - *cool_since >= settings_.cool_for) break;
    if (settings_.stop.stop_requested()) {
      return fail(ErrorCode::Stopped, "stopped while the chip was too hot for pulses");
    }
    if (now.now - begin >= settings_.wait_for_cooling) {
      return fail(
          ErrorCode::LimitExceeded,
          "the chip does not cool: it is at " + celsius(chip) + ", the limit is " + celsius(limit),
          "Look after its cooling, then go on.");
    }
    const std::string what = "the chip to cool: " + celsius(chip) + ", limit " + celsius(limit);
    if (is_virtual) {
      if (on_waiting_) PCM_TRY(on_waiting_(what));
      PCM_TRY(advance_time_to(now.now + std::chrono::seconds(1)));
    } else {
      PCM_TRY(wait(kBetweenLooks, what));
    }
    PCM_ASSIGN(chip, temperature());
    PCM_ASSIGN(now, status());
  }
  tell(BoardEvent::Kind::Cooled, "the chip is at " + celsius(chip) + " again; going on");
  return {};
}

template <class Ask>
auto RecoveringBoard::persistently(Ask ask) -> decltype(ask()) {
  for (unsigned attempt = 1;; ++attempt) {
    auto answer = ask();
    if (answer || !is_interruption(answer.error()) || attempt > settings_.attempts) return answer;
    PCM_TRY(recover(answer.error()));
  }
}

// ---- reads -----------------------------------------------------------------------------------

Result<void> RecoveringBoard::read(std::span<const DeviceAddress> addresses,
                                   const ReadSettings& settings, const ReadSink& sink) {
  std::size_t done = 0;
  std::size_t done_before = 0;
  unsigned attempts = 0;
  bool sink_failed = false;
  for (;;) {
    const std::size_t begin = done;
    Result<void> read =
        board_->read(addresses.subspan(begin), settings, [&](ReadChunk chunk) -> Result<void> {
          chunk.begin += begin;
          chunk.first = seen(chunk.first);
          chunk.last = seen(chunk.last);
          Result<void> taken = sink(chunk);
          sink_failed = !taken;
          if (taken) done = chunk.begin + chunk.code_sums.size();
          return taken;
        });
    if (read || sink_failed || !is_interruption(read.error())) return read;
    attempts = done > done_before ? 1 : attempts + 1;
    done_before = done;
    if (attempts > settings_.attempts) return read;
    PCM_TRY(recover(read.error()));
  }
}

// ---- pulses ----------------------------------------------------------------------------------

/// One call of program() or initialise(): what of it is settled, and what is still to be sent.
class RecoveringBoard::PulseCall {
 public:
  PulseCall(RecoveringBoard& recovering, std::uint64_t first_batch, std::size_t devices,
            const SendPulses& send, const PulseSink& sink)
      : recovering_(recovering),
        chunk_devices_(recovering.chunk_devices()),
        first_batch_(first_batch),
        devices_(devices),
        send_(send),
        sink_(sink) {
    begin_chunk(0);
  }

  bool sink_failed() const { return sink_failed_; }
  /// Grows with everything that is known to be done.
  std::size_t progress() const { return at_hand_.begin + done_in_chunk_ + ahead_.size(); }

  /// Sends what is not settled, in runs of chunks.
  Result<void> send() {
    while (at_hand_.begin < devices_) {
      if (const auto settled = ahead_.find(at_hand_.begin); settled != ahead_.end()) {
        const wire::BatchRecord record = settled->second;
        ahead_.erase(settled);
        PCM_TRY(apply(record));
        continue;
      }
      std::size_t end = ahead_.empty() ? devices_ : ahead_.begin()->first;
      if (continuations_ > 0) end = at_hand_.begin + at_hand_.count;
      run_begin_ = at_hand_.begin + done_in_chunk_;
      run_end_ = end;
      PCM_TRY(send_(run_begin_, end - run_begin_, number(), [this](const PulseChunk& chunk) {
        return add({chunk.batch, 0, static_cast<std::uint32_t>(chunk.count), chunk.pulses_executed,
                    recovering_.seen(chunk.first), recovering_.seen(chunk.last)},
                   0);
      }));
    }
    return {};
  }

  /// Takes over what the board's records tell about the batches that were sent.
  Result<void> settle(const BoardStatus& status, std::size_t batches_sent) {
    const std::size_t end = sent_until(batches_sent);
    for (std::size_t begin = at_hand_.begin; begin < end; begin += chunk_devices_) {
      const bool at_hand = begin == at_hand_.begin;
      const std::uint64_t batch = at_hand ? number() : first_batch_ + begin / chunk_devices_;
      const wire::BatchRecord* record = find(status, batch);
      if (record == nullptr || ahead_.contains(begin)) continue;
      const std::size_t devices =
          at_hand ? at_hand_.count - done_in_chunk_ : std::min(chunk_devices_, devices_ - begin);
      if (record->devices_total != devices) {
        return fail(ErrorCode::BadFrame,
                    name(batch, devices) + ": the board's record is of " +
                        std::to_string(record->devices_total) + " devices",
                    "Check the firmware; read the devices before any pulse is sent again.");
      }
      recovering_.tell(BoardEvent::Kind::BatchSettled,
                       name(batch, devices) + ": by the board's records " +
                           std::to_string(record->devices_done) + " of them were done");
      wire::BatchRecord& kept = ahead_[begin] = *record;
      kept.first = recovering_.seen(record->first);
      kept.last = recovering_.seen(record->last);
    }
    return {};
  }

  /// Batches that an earlier process may have sent are to be settled.
  void may_have_been_sent(std::size_t devices) {
    run_begin_ = 0;
    run_end_ = devices;
  }

  /// The board has lost its records of the batches that were sent.
  Result<void> give_up_on(std::size_t batches_sent) {
    const std::size_t end = sent_until(batches_sent);
    while (at_hand_.begin < end) {
      const std::size_t left = at_hand_.count - done_in_chunk_;
      recovering_.tell(BoardEvent::Kind::BatchUnknown,
                       name(number(), left) + ": the board has lost its record of them");
      PCM_TRY(add({number(), 0, static_cast<std::uint32_t>(left), 0, recovering_.latest_,
                   recovering_.latest_},
                  left));
    }
    return {};
  }

  /// Hands out what is done of the chunk at hand; nothing more will be.
  void flush() {
    if (sink_failed_ || done_in_chunk_ == 0) return;
    PulseChunk part = at_hand_;
    part.count = done_in_chunk_;
    sink_failed_ = !sink_(part);
  }

 private:
  std::uint64_t number() const { return continued_batch(at_hand_.batch, continuations_); }

  std::size_t sent_until(std::size_t batches_sent) const {
    return std::min(run_begin_ / chunk_devices_ * chunk_devices_ + batches_sent * chunk_devices_,
                    run_end_);
  }

  void begin_chunk(std::size_t begin) {
    at_hand_ = {};
    at_hand_.begin = begin;
    at_hand_.count = std::min(chunk_devices_, devices_ - std::min(begin, devices_));
    at_hand_.batch = first_batch_ + begin / chunk_devices_;
    done_in_chunk_ = 0;
    continuations_ = 0;
  }

  /// The board has begun the batch at hand and done a part of it, perhaps all.
  Result<void> apply(const wire::BatchRecord& record) {
    const std::size_t left = at_hand_.count - done_in_chunk_;
    if (record.devices_done < left) {
      // A batch that was interrupted at its very first device has used up its number as well.
      if (continuations_ == kMostContinuations) {
        return fail(ErrorCode::Timeout, name(record.batch, left) + ": interrupted too often",
                    "Check the board's power and cable.");
      }
      ++continuations_;
      if (record.devices_done == 0) return {};
    }
    return add(record, 0);
  }

  /// The next devices are done; the chunk goes to the sink when it is whole.
  Result<void> add(const wire::BatchRecord& done, std::size_t unknown) {
    if (done_in_chunk_ == 0) at_hand_.first = done.first;
    at_hand_.last = done.last;
    at_hand_.pulses_executed += done.pulses_executed;
    at_hand_.unknown += unknown;
    done_in_chunk_ += done.devices_done;
    if (done_in_chunk_ < at_hand_.count) return {};
    const PulseChunk whole = at_hand_;
    begin_chunk(whole.begin + whole.count);
    Result<void> taken = sink_(whole);
    sink_failed_ = !taken;
    return taken;
  }

  RecoveringBoard& recovering_;
  std::size_t chunk_devices_;
  std::uint64_t first_batch_;
  std::size_t devices_;
  const SendPulses& send_;
  const PulseSink& sink_;

  PulseChunk at_hand_;  // its devices before done_in_chunk_ are settled
  std::size_t done_in_chunk_ = 0;
  std::uint8_t continuations_ = 0;
  std::map<std::size_t, wire::BatchRecord> ahead_;  // by first device: settled, not handed out
  std::size_t run_begin_ = 0;                       // devices that were sent last
  std::size_t run_end_ = 0;
  bool sink_failed_ = false;
};

Result<void> RecoveringBoard::note_batches_of_others() {
  if (highest_batch_) return {};
  PCM_ASSIGN(const BoardStatus status, persistently([this] { return ask_status(); }));
  std::uint64_t highest = 0;
  for (const wire::BatchRecord& record : status.recent_batches) {
    highest = std::max(highest, original_batch(record.batch));
  }
  highest_batch_ = highest;
  return {};
}

bool RecoveringBoard::is_of_earlier(std::uint64_t batch) const {
  return settings_.earlier && batch >= settings_.earlier->first_unsettled &&
         batch < settings_.earlier->end_unsettled;
}

Result<void> RecoveringBoard::settle_earlier(PulseCall& call, std::uint64_t first_batch,
                                             std::size_t devices) {
  if (!is_of_earlier(first_batch)) return {};
  const std::size_t batches = settings_.earlier->end_unsettled - first_batch;
  call.may_have_been_sent(devices);
  PCM_ASSIGN(const BoardStatus status, persistently([this] { return ask_status(); }));
  if (status.boot_epoch != settings_.earlier->unsettled_epoch) return call.give_up_on(batches);
  // Of more batches than it remembers the board cannot tell the oldest.
  const auto& records = status.recent_batches;
  const std::uint64_t oldest =
      records.size() < wire::kMaxRecentBatches ? 0 : original_batch(records.front().batch);
  if (first_batch < oldest) PCM_TRY(call.give_up_on(std::min(batches, oldest - first_batch)));
  return call.settle(status, batches);
}

Result<void> RecoveringBoard::send_pulses(std::uint64_t first_batch, std::size_t devices,
                                          const SendPulses& send, const PulseSink& sink) {
  PCM_TRY(note_batches_of_others());
  // A new number that the board has seen is one whose request came twice over the line, or was sent
  // by an earlier process.
  const bool is_new = first_batch > *highest_batch_ || is_of_earlier(first_batch);
  highest_batch_ = std::max(*highest_batch_, first_batch + devices / chunk_devices());
  PulseCall call(*this, first_batch, devices, send, sink);
  PCM_TRY(settle_earlier(call, first_batch, devices));
  std::size_t progress = 0;
  unsigned attempts = 0;
  for (;;) {
    Result<void> sent = call.send();
    if (sent || call.sink_failed()) return sent;
    attempts = call.progress() > progress ? 1 : attempts + 1;
    progress = call.progress();
    const bool came_twice = is_new && sent.error().code == ErrorCode::DuplicateBatch;
    const bool too_hot = sent.error().code == ErrorCode::LimitExceeded && board_->was_too_hot();
    if (!(came_twice || too_hot || is_interruption(sent.error())) ||
        attempts > settings_.attempts) {
      call.flush();
      return sent;
    }
    const std::size_t batches_sent = board_->batches_sent();
    const std::uint64_t losses = memory_losses_;
    // What was sent and not refused is done when the refusal is there.
    const Result<BoardStatus> status =
        too_hot ? persistently([this] { return ask_status(); }) : recover(sent.error());
    if (!status) {
      call.flush();
      return tl::unexpected(status.error().during(sent.error().message));
    }
    PCM_TRY(memory_losses_ == losses ? call.settle(*status, batches_sent)
                                     : call.give_up_on(batches_sent));
    if (!too_hot) continue;
    if (Result<void> cooled = wait_until_cool(); !cooled) {
      call.flush();
      return cooled;
    }
  }
}

Result<void> RecoveringBoard::program(std::uint64_t first_batch, Duration width,
                                      std::span<const DeviceAddress> addresses,
                                      std::span<const std::uint16_t> amplitudes_10nA,
                                      const PulseSink& sink) {
  if (addresses.size() != amplitudes_10nA.size()) {
    return board_->program(first_batch, width, addresses, amplitudes_10nA, sink);
  }
  return send_pulses(
      first_batch, addresses.size(),
      [&](std::size_t begin, std::size_t count, std::uint64_t batch, const PulseSink& part) {
        return board_->program(batch, width, addresses.subspan(begin, count),
                               amplitudes_10nA.subspan(begin, count), part);
      },
      sink);
}

Result<void> RecoveringBoard::initialise(std::uint64_t first_batch, std::span<const Pulse> sequence,
                                         std::span<const DeviceAddress> addresses,
                                         const PulseSink& sink) {
  return send_pulses(
      first_batch, addresses.size(),
      [&](std::size_t begin, std::size_t count, std::uint64_t batch, const PulseSink& part) {
        return board_->initialise(batch, sequence, addresses.subspan(begin, count), part);
      },
      sink);
}

// ---- the rest --------------------------------------------------------------------------------

Result<BoardStatus> RecoveringBoard::status() {
  PCM_ASSIGN(BoardStatus status, persistently([this] { return ask_status(); }));
  status.now = seen(status.now);
  for (wire::BatchRecord& record : status.recent_batches) {
    record.first += offset_;
    record.last += offset_;
  }
  return status;
}

Result<Temperature> RecoveringBoard::temperature() {
  return persistently([this] { return board_->temperature(); });
}

Result<Calibration> RecoveringBoard::calibrate(const ReadSettings& settings) {
  return persistently([&] { return board_->calibrate(settings); });
}

Result<Limits> RecoveringBoard::set_limits(const Limits& limits) {
  return persistently([&] { return board_->set_limits(limits); });
}

Result<void> RecoveringBoard::abort() {
  return persistently([this] { return board_->abort(); });
}

Result<BoardTime> RecoveringBoard::advance_time_to(BoardTime until) {
  PCM_ASSIGN(const BoardTime now,
             persistently([&] { return board_->advance_time_to(until - offset_); }));
  return seen(now);
}

Result<void> RecoveringBoard::reopen() {
  PCM_TRY(board_->reopen());
  PCM_TRY(ask_status());
  return {};
}

}  // namespace pcmlab
