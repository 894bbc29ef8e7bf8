// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>

#include "app/commands.h"
#include "app/console.h"
#include "app/faults.h"
#include "app/mock.h"

namespace pcmlab::app {
namespace {

Result<std::unique_ptr<Board>> open_default_mock() {
  return open_mock(ParameterValues(mock_section().parameters),
                   ParameterValues(faults_section().parameters));
}

Result<void> list_devices(const Session& session) {
  PCM_ASSIGN(const auto board, open_default_mock());
  const BoardInformation& i = board->information();
  if (session.json) {
    fmt::print("{}\n", nlohmann::ordered_json::array({{{"kind", "mock"},
                                                       {"serial", i.serial},
                                                       {"firmware", i.firmware},
                                                       {"word_lines", i.shape.word_lines},
                                                       {"bit_lines", i.shape.bit_lines}}})
                           .dump(2));
    return {};
  }
  Table table({"kind", "serial", "firmware", "word lines", "bit lines"});
  table.add({"mock", i.serial, i.firmware, std::to_string(i.shape.word_lines),
             std::to_string(i.shape.bit_lines)});
  fmt::print("{}", table.text());
  return {};
}

// ---- selftest ----------------------------------------------------------------------------------

struct Check {
  std::string name;
  bool passed = false;
  std::string found;
};

/// Runs the checks on the first devices of the array's last word line, which it programs.
class SelfTest {
 public:
  explicit SelfTest(Board& board) : board_(board) {
    const ArrayShape shape = board.information().shape;
    const auto line = static_cast<std::uint16_t>(shape.word_lines - 1);
    const auto count = std::min<std::uint16_t>(shape.bit_lines, 256);
    for (std::uint16_t b = 0; b < count; ++b) devices_.push_back({WordLine{line}, BitLine{b}});
  }

  /// Errors: those of the board, when it cannot even be asked.
  Result<std::vector<Check>> run() {
    check_information();
    PCM_TRY(check_temperature());
    PCM_TRY(check_references());
    PCM_TRY(check_pulses());
    check_refusals();
    PCM_TRY(check_virtual_time());
    return std::move(checks_);
  }

 private:
  void add(std::string name, bool passed, std::string found) {
    checks_.push_back({std::move(name), passed, std::move(found)});
  }

  void check_information() {
    const BoardInformation& i = board_.information();
    add("the board says who it is", !i.serial.empty() && !i.firmware.empty(),
        fmt::format("serial {}, firmware {}, {} x {} devices", i.serial, i.firmware,
                    i.shape.word_lines, i.shape.bit_lines));
    add("its limits make sense",
        i.limits.max_amplitude.uA() > 0 && i.limits.min_width <= i.limits.max_width &&
            i.limits.max_devices_per_request > 0,
        fmt::format("{:.0f} uA, {} .. {} ns, {} devices a request", i.limits.max_amplitude.uA(),
                    i.limits.min_width.count(), i.limits.max_width.count(),
                    i.limits.max_devices_per_request));
  }

  Result<void> check_temperature() {
    PCM_ASSIGN(const Temperature chip, board_.temperature());
    add("the chip is not too hot", chip < board_.information().limits.max_temperature,
        fmt::format("{:.1f} K of {:.1f} K", chip.K(),
                    board_.information().limits.max_temperature.K()));
    return {};
  }

  Result<void> check_references() {
    PCM_ASSIGN(const Calibration calibration, board_.calibrate({}));
    const double nominal = board_.information().adc_step.uS();
    const double deviation = calibration.gain_uS_per_code / nominal - 1;
    add("the reference resistors read what they are", std::abs(deviation) < 0.05,
        fmt::format("gain {:+.2f} % from nominal, offset {:+.3f} uS", 100 * deviation,
                    calibration.offset_uS));
    calibration_ = calibration;
    return {};
  }

  Result<double> median_uS() {
    const ReadSettings settings;
    std::vector<double> g_uS;
    PCM_TRY(board_.read(devices_, settings, [&](const ReadChunk& chunk) -> Result<void> {
      for (const std::uint16_t code_sum : chunk.code_sums) {
        g_uS.push_back(calibration_.conductance_uS(code_sum, settings.samples));
      }
      return {};
    }));
    std::nth_element(g_uS.begin(), g_uS.begin() + static_cast<std::ptrdiff_t>(g_uS.size() / 2),
                     g_uS.end());
    return g_uS[g_uS.size() / 2];
  }

