// SPDX-License-Identifier: Apache-2.0
#include "app/mock.h"

#include <fmt/format.h>

#include "app/faults.h"
#include "driver/loopback_transport.h"
#include "driver/test_board.h"
#include "mock_device/faulty_board.h"

namespace pcmlab::app {
namespace {

mock::PcmParameters parameters_from(const ParameterValues& values) {
  mock::PcmParameters parameters;
  for (const mock::PcmParameterInfo& info : mock::pcm_parameter_table()) {
    parameters.*info.member = values.real(std::string(info.name));
  }
  return parameters;
}

}  // namespace

ParameterTable mock_section() {
  ParameterTable table{
      "mock",
      "The simulated board and chip. Tags of the model's constants: P published, E our own.",
      {text("serial", "MOCK0001", "serial number that the board gives"),
       integer("seed", "", 1, 0, 9e15, "which chip: everything random on it follows from this"),
       integer("word_lines", "", 512, 1, 65535, "rows of the array"),
       integer("bit_lines", "", 2048, 2, 65535, "columns of the array"),
       integer("threads", "", 0, 0, 256,
               "threads of the simulation, 0 = one per core; results do not depend on it")}};
  const mock::PcmParameters defaults;
  for (const mock::PcmParameterInfo& info : mock::pcm_parameter_table()) {
    table.parameters.push_back(real(std::string(info.name), std::string(info.unit),
                                    defaults.*info.member, info.minimum, info.maximum,
                                    fmt::format("{} [{}]", info.help, info.source)));
  }
  return table;
}

Result<std::unique_ptr<Transport>> mock_transport(const ParameterValues& mock,
                                                  const ParameterValues& faults) {
  const ArrayShape shape{static_cast<std::uint16_t>(mock.integer("word_lines")),
                         static_cast<std::uint16_t>(mock.integer("bit_lines"))};
  PCM_ASSIGN(const mock::FaultPlan plan, fault_plan(faults, shape));
  mock::MockBoardSettings settings;
  settings.serial = mock.text("serial");
  auto board = std::make_shared<mock::FaultyBoard>(
      mock::PcmChip(parameters_from(mock), shape, static_cast<std::uint64_t>(mock.integer("seed")),
                    static_cast<unsigned>(mock.integer("threads"))),
      settings, plan);
  auto cable = std::make_shared<LoopbackCable>();
  LoopbackEnd far_end;
  far_end.take = [board](std::span<const std::byte> bytes) { board->receive(bytes); };
  far_end.give = [board, cable](std::vector<std::byte>& into) {
    // A request whose reply is lost on the way is not the end of the board's work.
    const std::size_t before = into.size();
    while (into.size() == before && board->work()) board->take_output(into);
    if (!board->unplugged()) return;
    cable->unplug();
    cable->replug();
  };
  far_end.disconnected = [board] { board->connection_lost(); };
  return std::make_unique<LoopbackTransport>(std::move(far_end), cable);
}

Result<std::unique_ptr<Board>> open_mock(const ParameterValues& mock,
                                         const ParameterValues& faults) {
  PCM_ASSIGN(std::unique_ptr<Transport> transport, mock_transport(mock, faults));
  PCM_ASSIGN(std::unique_ptr<Board> opened, TestBoard::open(std::move(transport)));
  return opened;
}

std::string describe_mock(const ParameterValues& mock, const ParameterValues& faults) {
  const std::string planned = describe_faults(faults);
  return fmt::format("mock board {} over loopback, chip seed {}, {} x {}{}{}", mock.text("serial"),
                     mock.integer("seed"), mock.integer("word_lines"), mock.integer("bit_lines"),
                     planned.empty() ? "" : "; ", planned);
}

}  // namespace pcmlab::app
