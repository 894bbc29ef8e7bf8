// SPDX-License-Identifier: Apache-2.0
#include "app/faults.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <cmath>
#include <vector>

namespace pcmlab::app {
namespace {

constexpr double kMostRequests = 1e15;
/// Stands for the end of all time; a chip's clock ends a little later.
constexpr double kLatest_s = 9e9;

Result<std::vector<std::uint16_t>> whole_numbers(const ParameterValues& faults,
                                                 const std::string& name) {
  std::vector<std::uint16_t> numbers;
  for (const double value : faults.reals(name)) {
    if (value != std::floor(value)) {
      return fail(ErrorCode::BadPlan,
                  fmt::format("[faults]: {} has {}, which is no whole number", name, value),
                  "name lines and bits by their number, counted from 0");
    }
    numbers.push_back(static_cast<std::uint16_t>(value));
  }
  return numbers;
}

template <class Line>
Result<std::vector<Line>> lines(const ParameterValues& faults, const std::string& name,
                                std::uint16_t there_are) {
  PCM_ASSIGN(const auto numbers, whole_numbers(faults, name));
  std::vector<Line> lines;
  for (const std::uint16_t number : numbers) {
    if (number >= there_are) {
      return fail(ErrorCode::BadPlan,
                  fmt::format("[faults]: {} has {}; the array's lines of this kind are 0 to {}",
                              name, number, there_are - 1),
                  "name a line of the array, or enlarge it under [mock]");
    }
    lines.push_back(Line{number});
  }
  return lines;
}

Result<std::uint8_t> bits(const ParameterValues& faults, const std::string& name) {
  PCM_ASSIGN(const auto numbers, whole_numbers(faults, name));
  unsigned mask = 0;
  for (const std::uint16_t number : numbers) mask |= 1U << number;
  return static_cast<std::uint8_t>(mask);
}

mock::FrameFaults frame_faults(const ParameterValues& faults, const std::string& direction) {
  return {faults.real("lost_" + direction), faults.real("corrupted_" + direction),
          faults.real("truncated_" + direction), faults.real("repeated_" + direction)};
}

mock::Interruption interruption(const ParameterValues& faults, const std::string& name) {
  return {static_cast<std::uint64_t>(faults.integer(name + "_after_requests")),
          static_cast<std::uint64_t>(faults.integer(name + "_times")),
          faults.real(name + "_share")};
}

void add_frame_faults(std::vector<Parameter>& table, const std::string& direction) {
  for (const auto& [name, help] :
       {std::pair{"lost", "that do not arrive"}, std::pair{"corrupted", "with 1 to 3 flipped bits"},
        std::pair{"truncated", "of which only a first part comes"},
        std::pair{"repeated", "that come twice"}}) {
    table.push_back(real(fmt::format("{}_{}", name, direction), "", 0, 0, 1,
                         fmt::format("share of {} {}", direction, help)));
  }
}

void add_interruption(std::vector<Parameter>& table, const std::string& name,
                      const std::string& help) {
  table.push_back(integer(name + "_after_requests", "", 0, 0, kMostRequests,
                          help + " while it executes this request; 0 = never"));
  table.push_back(integer(name + "_times", "", 1, 0, kMostRequests,
                          "how often, each after as many more requests; 0 = without end"));
  table.push_back(real(name + "_share", "", 1, 0, 1,
                       "share of that request's devices that still get their pulses"));
}

}  // namespace

ParameterTable faults_section() {
  std::vector<Parameter> table{
      integer("seed", "", 1, 0, 9e15, "which devices and frames: all draws follow from this"),
      real("stuck_low_fraction", "", 0, 0, 1,
           "devices that stay at RESET, beside those that [mock] has"),
      real("stuck_high_fraction", "", 0, 0, 1,
           "devices that stay crystalline, beside those that [mock] has"),
      reals("dead_word_lines", "", {}, 0, 65534, "open word lines: read 0, no pulse arrives"),
      reals("dead_bit_lines", "", {}, 0, 65534, "open bit lines: read 0, no pulse arrives"),
      reals("adc_bits_stuck_at_1", "", {}, 0, 7, "bits of every ADC code that are always 1"),
      reals("adc_bits_stuck_at_0", "", {}, 0, 7, "bits of every ADC code that are always 0"),
      real("reference_error", "", 0, -0.9, 10,
           "of the ADC's reference at time 0: codes are so much too high, relative"),
      real("reference_drift_per_day", "", 0, -10, 10, "added to that error each day"),
      real("over_temperature_K", "K", 0, 0, 1000, "how much warmer the chip is for a while"),
      real("over_temperature_from_s", "s", 0, 0, kLatest_s, "from this chip time on"),
      real("over_temperature_until_s", "s", kLatest_s, 0, kLatest_s, "until this chip time"),
      real("slow_factor", "", 1, 1, 1000, "reads and pulses take so many times as long"),
      real("request_overhead_us", "us", 0, 0, 1e9,
           "additional time before each read or batch of pulses"),
  };
  add_interruption(table, "memory_loss", "the board boots again");
  table.push_back(real("memory_loss_off_s", "s", 1, 0, 1e6, "how long that takes"));
  add_interruption(table, "disconnect", "the board loses its connection");
  add_frame_faults(table, "requests");
  add_frame_faults(table, "replies");
  table.push_back(real("late_replies", "", 0, 0, 1, "share of replies that come after later ones"));
  table.push_back(
      integer("late_by_replies", "", 1, 1, 1000, "a late reply comes after 1 to so many others"));
  table.push_back(integer("spared_frames", "", 0, 0, kMostRequests,
                          "first frames of each direction that pass unharmed"));
  table.push_back(integer("most_line_faults", "", 0, 0, kMostRequests,
                          "faulty frames of each direction, then none; 0 = no end"));
  return {"faults",
          "What shall go wrong with the simulated chip, board and line. Nothing by default.",
          std::move(table)};
}

Result<mock::FaultPlan> fault_plan(const ParameterValues& faults, ArrayShape shape) {
  mock::FaultPlan plan;
  plan.seed = static_cast<std::uint64_t>(faults.integer("seed"));

  plan.chip.stuck_low_fraction = faults.real("stuck_low_fraction");
  plan.chip.stuck_high_fraction = faults.real("stuck_high_fraction");
  if (plan.chip.stuck_low_fraction + plan.chip.stuck_high_fraction > 1) {
    return fail(ErrorCode::BadPlan,
                fmt::format("[faults]: stuck_low_fraction and stuck_high_fraction come to {}",
                            plan.chip.stuck_low_fraction + plan.chip.stuck_high_fraction),
                "together they may be 1 at most");
  }
  PCM_ASSIGN(plan.chip.dead_word_lines,
             lines<WordLine>(faults, "dead_word_lines", shape.word_lines));
  PCM_ASSIGN(plan.chip.dead_bit_lines, lines<BitLine>(faults, "dead_bit_lines", shape.bit_lines));
  PCM_ASSIGN(plan.chip.adc_bits_stuck_at_1, bits(faults, "adc_bits_stuck_at_1"));
  PCM_ASSIGN(plan.chip.adc_bits_stuck_at_0, bits(faults, "adc_bits_stuck_at_0"));
  if ((plan.chip.adc_bits_stuck_at_1 & plan.chip.adc_bits_stuck_at_0) != 0) {
    return fail(ErrorCode::BadPlan, "[faults]: an ADC bit is to be stuck at 1 and at 0",
                "name it in one of adc_bits_stuck_at_1 and adc_bits_stuck_at_0");
  }
  plan.chip.reference_error = faults.real("reference_error");
  plan.chip.reference_drift_per_day = faults.real("reference_drift_per_day");

  plan.over_temperature_K = faults.real("over_temperature_K");
  plan.over_temperature_from = from_seconds(faults.real("over_temperature_from_s"));
  if (faults.real("over_temperature_until_s") < kLatest_s) {
    plan.over_temperature_until = from_seconds(faults.real("over_temperature_until_s"));
  }
  if (plan.over_temperature_from >= plan.over_temperature_until) {
    return fail(ErrorCode::BadPlan,
                fmt::format("[faults]: over_temperature_from_s = {} is not before "
                            "over_temperature_until_s = {}",
                            faults.real("over_temperature_from_s"),
                            faults.real("over_temperature_until_s")),
                "give a time that begins before it ends");
  }
  plan.slowness = faults.real("slow_factor");
  plan.request_overhead = Duration(std::llround(faults.real("request_overhead_us") * 1e3));
  plan.memory_loss = interruption(faults, "memory_loss");
  plan.memory_loss_off = from_seconds(faults.real("memory_loss_off_s"));
  plan.disconnect = interruption(faults, "disconnect");

  plan.line.requests = frame_faults(faults, "requests");
  plan.line.replies = frame_faults(faults, "replies");
  plan.line.late_replies = faults.real("late_replies");
  plan.line.late_by = static_cast<std::uint32_t>(faults.integer("late_by_replies"));
  plan.line.spared = static_cast<std::uint64_t>(faults.integer("spared_frames"));
  plan.line.most = static_cast<std::uint64_t>(faults.integer("most_line_faults"));
  return plan;
}

std::string describe_faults(const ParameterValues& faults) {
  std::vector<std::string> planned;
  for (const Parameter& parameter : faults_section().parameters) {
    const ParameterValue& value = faults.all().at(parameter.name);
    if (value == parameter.default_value || parameter.name == "seed") continue;
    planned.push_back(fmt::format("{} = {}", parameter.name, to_toml(value)));
  }
  if (planned.empty()) return {};
  return fmt::format("planned faults: seed = {}, {}", faults.integer("seed"),
                     fmt::join(planned, ", "));
}

}  // namespace pcmlab::app
