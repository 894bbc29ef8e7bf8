// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>
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

}  // namespace

void add_devices(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("devices", "Lists the boards that can be used");
  command->callback([&session] { session.end(list_devices(session)); });
}

}  // namespace pcmlab::app
