// SPDX-License-Identifier: Apache-2.0
#include "app/chip_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "experiments/engine/plan.h"

namespace pcmlab::app {
namespace {

using mock::ChipModel;
using mock::MeasuredTable;

/// How a measured table is called in a file.
struct TableKeys {
  std::string_view section;
  std::string_view summary;
  std::string_view at, at_unit;
  std::string_view mean, mean_unit;
  std::string_view spread;  ///< empty: the table has none
  MeasuredTable ChipModel::*member;
};

constexpr std::array<TableKeys, 4> kTables{{
    {"set_step", "Change of conductance by one crystallising pulse, long after a RESET.",
     "conductance_uS", "uS", "change_uS", "uS", "change_spread_uS", &ChipModel::set_step},
    {"melt", "Conductance after one melting pulse.", "amplitude_uA", "uA", "conductance_uS", "uS",
     "", &ChipModel::melt},
    {"drift", "Drift exponent.", "conductance_uS", "uS", "exponent", "", "exponent_spread",
     &ChipModel::drift},
    {"noise", "Relative read noise Q_s.", "conductance_uS", "uS", "relative_noise", "", "",
     &ChipModel::noise},
}};

Parameter list(std::string_view name, std::string_view unit, std::string help) {
  constexpr double kAny = std::numeric_limits<double>::max();
  return reals(std::string(name), std::string(unit), {}, -kAny, kAny, std::move(help));
}

std::vector<ParameterTable> chip_sections(const ChipModel& base) {
  std::vector<ParameterTable> sections{
      {"chip",
       "Which chip this is.",
       {text("preset", "", "the built-in chip that gives all that this file leaves out"),
        text("name", "", "as it is called in lists"), text("summary", "", "one sentence about it"),
        integer("word_lines", "", base.shape.word_lines, 1, 65535, "rows of the array"),
        integer("bit_lines", "", base.shape.bit_lines, 2, 65535, "columns of the array"),
        real("g_max_uS", "uS", base.g_max_uS, 0.1, 1000,
             "largest conductance that weights are mapped to")}},
      {"parameters", "The model's constants.", model_parameters(base.parameters)}};
  for (const TableKeys& keys : kTables) {
    ParameterTable table{std::string(keys.section), std::string(keys.summary), {}};
    table.parameters.push_back(list(keys.at, keys.at_unit, "where it was measured, rising"));
    table.parameters.push_back(list(keys.mean, keys.mean_unit, "mean there"));
    if (!keys.spread.empty()) {
      table.parameters.push_back(list(keys.spread, keys.mean_unit, "standard deviation there"));
    }
    sections.push_back(std::move(table));
  }
  return sections;
}

std::string number_list(const std::vector<double>& values) {
  return fmt::format("[{}]", fmt::join(values, ", "));
}

Result<std::string> read_text(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in || in.bad()) {
    return fail(ErrorCode::Io, fmt::format("reading the chip file {} failed", file.string()),
                "check the file and the disk");
  }
  return std::move(text).str();
}

std::string preset_names() {
  std::vector<std::string_view> names;
  for (const ChipModel& chip : mock::chip_presets()) names.emplace_back(chip.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::vector<Parameter> model_parameters(const mock::PcmParameters& defaults) {
  std::vector<Parameter> parameters;
  for (const mock::PcmParameterInfo& info : mock::pcm_parameter_table()) {
    parameters.push_back(real(std::string(info.name), std::string(info.unit), defaults.*info.member,
                              info.minimum, info.maximum,
                              fmt::format("{} [{}]", info.help, info.source)));
  }
  return parameters;
}

void override_parameters(const ParameterValues& values, mock::PcmParameters& parameters) {
  for (const mock::PcmParameterInfo& info : mock::pcm_parameter_table()) {
    const std::string name(info.name);
    if (values.is_given(name)) parameters.*info.member = values.real(name);
  }
}

Result<ChipModel> parse_chip(const std::string& text, const std::string& source) {
  const std::string advice = "mend that line; `pcmlab chips NAME` writes a chip as such a file";
  // Once for the preset, and once more with what it has.
  ChipModel chip = mock::chip_presets().front();
  PCM_ASSIGN(auto sections, parse_sections(text, source, chip_sections(chip), advice));
  if (const std::string& preset = sections.at("chip").text("preset"); !preset.empty()) {
    const ChipModel* base = mock::find_preset(preset);
    if (base == nullptr) {
      return fail(ErrorCode::BadPlan,
                  fmt::format("{}, [chip]: there is no built-in chip \"{}\"", source, preset),
                  "there are: " + preset_names());
    }
    chip = *base;
    PCM_ASSIGN(sections, parse_sections(text, source, chip_sections(chip), advice));
  }
  const ParameterValues& about = sections.at("chip");
  chip.name = about.text("name").empty() ? std::filesystem::path(source).stem().string()
                                         : about.text("name");
  if (about.is_given("summary")) chip.summary = about.text("summary");
  chip.shape = {static_cast<std::uint16_t>(about.integer("word_lines")),
                static_cast<std::uint16_t>(about.integer("bit_lines"))};
  chip.g_max_uS = about.real("g_max_uS");
  override_parameters(sections.at("parameters"), chip.parameters);
  for (const TableKeys& keys : kTables) {
    const ParameterValues& section = sections.at(std::string(keys.section));
    const auto given = [&section](std::string_view key) {
      return section.is_given(std::string(key));
    };
    if (!given(keys.at) && !given(keys.mean) && !given(keys.spread)) continue;
    MeasuredTable& table = chip.*keys.member;
    table.at = section.reals(std::string(keys.at));
    table.mean = section.reals(std::string(keys.mean));
    table.spread =
        keys.spread.empty() ? std::vector<double>() : section.reals(std::string(keys.spread));
  }
  if (const Result<void> good = mock::check(chip); !good) {
    return tl::unexpected(good.error().during(source));
  }
  return chip;
}

Result<ChipModel> load_chip(const std::string& name_or_file) {
  if (const ChipModel* preset = mock::find_preset(name_or_file)) return *preset;
  if (!std::filesystem::is_regular_file(name_or_file)) {
    return fail(
        ErrorCode::NotFound,
        fmt::format("there is neither a built-in chip nor a chip file \"{}\"", name_or_file),
        "built in are: " + preset_names());
  }
  PCM_ASSIGN(const std::string text, read_text(name_or_file));
  return parse_chip(text, name_or_file);
}

std::string chip_file_text(const ChipModel& chip) {
  std::string text = "# pcmlab chip file: see mock_device/README.md\n";
  text += fmt::format(
      "[chip]\nname = {}\nsummary = {}\nword_lines = {}\nbit_lines = {}\ng_max_uS = {}\n",
      to_toml(chip.name), to_toml(chip.summary), chip.shape.word_lines, chip.shape.bit_lines,
      to_toml(chip.g_max_uS));
  text += "\n[parameters]\n";
  for (const Parameter& parameter : model_parameters(chip.parameters)) {
    text += fmt::format("{} = {}  # {}; {}\n", parameter.name, to_toml(parameter.default_value),
                        parameter.help, range_text(parameter));
  }
  for (const TableKeys& keys : kTables) {
    const MeasuredTable& table = chip.*keys.member;
    if (table.empty()) continue;
    text += fmt::format("\n# {}\n[{}]\n{} = {}\n{} = {}\n", keys.summary, keys.section, keys.at,
                        number_list(table.at), keys.mean, number_list(table.mean));
    if (!keys.spread.empty()) {
      text += fmt::format("{} = {}\n", keys.spread, number_list(table.spread));
    }
  }
  return text;
}

}  // namespace pcmlab::app
