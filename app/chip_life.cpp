// SPDX-License-Identifier: Apache-2.0
#include "app/chip_life.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <variant>

#include "app/console.h"
#include "db/query/results_query.h"

namespace pcmlab::app {
namespace {

constexpr double kJoulePerMicrojoule = 1e-6;

std::int64_t integer(const db::Value& value) {
  const auto* const number = std::get_if<std::int64_t>(&value);
  return number == nullptr ? 0 : *number;
}
double real(const db::Value& value) {
  const auto* const number = std::get_if<double>(&value);
  return number == nullptr ? 0 : *number;
}

}  // namespace

Result<ChipLife> chip_life(const Plan& plan, const BoardInformation& board,
                           const std::filesystem::path& database) {
  const ParameterValues& limits = plan.section("limits");
  ChipLife life;
  life.max_pulses = static_cast<std::uint64_t>(limits.integer("pulses_per_device"));
  life.max_heat_A2s =
      limits.real("energy_per_device_uJ") * kJoulePerMicrojoule / limits.real("on_resistance_ohm");
  life.pulses.resize(board.shape.device_count());
  life.heat_A2s.resize(board.shape.device_count());
  if (!std::filesystem::exists(database)) return life;
  PCM_ASSIGN(auto query, db::ResultsQuery::open(database, {std::chrono::milliseconds(0), {}}));
  const std::map<std::string, std::string> chip = {{"serial", board.serial},
                                                   {"sample", plan.section("run").text("sample")}};
  // The first run is how the table looks a chip up; the CAST keeps a name of digits a name.
  PCM_TRY(
      query.prepare("SELECT word_line, bit_line, pulses + unknown_batches, heat_A2s "
                    "FROM device_wear WHERE first_run_id = (SELECT min(run.id) FROM run "
                    "JOIN board ON board.id = board_id WHERE serial = CAST(:serial AS TEXT) "
                    "AND sample = CAST(:sample AS TEXT))",
                    chip));
  for (;;) {
    PCM_ASSIGN(const bool more, query.step());
    if (!more) return life;
    const DeviceAddress address{{static_cast<std::uint16_t>(integer(query.value(0)))},
                                {static_cast<std::uint16_t>(integer(query.value(1)))}};
    if (!board.shape.contains(address)) continue;
    const std::size_t device = board.shape.linear(address);
    life.pulses[device] = static_cast<std::uint32_t>(integer(query.value(2)));
    life.heat_A2s[device] = real(query.value(3));
  }
}

std::int64_t most_pulses(const ChipLife& life) {
  return life.pulses.empty() ? 0 : *std::max_element(life.pulses.begin(), life.pulses.end());
}

double most_energy(const ChipLife& life, const Plan& plan) {
  if (life.heat_A2s.empty()) return 0;
  return *std::max_element(life.heat_A2s.begin(), life.heat_A2s.end()) *
         plan.section("limits").real("on_resistance_ohm") / kJoulePerMicrojoule;
}

Result<void> check_life(const ChipLife& life, const Prediction& total) {
  const std::int64_t would_be = most_pulses(life) + total.pulses_of_a_device;
  if (life.max_pulses == 0 || would_be <= static_cast<std::int64_t>(life.max_pulses)) return {};
  return fail(ErrorCode::BadPlan,
              fmt::format("a device of the chip has borne {} pulses and may get {} more; "
                          "pulses_per_device under [limits] allows {}",
                          grouped(most_pulses(life)), grouped(total.pulses_of_a_device),
                          grouped(static_cast<std::int64_t>(life.max_pulses))),
              "pcmlab query wear-devices names the devices; lower max_iterations, or raise the "
              "limit");
}

}  // namespace pcmlab::app
