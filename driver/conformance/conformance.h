// SPDX-License-Identifier: Apache-2.0
/// \file
/// Holds a board against the specification in protocol/README.md, for those who write firmware.
/// Works on a Transport alone: nothing of TestBoard is between the checks and the bytes.
/// Plain functions, called by the one thread that uses the transport.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "driver/transport.h"
#include "protocol/messages.h"

namespace pcmlab::conformance {

/// What a check needs before it can be run.
enum Need : unsigned {
  kNothing = 0,
  kInformation = 1u << 0,  ///< the board has said who it is
  kPulses = 1u << 1,       ///< sends Program or Initialise, refused ones included
  kUntilBoot = 1u << 2,    ///< tightens limits until the board's next boot
};

/// As strong as a RESET.
constexpr Current kRealChip = Current::from_uA(450);

struct Settings {
  /// How long the board may be silent beyond twice the time its work takes.
  std::chrono::milliseconds reply_deadline{2000};
  /// How long to listen for replies that should not come, after each check.
  std::chrono::milliseconds silence{20};
  /// How long a board that was lost has to come back.
  std::chrono::milliseconds reopen_deadline{10000};
  /// Pulses go to so many devices of one word line, from one bit line on, and to no other; 0 = no
  /// pulses.
  std::size_t pulse_devices = 32;
  std::optional<std::uint16_t> pulse_word_line = {};  ///< unset: the last
  std::uint16_t first_pulse_bit_line = 0;
  /// No request has a stronger pulse, whatever the board's limit and also to see it refused. Unset:
  /// kRealChip on a board with real time, as strong as the wire can say on a simulated one.
  std::optional<Current> max_amplitude = {};
  /// Whether limits may be tightened until the next boot. Unset: on a board with virtual time.
  std::optional<bool> until_boot = {};
  std::uint64_t seed = 1;  ///< of the garbage and the damage
  /// Batch numbers count on from here. Unset: from the wall clock.
  std::optional<std::uint64_t> first_batch = {};
  /// Runs only checks whose id contains this, and what the others need.
  std::string only = {};
};

struct CheckInfo {
  std::string id;       ///< "frames.oversized"
  std::string section;  ///< of protocol/README.md
  std::string what;     ///< the rule, as one sentence
  unsigned needs = kNothing;
  std::uint32_t pulses_each = 0;  ///< pulses that one device gets at most

  std::string group() const { return id.substr(0, id.find('.')); }
};

enum class Verdict { Passed, Failed, Skipped };

struct Outcome {
  CheckInfo check;
  Verdict verdict = Verdict::Passed;
  std::string found;               ///< a figure, why it was skipped, or what came instead
  std::string expected;            ///< of a failed check
  std::vector<std::byte> request;  ///< frame in question, of a failed check; may be empty
  std::vector<std::byte> reply;    ///< the last one that came to it; may be empty
  double wall_s = 0;
};

struct Report {
  std::optional<wire::InformationReply> board;
  std::string peer;
  std::vector<Outcome> outcomes;
  std::vector<std::string> notes;  ///< such as a connection that was lost and opened again
  std::vector<DeviceAddress> pulsed;
  std::uint64_t pulses = 0;  ///< as acknowledged
  std::uint64_t requests = 0;
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_received = 0;
  double wall_s = 0;

  std::size_t count(Verdict verdict) const;
};

/// Told while it runs; any may be empty.
struct Observer {
  /// Once, when the board has said who it is and before any pulse: the devices that get pulses, how
  /// many each of them at most, and how strong.
  std::function<void(const std::vector<DeviceAddress>& devices, std::uint64_t pulses_each,
                     Current strongest)>
      board;
  std::function<void(std::size_t number, std::size_t count, const CheckInfo&)> started;
  std::function<void(const Outcome&)> finished;
};

/// All checks, in the order in which they run.
std::vector<CheckInfo> checks();

/// Runs them. Failed checks stop nothing; a lost connection is opened again, and when that fails
/// or the board stays silent the rest is skipped. The transport is used as it is: freshly opened.
Report run(Transport& transport, const Settings& settings, const Observer& observer = {});

/// "Program, sequence 12, payload of 64 bytes": what a frame says it is.
std::string describe_frame(const std::vector<std::byte>& frame);

/// "50 43 4D 42 01 03 .. (44 bytes)": the first bytes as hexadecimal digits.
std::string hex(const std::vector<std::byte>& bytes, std::size_t at_most = 48);

}  // namespace pcmlab::conformance