  Result<void> check_pulses() {
    const Pulse reset{Current::from_uA(450), Duration(50)};
    std::vector<Pulse> staircase{reset};
    for (int amplitude_uA = 160; amplitude_uA >= 60; amplitude_uA -= 20) {
      staircase.push_back({Current::from_uA(amplitude_uA), Duration(1000)});
    }
    PCM_ASSIGN(const BoardStatus before, board_.status());
    std::uint64_t acknowledged = 0;
    const PulseSink count = [&](const PulseChunk& chunk) -> Result<void> {
      acknowledged += chunk.pulses_executed;
      return {};
    };
    // Numbers far from those of runs, which count up from 1.
    constexpr std::uint64_t kFirstBatch = std::uint64_t{1} << 62;
    const std::uint64_t batch = kFirstBatch + before.pulses_executed;
    PCM_TRY(board_.initialise(batch, staircase, devices_, count));
    PCM_ASSIGN(const double high_uS, median_uS());
    add("a staircase brings devices to high conductance", high_uS > 15,
        fmt::format("median {:.1f} uS", high_uS));
    PCM_TRY(board_.initialise(batch + 1, std::span(&reset, 1), devices_, count));
    PCM_ASSIGN(const double low_uS, median_uS());
    add("a RESET brings them to none", low_uS < 1, fmt::format("median {:.2f} uS", low_uS));
    PCM_ASSIGN(const BoardStatus after, board_.status());
    const std::uint64_t sent = devices_.size() * (staircase.size() + 1);
    add("the board counted every pulse",
        acknowledged == sent && after.pulses_executed - before.pulses_executed == sent,
        fmt::format("{} sent, {} acknowledged, {} counted", sent, acknowledged,
                    after.pulses_executed - before.pulses_executed));
    return {};
  }

  void check_refusals() {
    const BoardInformation& i = board_.information();
    const PulseSink ignore = [](const PulseChunk&) -> Result<void> { return {}; };
    const Pulse excessive{i.limits.max_amplitude + Current::from_uA(1), i.limits.min_width};
    const auto pulsed = board_.initialise(1, std::span(&excessive, 1), devices_, ignore);
    add("a pulse beyond the limit is refused",
        !pulsed && pulsed.error().code == ErrorCode::LimitExceeded,
        pulsed ? "it was accepted" : pulsed.error().message);
    const DeviceAddress outside{WordLine{i.shape.word_lines}, BitLine{0}};
    const auto read = board_.read(std::span(&outside, 1), {},
                                  [](const ReadChunk&) -> Result<void> { return {}; });
    add("an address outside the array is refused", !read && read.error().code == ErrorCode::Refused,
        read ? "it was accepted" : read.error().message);
  }

  Result<void> check_virtual_time() {
    if ((board_.information().capabilities & wire::kVirtualTime) == 0) return {};
    PCM_ASSIGN(const BoardStatus before, board_.status());
    PCM_ASSIGN(const BoardTime after, board_.advance_time_to(before.now + std::chrono::hours(1)));
    const double passed_s = seconds(after - before.now);
    add("an hour of virtual time passes", std::abs(passed_s - 3600) < 1,
        fmt::format("{:.3f} s", passed_s));
    return {};
  }

  Board& board_;
  std::vector<DeviceAddress> devices_;
  Calibration calibration_;
  std::vector<Check> checks_;
};

Result<void> selftest(Session& session) {
  PCM_ASSIGN(const auto board, open_default_mock());
  PCM_ASSIGN(const std::vector<Check> checks, SelfTest(*board).run());
  const auto failed =
      std::count_if(checks.begin(), checks.end(), [](const Check& check) { return !check.passed; });
  if (failed > 0) session.exit_code = kCheckFailed;
  if (session.json) {
    auto json = nlohmann::ordered_json::array();
    for (const Check& check : checks) {
      json.push_back({{"check", check.name}, {"passed", check.passed}, {"found", check.found}});
    }
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  for (const Check& check : checks) {
    fmt::print("{}  {}\n        {}\n", check.passed ? "pass" : "FAIL", check.name, check.found);
  }
  fmt::print("{} of {} checks passed\n", checks.size() - static_cast<std::size_t>(failed),
             checks.size());
  return {};
}

}  // namespace

void add_devices(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("devices", "Lists the boards that can be used");
  command->callback([&session] { session.end(list_devices(session)); });
}

void add_selftest(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "selftest", "Exercises the mock board; programs devices on its last word line");
  command->callback([&session] { session.end(selftest(session)); });
}

}  // namespace pcmlab::app
