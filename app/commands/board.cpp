// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/console.h"
#include "app/mock.h"
#include "app/plan_schema.h"
#include "driver/test_board.h"
#include "driver/usb_transport.h"

namespace pcmlab::app {
namespace {

/// A board at this moment.
struct Condition {
  BoardInformation information;
  BoardStatus status;
  Temperature temperature;
  Calibration calibration;
};

Result<Condition> condition(Board& board) {
  Condition now{board.information(), {}, {}, {}};
  PCM_ASSIGN(now.temperature, board.temperature());
  PCM_ASSIGN(now.calibration, board.calibrate({}));
  PCM_ASSIGN(now.status, board.status());
  return now;
}

/// What a board says of itself, or why it cannot be asked.
struct ListedBoard {
  std::string kind;
  std::string where;
  std::string serial;
  std::optional<Condition> condition;
  std::optional<Error> problem;
};

bool is_of_the_plan(ErrorCode code) {
  return code == ErrorCode::BadPlan || code == ErrorCode::NotFound || code == ErrorCode::BadFile;
}

/// \param plan  with its sections [mock] and [faults]
Result<ListedBoard> the_mock(const Plan& plan) {
  const ParameterValues& mock = plan.section("mock");
  ListedBoard listed{"mock", "this program", mock.text("serial"), {}, {}};
  const Result<std::unique_ptr<Board>> board = open_mock(mock, plan.section("faults"));
  // It may have been told to be out of order; a chip that is none is a mistake.
  if (!board && is_of_the_plan(board.error().code)) return tl::unexpected(board.error());
  Result<Condition> now = board ? condition(**board) : tl::unexpected(board.error());
  if (now) {
    listed.condition = std::move(*now);
  } else {
    listed.problem = std::move(now).error();
  }
  return listed;
}

/// Asks the board who it is, unless another program has it or there is no permission.
ListedBoard ask(const UsbBoard& found) {
  ListedBoard listed{"usb", fmt::format("usb {}", found.port), found.serial, {}, {}};
  const auto open = [&]() -> Result<Condition> {
    PCM_ASSIGN(std::unique_ptr<Transport> transport,
               UsbTransport::open({found.vendor, found.product, found.serial}));
    PCM_ASSIGN(const auto board, TestBoard::open(std::move(transport)));
    return condition(*board);
  };
  if (Result<Condition> now = open()) {
    listed.condition = std::move(*now);
  } else {
    listed.problem = std::move(now).error();
  }
  return listed;
}

nlohmann::ordered_json to_json(const ListedBoard& board) {
  nlohmann::ordered_json json{{"kind", board.kind}, {"at", board.where}, {"serial", board.serial}};
  if (board.condition) {
    const auto& [information, status, temperature, calibration] = *board.condition;
    const Limits& limits = information.limits;
    json["firmware"] = information.firmware;
    json["word_lines"] = information.shape.word_lines;
    json["bit_lines"] = information.shape.bit_lines;
    json["virtual_time"] = (information.capabilities & wire::kVirtualTime) != 0;
    json["boot_epoch"] = information.boot_epoch;
    json["up_s"] = seconds(status.now);
    json["busy_s"] = seconds(status.busy);
    json["pulses_executed"] = status.pulses_executed;
    json["queued_requests"] = status.queued_requests;
    json["queue_depth"] = limits.max_requests_in_flight;
    json["max_devices_per_request"] = limits.max_devices_per_request;
    json["temperature_K"] = temperature.K();
    json["max_temperature_K"] = limits.max_temperature.K();
    json["adc_bits"] = information.adc_bits;
    json["sample_time_ns"] = information.sample_time.count();
    json["gain_uS_per_code"] = calibration.gain_uS_per_code;
    json["offset_uS"] = calibration.offset_uS;
    json["max_amplitude_uA"] = limits.max_amplitude.uA();
    json["min_width_ns"] = limits.min_width.count();
    json["max_width_ns"] = limits.max_width.count();
    json["max_pulses_per_device"] = limits.max_pulses_per_device;
  }
  if (board.problem) json["problem"] = board.problem->message;
  return json;
}

Result<void> list_devices(const Session& session, const std::vector<std::string>& assignments) {
  PCM_ASSIGN(const Plan plan, plan_of_board(assignments));
  std::vector<ListedBoard> boards;
  PCM_ASSIGN(boards.emplace_back(), the_mock(plan));
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
  Table table({"kind", "at", "serial", "firmware", "array", "chip", "queue", "busy"});
  for (const ListedBoard& board : boards) {
    std::vector<std::string> row{board.kind, board.where, board.serial};
    if (const auto& now = board.condition) {
      const BoardInformation& i = now->information;
      row.insert(
          row.end(),
          {i.firmware, fmt::format("{} x {}", i.shape.word_lines, i.shape.bit_lines),
           fmt::format("{:.1f} K", now->temperature.K()),
           fmt::format("{} of {}", now->status.queued_requests, i.limits.max_requests_in_flight),
           duration_text(seconds(now->status.busy))});
    } else {
      row.resize(8, "-");
    }
    table.add(row);
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

}  // namespace

void add_devices(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("devices", "Lists the boards that can be used");
  const auto assignments = std::make_shared<std::vector<std::string>>();
  add_plan_assignments(*command, *assignments);
  command->callback([&session, assignments] { session.end(list_devices(session, *assignments)); });
}

}  // namespace pcmlab::app
