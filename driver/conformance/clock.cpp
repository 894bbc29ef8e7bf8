// SPDX-License-Identifier: Apache-2.0
// Board time, busy time, references, and how fast it all is.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>

#include "driver/conformance/checks.h"

namespace pcmlab::conformance {
namespace {

using std::chrono::milliseconds;
using wire::Refusal;

/// Reported times may differ by so much from what samples and widths come to.
constexpr double kLess = 0.98;
constexpr double kMore = 1.10;
constexpr Duration kSlack = std::chrono::microseconds(20);

wire::ReadRequest block(Bench& bench, std::size_t most, unsigned samples) {
  const std::size_t count =
      std::min<std::size_t>(most, bench.board().limits.max_devices_per_request);
  samples = std::min(samples, 65535u / bench.top_code());
  return {wire::DeviceList{bench.any_devices(count)}, static_cast<std::uint8_t>(samples),
          Voltage::from_mV(200)};
}

bool fits(Duration took, Duration expected) {
  return took >= kLess * expected - kSlack && took <= kMore * expected + kSlack;
}

Result<std::string> monotone(Bench& bench) {
  BoardTime last{};
  const auto step = [&last](BoardTime now, const char* what) -> Result<void> {
    if (now < last) {
      return failed(text(what, " at ", last.count(), " ns or later"), text(now.count(), " ns"));
    }
    last = now;
    return {};
  };
  constexpr int kRounds = 10;
  for (int i = 0; i < kRounds; ++i) {
    PCM_ASSIGN(const auto status, bench.status());
    PCM_TRY(step(status.now, "Status"));
    PCM_ASSIGN(const auto read, bench.get<wire::ReadReply>(block(bench, 10, 1)));
    PCM_TRY(step(read.first, "the first sample"));
    PCM_TRY(step(read.last, "the last sample"));
  }
  return std::string();
}

Result<std::string> read_time(Bench& bench) {
  for (const auto& [devices, samples] : {std::pair{1, 255u}, {100, 1u}, {500, 20u}}) {
    const auto request = block(bench, static_cast<std::size_t>(devices), samples);
    PCM_ASSIGN(const auto before, bench.status());
    PCM_ASSIGN(const auto read, bench.get<wire::ReadReply>(request));
    const Duration expected = bench.time_of(request);
    const std::string what =
        text("a read of ", device_count(request.devices), " devices, ", int{request.samples},
             " samples of ", bench.board().sample_time.count(), " ns: ", expected.count(), " ns");
    if (!fits(read.last - read.first, expected)) {
      return failed(what + " from first to last", text((read.last - read.first).count(), " ns"));
    }
    PCM_ASSIGN(const auto after, bench.status());
    if (!fits(after.busy - before.busy, expected)) {
      return failed(what + " more busy", text((after.busy - before.busy).count(), " ns"));
    }
  }
  return text(bench.board().sample_time.count(), " ns a sample");
}

Result<std::string> pulse_time(Bench& bench) {
  // What a pulse takes beyond its width is the chip's own business.
  const auto devices = bench.pulse_devices(8);
  const wire::Pulse weak = bench.within_limits(1, std::chrono::microseconds(5));
  const wire::InitialiseRequest request{bench.new_batch(), {weak, weak}, wire::DeviceList{devices}};
  PCM_ASSIGN(const auto before, bench.status());
  PCM_ASSIGN(const auto reply, bench.get<wire::InitialiseReply>(request));
  PCM_ASSIGN(const auto after, bench.status());
  const Duration widths = 2 * weak.width * static_cast<Duration::rep>(devices.size());
  const Duration took = reply.last - reply.first;
  const Duration busy = after.busy - before.busy;
  if (took < kLess * widths) {
    return failed(text("at least the widths, ", widths.count(), " ns, from first to last"),
                  text(took.count(), " ns"));
  }
  if (busy < kLess * widths || busy > after.now - before.now) {
    return failed(text("busy for at least the widths, ", widths.count(),
                       " ns, and no longer than time passed"),
                  text(busy.count(), " ns busy in ", (after.now - before.now).count(), " ns"));
  }
  if (reply.first < before.now || reply.last > after.now) {
    return failed("first and last between the Status before and the one after", "outside");
  }
  const auto pulses = static_cast<double>(2 * devices.size());
  return text(static_cast<double>((took - widths).count()) / pulses,
              " ns a pulse beyond its width");
}

Result<std::string> advance(Bench& bench) {
  constexpr Duration kHour = std::chrono::hours(1);
  if (!bench.has(wire::kVirtualTime)) {
    PCM_TRY(bench.refused(wire::AdvanceTimeRequest{kHour}, Refusal::Unsupported,
                          "AdvanceTime on a board with real time"));
    return std::string("real time");
  }
  PCM_ASSIGN(const auto before, bench.status());
  PCM_ASSIGN(const auto reply,
             bench.get<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{before.now + kHour}));
  const Duration passed = reply.now - before.now;
  if (passed < kHour || passed > kHour + milliseconds(10)) {
    return failed("an hour passes", text(seconds(passed), " s"));
  }
  PCM_ASSIGN(const auto after, bench.status());
  if (after.now < reply.now) return failed("Status at that time or later", "earlier");
  if (after.busy != before.busy) return failed("the same busy time", "another");
  return text("an hour passed");
}

Result<std::string> advance_again(Bench& bench) {
  if (!bench.has(wire::kVirtualTime)) return skipped("needs virtual time, the board has real time");
  PCM_ASSIGN(const auto before, bench.status());
  const Sent sent = bench.make(wire::AdvanceTimeRequest{before.now + std::chrono::minutes(1)});
  PCM_ASSIGN(const wire::Reply first, bench.ask(sent));
  PCM_ASSIGN(const auto once, bench.as<wire::AdvanceTimeReply>(first));
  const auto stays = [&](const wire::AdvanceTimeReply& reply, const char* what) -> Result<void> {
    if (reply.now >= once.now && reply.now - once.now <= milliseconds(10)) return {};
    return failed(text(what, ": board time goes on from ", once.now.count(), " ns"),
                  text(reply.now.count(), " ns"));
  };
  PCM_ASSIGN(const wire::Reply second, bench.ask(sent));
  PCM_ASSIGN(const auto twice, bench.as<wire::AdvanceTimeReply>(second));
  PCM_TRY(stays(twice, "the same frame, byte for byte"));
  PCM_ASSIGN(const auto early,
             bench.get<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{before.now}));
  PCM_TRY(stays(early, "AdvanceTime to a minute ago"));
  PCM_ASSIGN(const auto zero, bench.get<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{}));
  PCM_TRY(stays(zero, "AdvanceTime to 0"));
  return std::string();
}

