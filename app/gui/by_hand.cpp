// SPDX-License-Identifier: Apache-2.0
#include "app/gui/by_hand.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "app/plan_schema.h"

namespace pcmlab::gui {
namespace {

/// What says which chip it is, and what it may get.
constexpr std::array<const char*, 6> kSections{"board",  "mock",    "faults",
                                               "limits", "network", "images"};

void put_section(std::string& plan, const std::string& name, const ParameterValues& values) {
  std::string lines;
  for (const auto& [key, value] : values.all()) {
    const bool is_recorded = name == "board" && key == "record";
    if (!values.is_given(key) || is_recorded) continue;
    lines += fmt::format("{} = {}\n", key, to_toml(value));
  }
  if (!lines.empty()) plan += fmt::format("\n[{}]\n{}", name, lines);
}

}  // namespace

Result<std::string> plan_by_hand(const db::RunRow& of, const ByHand& deed) {
  PCM_ASSIGN(const Plan plan, parse_plan(of.plan_text, fmt::format("the plan of run {}", of.id),
                                         app::app_plan_schema()));
  if (plan.section("board").text("kind") == "replay") {
    return fail(ErrorCode::BadPlan,
                fmt::format("run {} is of a recording, which has no devices", of.id),
                "choose a run of a board");
  }
  const int word_line = deed.device.word_line.index, bit_line = deed.device.bit_line.index;
  std::string text =
      fmt::format("[run]\nname = \"by hand: word line {}, bit line {}\"\n", word_line, bit_line);
  for (const char* key : {"operator", "sample"}) {
    const std::string& value = plan.section("run").text(key);
    if (!value.empty()) text += fmt::format("{} = {}\n", key, to_toml(value));
  }
  for (const char* name : kSections) put_section(text, name, plan.section(name));
  text += fmt::format("\n[[step]]\nexperiment = \"manual\"\ndevices = [\"{},{}\"]\npulses = {}\n",
                      word_line, bit_line, deed.pulses);
  if (deed.pulses > 0) {
    text += fmt::format("amplitude_uA = {}\npulse_width_ns = {}\n", to_toml(deed.amplitude_uA),
                        deed.width_ns);
  }
  return text;
}

db::RowId last_on_chip(const Snapshot& snapshot, db::RowId of) {
  // Later ones have higher numbers.
  auto run = snapshot.runs.rbegin();
  for (; run != snapshot.runs.rend(); ++run) {
    if (run->row.parent == of && run->row.state == db::RunState::Complete) of = run->row.id;
  }
  return of;
}

Result<HandRead> read_by_hand(db::RunStore& store, db::RowId run) {
  PCM_ASSIGN(const auto programmings, store.programmings(run));
  PCM_ASSIGN(const auto sweeps, store.sweeps(run));
  if (programmings.empty() || sweeps.empty() || !sweeps.back().complete) {
    return fail(ErrorCode::NotFound, fmt::format("run {} has read nothing", run),
                "see its log on the page Night");
  }
  PCM_ASSIGN(const db::Placement placement, store.placement(programmings.back().id));
  PCM_ASSIGN(const auto code_sums, store.sweep_code_sums(sweeps.back().id));
  const db::SweepRow& sweep = sweeps.back();
  const double g_uS = sweep.gain_uS_per_code * code_sums.front() / sweep.samples + sweep.offset_uS;
  return HandRead{placement.addresses.front(), g_uS, programmings.back().pulses};
}

}  // namespace pcmlab::gui
