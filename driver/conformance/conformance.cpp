// SPDX-License-Identifier: Apache-2.0
#include "driver/conformance/conformance.h"

#include <algorithm>
#include <array>
#include <utility>

#include "driver/conformance/bench.h"
#include "driver/conformance/checks.h"
#include "protocol/bytes.h"

namespace pcmlab::conformance {
namespace {

constexpr std::uint32_t kMagicNumber = 0x424D4350;  // "PCMB"

Checks all_checks() {
  Checks checks;
  for (auto* add : {add_opening, add_frames, add_malformed, add_sequence_and_order, add_reads,
                    add_limits, add_batches, add_pulses, add_abort, add_clock, add_references,
                    add_speed, add_connection, add_set_limits}) {
    add(checks);
  }
  return checks;
}

class Runner {
 public:
  Runner(Transport& transport, const Settings& settings, const Observer& observer)
      : settings_(settings), observer_(observer), bench_(transport, settings) {}

  Report run() {
    const auto began = Transport::Clock::now();
    Checks checks = all_checks();
    std::erase_if(checks, [this](const Check& check) {
      return !check.info.id.starts_with("opening.") &&
             check.info.id.find(settings_.only) == std::string::npos;
    });
    for (std::size_t i = 0; i < checks.size(); ++i) {
      announce_board(checks);
      if (observer_.started) observer_.started(i + 1, checks.size(), checks[i].info);
      Outcome outcome = run(checks[i]);
      if (observer_.finished) observer_.finished(outcome);
      report_.outcomes.push_back(std::move(outcome));
    }
    if (bench_.knows_board()) report_.board = bench_.board();
    report_.peer = bench_.peer();
    report_.pulses = bench_.pulses();
    if (report_.pulses > 0) report_.pulsed = bench_.pulse_devices();
    report_.requests = bench_.requests();
    report_.bytes_sent = bench_.bytes_sent();
    report_.bytes_received = bench_.bytes_received();
    report_.wall_s = seconds(Transport::Clock::now() - began);
    return std::move(report_);
  }

 private:
  /// The checks that run from here on know the board.
  void announce_board(const Checks& checks) {
    if (announced_ || !bench_.knows_board()) return;
    announced_ = true;
    if (!observer_.board) return;
    std::uint64_t each = 0;
    for (const Check& check : checks) {
      if (reason_to_skip(check.info).empty()) each += check.info.pulses_each;
    }
    observer_.board(each > 0 ? bench_.pulse_devices() : std::vector<DeviceAddress>(), each,
                    std::min(bench_.max_amplitude(), bench_.board().limits.max_amplitude));
  }

  std::string reason_to_skip(const CheckInfo& check) const {
    if (!gone_.empty()) return gone_;
    if ((check.needs & kInformation) != 0 && !bench_.knows_board()) {
      return "the board has not said who it is";
    }
    if ((check.needs & kPulses) != 0 && settings_.pulse_devices == 0) return "no pulses wanted";
    if ((check.needs & kPulses) != 0 && bench_.pulse_devices().empty()) {
      return "the devices for pulses are outside the array";
    }
    if ((check.needs & kUntilBoot) != 0 &&
        !settings_.until_boot.value_or(bench_.has(wire::kVirtualTime))) {
      return "would tighten limits until the board's next boot";
    }
    return {};
  }