Result<std::string> advance_too_far(Bench& bench) {
  if (!bench.has(wire::kVirtualTime)) return skipped("needs virtual time, the board has real time");
  PCM_ASSIGN(const auto before, bench.status());
  PCM_TRY(bench.refused(wire::AdvanceTimeRequest{BoardTime::max()}, Refusal::LimitExceeded,
                        "AdvanceTime to 2^63 - 1 ns"));
  PCM_ASSIGN(const auto after, bench.status());
  if (after.now < before.now || after.now - before.now > milliseconds(100)) {
    return failed("board time as it was", text((after.now - before.now).count(), " ns later"));
  }
  return std::string();
}

Result<std::string> wall_clock(Bench& bench) {
  if (bench.has(wire::kVirtualTime)) return skipped("needs real time, the board has virtual time");
  constexpr auto kWait = milliseconds(500);
  const auto sent = Transport::Clock::now();
  PCM_ASSIGN(const auto before, bench.status());
  const auto answered = Transport::Clock::now();
  PCM_TRY(bench.listen(kWait));
  const auto sent_again = Transport::Clock::now();
  PCM_ASSIGN(const auto after, bench.status());
  const auto answered_again = Transport::Clock::now();
  const Duration least = sent_again - answered;
  const Duration most = answered_again - sent;
  if (least < kWait / 2) return skipped("the transport does not wait");
  const Duration passed = after.now - before.now;
  if (seconds(passed) < 0.99 * seconds(least) || seconds(passed) > 1.01 * seconds(most)) {
    return failed(text("board time as the wall clock within 1 %: ", seconds(least), " to ",
                       seconds(most), " s"),
                  text(seconds(passed), " s"));
  }
  return text(seconds(passed), " s");
}

