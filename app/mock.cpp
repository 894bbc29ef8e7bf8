// SPDX-License-Identifier: Apache-2.0
#include "app/mock.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "app/chip_file.h"
#include "app/faults.h"
#include "driver/loopback_transport.h"
#include "driver/test_board.h"

namespace pcmlab::app {
namespace {

/// The chip that a plan asks for: a built-in one or a file, and the constants that the plan gives.
Result<mock::ChipModel> chip_of(const ParameterValues& mock) {
  PCM_ASSIGN(mock::ChipModel chip, load_chip(mock.text("chip")));
  override_parameters(mock, chip.parameters);
  if (mock.is_given("word_lines")) {
    chip.shape.word_lines = static_cast<std::uint16_t>(mock.integer("word_lines"));
  }
  if (mock.is_given("bit_lines")) {
    chip.shape.bit_lines = static_cast<std::uint16_t>(mock.integer("bit_lines"));
  }
  if (const Result<void> good = mock::check(chip); !good) {
    return tl::unexpected(
        Error{ErrorCode::BadPlan, "[mock]: " + good.error().message, good.error().advice});
  }
  return chip;
}

Result<mock::TemperatureProfile> temperature_of(const ParameterValues& mock) {
  const std::vector<double>& at_s = mock.reals("temperature_profile_s");
  const std::vector<double>& t_K = mock.reals("temperature_profile_K");
  const bool rising = std::is_sorted(at_s.begin(), at_s.end(), std::less_equal<>());
  if (at_s.size() != t_K.size() || !rising) {
    return fail(ErrorCode::BadPlan,
                fmt::format("[mock]: the temperature profile has {} times and {} temperatures{}",
                            at_s.size(), t_K.size(), rising ? "" : ", and its times do not rise"),
                "give temperature_profile_s and temperature_profile_K of one length, times rising");
  }
  mock::TemperatureProfile profile(Temperature::from_K(mock.real("temperature_K")));
  for (std::size_t i = 0; i < at_s.size(); ++i) profile.add(at_s[i], t_K[i]);
  return profile;
}

}  // namespace

ParameterTable mock_section() {
  const mock::ChipModel& chip = mock::chip_presets().front();
  ParameterTable table{
      "mock",
      "The simulated board and chip. Tags of the model's constants: P published, M known but not "
      "checked, E our own. Defaults are those of chip joshi-2020; another chip brings its own.",
      {text("serial", "MOCK0001", "serial number that the board gives"),
       integer("seed", "", 1, 0, 9e15, "which chip: everything random on it follows from this"),
       text("chip", chip.name, "kind of chip: a name from `pcmlab chips`, or a chip file"),
       integer("word_lines", "", chip.shape.word_lines, 1, 65535, "rows of the array"),
       integer("bit_lines", "", chip.shape.bit_lines, 2, 65535, "columns of the array"),
       integer("threads", "", 0, 0, 256,
               "threads of the simulation, 0 = one per core; results do not depend on it"),
       real("temperature_K", "K", 300, 200, 500, "of the chip, until a profile begins"),
       reals("temperature_profile_s", "s", {}, 1e-9, 1e10,
             "chip times of a temperature profile; it is linear in between, from temperature_K at "
             "0 on"),
       reals("temperature_profile_K", "K", {}, 200, 500, "the temperatures at these times")}};
  for (Parameter& parameter : model_parameters(chip.parameters)) {
    table.parameters.push_back(std::move(parameter));
  }
  return table;
}

Result<std::unique_ptr<mock::FaultyBoard>> mock_board(const ParameterValues& mock,
                                                      const ParameterValues& faults,
                                                      bool virtual_time, PlannedFaults planned) {
  PCM_ASSIGN(const mock::ChipModel model, chip_of(mock));
  PCM_ASSIGN(mock::TemperatureProfile temperature, temperature_of(mock));
  PCM_ASSIGN(mock::FaultPlan plan, fault_plan(faults, model.shape));
  if (planned == PlannedFaults::OfTheChip) {
    plan.line = {};
    plan.memory_loss = {};
    plan.disconnect = {};
  }
  mock::MockBoardSettings settings;
  settings.serial = mock.text("serial");
  if (!virtual_time) settings.capabilities &= ~wire::kVirtualTime;
  mock::PcmChip chip(model, model.shape, static_cast<std::uint64_t>(mock.integer("seed")),
                     static_cast<unsigned>(mock.integer("threads")));
  chip.set_temperature(std::move(temperature));
  return std::make_unique<mock::FaultyBoard>(std::move(chip), settings, plan);
}

Result<std::unique_ptr<Transport>> mock_transport(const ParameterValues& mock,
                                                  const ParameterValues& faults,
                                                  PlannedFaults planned) {
  PCM_ASSIGN(std::shared_ptr<mock::FaultyBoard> board, mock_board(mock, faults, true, planned));
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

std::string describe_mock(const ParameterValues& mock, const ParameterValues& faults,
                          std::string_view line) {
  const std::string planned = describe_faults(faults);
  return fmt::format("mock board {} over {}, chip {} with seed {}{}{}", mock.text("serial"), line,
                     mock.text("chip"), mock.integer("seed"), planned.empty() ? "" : "; ", planned);
}

}  // namespace pcmlab::app
