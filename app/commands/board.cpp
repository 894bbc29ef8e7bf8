// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

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

}  // namespace

void add_devices(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand("devices", "Lists the boards that can be used");
  command->callback([&session] { session.end(list_devices(session)); });
}

}  // namespace pcmlab::app