// ---- reference resistors -----------------------------------------------------------------------

constexpr double kGainWithin = 0.20;
/// Of a line through the readings, in codes.
constexpr double kLinearWithin = 2.0;
constexpr double kNoiseWithin = 1.0;

struct Line {
  double gain = 0;   ///< uS a code
  double worst = 0;  ///< largest distance from the line, in codes
};

Line fit(const std::vector<double>& codes, const std::vector<double>& g_uS) {
  const auto n = static_cast<double>(codes.size());
  double x = 0, y = 0, xx = 0, xy = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    x += codes[i] / n;
    y += g_uS[i] / n;
  }
  for (std::size_t i = 0; i < codes.size(); ++i) {
    xx += (codes[i] - x) * (codes[i] - x);
    xy += (codes[i] - x) * (g_uS[i] - y);
  }
  Line line;
  line.gain = xx > 0 ? xy / xx : 0;
  if (line.gain == 0) return line;
  for (std::size_t i = 0; i < codes.size(); ++i) {
    line.worst = std::max(line.worst, std::abs(codes[i] - x - (g_uS[i] - y) / line.gain));
  }
  return line;
}

Result<std::string> references(Bench& bench) {
  const auto samples = static_cast<std::uint8_t>(std::min(255u, 65535u / bench.top_code()));
  const wire::ReadReferencesRequest request{samples, Voltage::from_mV(200)};
  if (!bench.has(wire::kReferenceResistors)) {
    PCM_TRY(bench.refused(request, Refusal::Unsupported, "ReadReferences without references"));
    return std::string("there are none");
  }
  PCM_ASSIGN(const auto first, bench.get<wire::ReadReferencesReply>(request));
  constexpr int kRounds = 8;
  std::vector<double> lowest(first.references.size(), 1e9);
  std::vector<double> highest(first.references.size(), 0);
  for (int round = 0; round < kRounds; ++round) {
    PCM_ASSIGN(const auto reply, bench.get<wire::ReadReferencesReply>(request));
    if (reply.references.size() != first.references.size()) {
      return failed(text(first.references.size(), " references, as before"),
                    text(reply.references.size()));
    }
    for (std::size_t i = 0; i < lowest.size(); ++i) {
      if (reply.references[i].nominal != first.references[i].nominal) {
        return failed("the same nominal conductances each time", "others");
      }
      const double code = static_cast<double>(reply.references[i].code_sum) / samples;
      lowest[i] = std::min(lowest[i], code);
      highest[i] = std::max(highest[i], code);
    }
  }
  std::vector<double> codes;
  std::vector<double> g_uS;
  double noise = 0;
  for (std::size_t i = 0; i < lowest.size(); ++i) {
    if (lowest[i] <= 1 || highest[i] >= bench.top_code() - 1) continue;  // clipped
    codes.push_back((lowest[i] + highest[i]) / 2);
    g_uS.push_back(first.references[i].nominal.uS());
    noise = std::max(noise, highest[i] - lowest[i]);
  }
  if (codes.size() < 2) {
    return failed("two references within the ADC's range",
                  text(codes.size(), " of ", lowest.size()));
  }
  const Line line = fit(codes, g_uS);
  const double deviation = line.gain / bench.board().adc_step.uS() - 1;
  if (!(std::abs(deviation) <= kGainWithin)) {
    return failed(text("a gain within 20 % of ", bench.board().adc_step.uS(), " uS a code"),
                  text(line.gain, " uS a code"));
  }
  if (line.worst > kLinearWithin) {
    return failed(text("readings within ", kLinearWithin, " codes of a line"),
                  text(line.worst, " codes off"));
  }
  if (noise > kNoiseWithin) {
    return failed(text("means of ", int{samples}, " samples within ", kNoiseWithin, " code"),
                  text("they spread over ", noise));
  }
  std::ostringstream found;
  found.precision(3);
  found << "gain " << std::showpos << 100 * deviation << std::noshowpos << " %, " << line.worst
        << " codes off a line, means spread over " << noise << " codes";
  return found.str();
}

