// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/console.h"
#include "app/faults.h"
#include "app/mock.h"
#include "driver/test_board.h"
#include "driver/usb_transport.h"

namespace pcmlab::app {
namespace {

Result<std::unique_ptr<Board>> open_default_mock() {
  return open_mock(ParameterValues(mock_section().parameters),
                   ParameterValues(faults_section().parameters));
}

/// What a board says of itself, or why it cannot be asked.
struct ListedBoard {
  std::string kind;
  std::string where;
  std::string serial;
  std::optional<BoardInformation> information;
  std::optional<Error> problem;
};

Result<ListedBoard> the_mock() {
  PCM_ASSIGN(const auto board, open_default_mock());
  return ListedBoard{"mock", "this program", board->information().serial, board->information(), {}};
}

/// Asks the board who it is, unless another program has it or there is no permission.
ListedBoard ask(const UsbBoard& found) {
  ListedBoard listed{"usb", fmt::format("usb {}", found.port), found.serial, {}, {}};
  const auto open = [&]() -> Result<BoardInformation> {
    PCM_ASSIGN(std::unique_ptr<Transport> transport,
               UsbTransport::open({found.vendor, found.product, found.serial}));
    PCM_ASSIGN(const auto board, TestBoard::open(std::move(transport)));
    return board->information();
  };
  if (Result<BoardInformation> information = open()) {
    listed.information = std::move(*information);
  } else {
    listed.problem = std::move(information).error();
  }
  return listed;
}

nlohmann::ordered_json to_json(const ListedBoard& board) {
  nlohmann::ordered_json json{{"kind", board.kind}, {"at", board.where}, {"serial", board.serial}};
  if (board.information) {
    json["firmware"] = board.information->firmware;
    json["word_lines"] = board.information->shape.word_lines;
    json["bit_lines"] = board.information->shape.bit_lines;
  }
  if (board.problem) json["problem"] = board.problem->message;
  return json;
}

Result<void> list_devices(const Session& session) {
  std::vector<ListedBoard> boards;
  PCM_ASSIGN(boards.emplace_back(), the_mock());
  const Result<std::vector<UsbBoard>> on_usb = list_usb_boards();
  if (on_usb) {
    for (const UsbBoard& found : *on_usb) boards.push_back(ask(found));
  }
  if (session.json) {
    auto json = nlohmann::ordered_json::array();
    for (const ListedBoard& board : boards) json.push_back(to_json(board));
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  Table table({"kind", "at", "serial", "firmware", "word lines", "bit lines"});
  for (const ListedBoard& board : boards) {
    const auto& i = board.information;
    table.add({board.kind, board.where, board.serial, i ? i->firmware : "-",
               i ? std::to_string(i->shape.word_lines) : "-",
               i ? std::to_string(i->shape.bit_lines) : "-"});
  }
  fmt::print("{}", table.text());
  for (const ListedBoard& board : boards) {
    if (board.problem) print_error(*board.problem);
  }
  if (!on_usb) {
    fmt::print("no boards on the USB: {}\n", on_usb.error().message);
  } else if (on_usb->empty()) {
    fmt::print("no board {:04x}:{:04x} on the USB; `pcmlab doctor` tells what may be wrong\n",
               UsbFilter{}.vendor, UsbFilter{}.product);
  }
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