  Outcome run(const Check& check) {
    Outcome outcome;
    outcome.check = check.info;
    outcome.found = reason_to_skip(check.info);
    if (!outcome.found.empty()) {
      outcome.verdict = Verdict::Skipped;
      return outcome;
    }
    const auto began = Transport::Clock::now();
    bench_.begin_check();
    Result<std::string> result = check.run(bench_);
    outcome.request = bench_.last_request();
    outcome.reply = bench_.last_reply();
    bool lost = !result && result.error().code == ErrorCode::Disconnected;
    if (!lost) {
      const auto strays = bench_.listen(settings_.silence);
      lost = !strays && strays.error().code == ErrorCode::Disconnected;
      if (!strays && result) {
        result = tl::unexpected(strays.error());
      } else if (strays && !strays->empty() && result) {
        result = failed("exactly one reply to each request",
                        text(strays->size(), " frames more; the first has sequence ",
                             strays->front().sequence));
        outcome.reply = bench_.last_reply();
      }
    }
    outcome.wall_s = seconds(Transport::Clock::now() - began);
    if (result) {
      silent_ = 0;
      outcome.found = std::move(*result);
      outcome.request.clear();
      outcome.reply.clear();
      return outcome;
    }
    const Error& error = result.error();
    outcome.verdict = error.code == ErrorCode::Unsupported ? Verdict::Skipped : Verdict::Failed;
    outcome.found = error.message;
    if (outcome.verdict == Verdict::Failed) outcome.expected = error.advice;
    silent_ = error.code == ErrorCode::Timeout ? silent_ + 1 : 0;
    if (lost || silent_ == kSilentChecks) recover(check.info, lost);
    return outcome;
  }

  /// Opens the connection again; when that does not help, nothing more is run.
  void recover(const CheckInfo& during, bool lost) {
    const std::string what =
        lost ? "the connection was lost during " + during.id
             : text("no answer in ", kSilentChecks, " checks, up to ", during.id);
    silent_ = 0;
    if (++recoveries_ > kRecoveries) {
      gone_ = what + ", again";
    } else if (const Result<bool> booted = bench_.come_back(); !booted) {
      gone_ = what + "; the board did not come back: " + booted.error().message;
    } else {
      report_.notes.push_back(what + "; it was opened again" +
                              (*booted ? ", and the board has booted" : ""));
      return;
    }
    report_.notes.push_back(gone_ + "; the rest was not run");
  }

  static constexpr int kSilentChecks = 4;
  static constexpr int kRecoveries = 3;

  const Settings& settings_;
  const Observer& observer_;
  Bench bench_;
  Report report_;
  bool announced_ = false;
  std::string gone_;
  int silent_ = 0;
  int recoveries_ = 0;
};

}  // namespace

std::size_t Report::count(Verdict verdict) const {
  return static_cast<std::size_t>(
      std::count_if(outcomes.begin(), outcomes.end(),
                    [verdict](const Outcome& outcome) { return outcome.verdict == verdict; }));
}

std::vector<CheckInfo> checks() {
  std::vector<CheckInfo> list;
  for (Check& check : all_checks()) list.push_back(std::move(check.info));
  return list;
}

Report run(Transport& transport, const Settings& settings, const Observer& observer) {
  return Runner(transport, settings, observer).run();
}

std::string describe_frame(const std::vector<std::byte>& frame) {
  wire::ByteReader header(frame);
  const bool magic = header.u32() == kMagicNumber;
  header.u8();
  const std::uint8_t type = header.u8();
  const std::uint16_t flags = header.u16();
  const std::uint32_t sequence = header.u32();
  const std::uint32_t length = header.u32();
  if (!magic || frame.size() < wire::kHeaderBytes) return text(frame.size(), " bytes, no frame");
  return text(name_of(type), (flags & wire::kRefusalFlag) != 0 ? ", a refusal" : "", ", sequence ",
              sequence, ", payload of ", length, " bytes");
}

std::string hex(const std::vector<std::byte>& bytes, std::size_t at_most) {
  static constexpr std::array<char, 17> kDigits{"0123456789ABCDEF"};
  std::string out;
  const std::size_t shown = std::min(bytes.size(), at_most);
  for (std::size_t i = 0; i < shown; ++i) {
    const auto byte = std::to_integer<unsigned>(bytes[i]);
    if (i > 0) out += ' ';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 0xF];
  }
  if (shown < bytes.size()) out += text(" .. (", bytes.size(), " bytes)");
  return out;
}

}  // namespace pcmlab::conformance