// ---- speed -------------------------------------------------------------------------------------

constexpr Duration kSlowestRoundTrip = milliseconds(20);
constexpr double kLeastBusy = 0.5;

Result<std::string> round_trip(Bench& bench) {
  constexpr std::size_t kRounds = 51;
  std::vector<Duration> times;
  for (std::size_t i = 0; i < kRounds; ++i) {
    const auto began = Transport::Clock::now();
    PCM_TRY(bench.get<wire::TemperatureReply>(wire::TemperatureRequest{}));
    times.push_back(Transport::Clock::now() - began);
  }
  std::sort(times.begin(), times.end());
  const double median_us = 1e6 * seconds(times[kRounds / 2]);
  const double slow_us = 1e6 * seconds(times[kRounds * 95 / 100]);
  if (times[kRounds / 2] > kSlowestRoundTrip) {
    return failed("a median round trip of at most 20 ms", text(median_us / 1000, " ms"));
  }
  std::ostringstream found;
  found.precision(3);
  found << "median " << median_us << " us, 95 % within " << slow_us << " us";
  return found.str();
}

Result<std::string> block_reads(Bench& bench) {
  const auto request = block(bench, 8192, 5);
  const Duration wanted = bench.has(wire::kVirtualTime) ? milliseconds(200) : milliseconds(1000);
  const auto count = static_cast<std::size_t>(
      std::clamp<std::int64_t>(wanted / std::max(bench.time_of(request), Duration(1)), 4, 400));
  std::vector<Sent> sent;
  for (std::size_t i = 0; i < count; ++i) sent.push_back(bench.make(request));
  PCM_ASSIGN(const auto before, bench.status());
  const auto began = Transport::Clock::now();
  PCM_ASSIGN(const auto replies, bench.pipeline(sent, bench.board().limits.max_requests_in_flight));
  const double wall_s = seconds(Transport::Clock::now() - began);
  for (const wire::Reply& reply : replies) PCM_TRY(bench.as<wire::ReadReply>(reply));
  PCM_ASSIGN(const auto after, bench.status());
  const double busy = seconds(after.busy - before.busy) / seconds(after.now - before.now);
  const auto devices = static_cast<double>(count * device_count(request.devices));
  std::ostringstream found;
  found.precision(3);
  found << devices / wall_s / 1e6 << " million devices/s of 5 samples, chip busy for " << 100 * busy
        << " % of board time";
  if (!bench.has(wire::kVirtualTime) && busy < kLeastBusy) {
    return failed("the chip busy for at least 50 % of the time", found.str());
  }
  return found.str();
}

}  // namespace

void add_clock(Checks& checks) {
  checks.insert(
      checks.end(),
      {{{"clock.monotone", "Conventions", "board time never steps back", kInformation}, monotone},
       {{"clock.reads", "0x03 Read", "first, last and busy follow from samples and devices",
         kInformation},
        read_time},
       {{"clock.pulses", "0x04 Program", "first, last and busy follow from the widths",
         kInformation | kPulses, 2},
        pulse_time},
       {{"clock.advance", "0x0A AdvanceTime", "virtual time advances; real time is Unsupported",
         kInformation},
        advance},
       {{"clock.advance_again", "0x0A AdvanceTime", "a time that has passed changes nothing",
         kInformation},
        advance_again},
       {{"clock.advance_too_far", "0x0A AdvanceTime", "the end of the clock is a LimitExceeded",
         kInformation},
        advance_too_far},
       {{"clock.wall", "Conventions", "real board time passes as the wall clock's", kInformation},
        wall_clock}});
}

void add_references(Checks& checks) {
  checks.push_back({{"references.line", "0x0B ReadReferences",
                     "the references lie on a line of the nominal gain", kInformation},
                    references});
}

void add_speed(Checks& checks) {
  checks.push_back(
      {{"speed.round_trip", "Conversation", "a request is answered within 20 ms", kInformation},
       round_trip});
  checks.push_back({{"speed.block_reads", "Conversation: Several in flight",
                     "block reads keep the chip busy", kInformation},
                    block_reads});
}

}  // namespace pcmlab::conformance
