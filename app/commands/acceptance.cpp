// SPDX-License-Identifier: Apache-2.0
#include "app/acceptance.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "app/chip_file.h"
#include "app/commands.h"
#include "app/console.h"

namespace pcmlab::app {
namespace {

struct Options {
  std::string chip = "joshi-2020";
  std::string against;
  std::uint64_t seed = 1;
  std::size_t devices = 10000;
  std::filesystem::path plots;
};

std::string number(double value) {
  const double whole = std::round(value);
  return whole == value && std::abs(value) >= 1000 ? grouped(static_cast<std::int64_t>(whole))
                                                   : fmt::format("{:.4g}", value);
}

std::string accepted(const AcceptanceRow& row) {
  return row.low == row.high ? number(row.low)
                             : fmt::format("{} to {}", number(row.low), number(row.high));
}

/// The rows with one heading for each group.
std::string text_of(const Acceptance& result) {
  std::size_t widest = 0;
  for (const AcceptanceRow& row : result.rows) widest = std::max(widest, row.what.size());
  std::string text;
  const std::string* group = nullptr;
  for (const AcceptanceRow& row : result.rows) {
    if (group == nullptr || *group != row.group) {
      text += fmt::format("{}{}\n", group == nullptr ? "" : "\n", row.group);
      if (group == nullptr) {
        text += fmt::format("      {:<{}}  {:>9}  {:>9}   {:<18}\n", "", widest, "ours",
                            "published", "accepted");
      }
    }
    group = &row.group;
    text += fmt::format("{}  {:<{}}  {:>9}  {:>9}   {:<18} {}\n", row.passed() ? "pass" : "FAIL",
                        row.what, widest, number(row.ours),
                        row.published ? number(*row.published) : "", accepted(row), row.unit);
    text.erase(text.find_last_not_of(" \n") + 1);
    text += '\n';
  }
  return text;
}

std::string json_of(const Acceptance& result) {
  nlohmann::ordered_json json{{"chip", result.chip.name},
                              {"seed", result.seed},
                              {"devices_per_level", result.devices_per_level},
                              {"failed", result.failed()},
                              {"figures", nlohmann::ordered_json::array()}};
  for (const AcceptanceRow& row : result.rows) {
    nlohmann::ordered_json entry{
        {"group", row.group}, {"what", row.what}, {"unit", row.unit}, {"ours", row.ours}};
    entry["published"] = row.published ? nlohmann::ordered_json(*row.published) : nullptr;
    entry["low"] = row.low;
    entry["high"] = row.high;
    entry["passed"] = row.passed();
    json["figures"].push_back(std::move(entry));
  }
  return json.dump(2) + "\n";
}

Result<const PublishedChip*> published_for(const Options& options) {
  const std::string& name = options.against.empty() ? options.chip : options.against;
  if (const PublishedChip* published = find_published(name)) return published;
  std::string known;
  for (const PublishedChip& chip : published_chips()) {
    known += (known.empty() ? "" : ", ") + chip.name;
  }
  return fail(ErrorCode::NotFound,
              fmt::format("the literature of a chip \"{}\" is not built in", name),
              fmt::format("name with --against the one to compare with: {}", known));
}

Result<void> acceptance(Session& session, const Options& options) {
  PCM_ASSIGN(const mock::ChipModel chip, load_chip(options.chip));
  PCM_ASSIGN(const PublishedChip* published, published_for(options));
  if (!options.plots.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.plots, error);
    if (error) {
      return fail(ErrorCode::Io,
                  fmt::format("cannot make the folder {} for the figures: {}",
                              options.plots.string(), error.message()),
                  "choose a place where you may write");
    }
  }
  AcceptanceSettings settings;
  settings.seed = options.seed;
  settings.devices_per_level = options.devices;
  ConsoleObserver observer(session.quiet);
  PCM_ASSIGN(const Acceptance result,
             measure_acceptance(chip, *published, settings,
                                [&](const std::string& what) { observer.message(what); }));
  if (result.failed() > 0) session.exit_code = kCheckFailed;
  if (session.json) {
    fmt::print("{}", json_of(result));
  } else {
    fmt::print(
        "Mock chip {}, seed {}: {}\n{} devices a level. Published: {}\n\n{}\n"
        "{} of {} figures are accepted\n",
        chip.name, result.seed, chip.summary,
        grouped(static_cast<std::int64_t>(result.devices_per_level)), published->source,
        text_of(result), result.rows.size() - result.failed(), result.rows.size());
  }
  if (options.plots.empty()) return {};
  const auto file = options.plots / fmt::format("acceptance-{}.png", chip.name);
  PCM_TRY(write_acceptance_plot(result, *published, file));
  if (!session.json && !session.quiet) fmt::print("plot      {}\n", file.string());
  return {};
}

Result<void> chips(const Session& session, const std::string& name) {
  if (!name.empty()) {
    PCM_ASSIGN(const mock::ChipModel chip, load_chip(name));
    fmt::print("{}", chip_file_text(chip));
    return {};
  }
  if (session.json) {
    auto json = nlohmann::ordered_json::array();
    for (const mock::ChipModel& chip : mock::chip_presets()) {
      json.push_back({{"name", chip.name},
                      {"word_lines", chip.shape.word_lines},
                      {"bit_lines", chip.shape.bit_lines},
                      {"g_max_uS", chip.g_max_uS},
                      {"summary", chip.summary}});
    }
    fmt::print("{}\n", json.dump(2));
    return {};
  }
  Table table({"chip", "array", "G_max", "what it is"});
  for (const mock::ChipModel& chip : mock::chip_presets()) {
    table.add({chip.name, fmt::format("{} x {}", chip.shape.word_lines, chip.shape.bit_lines),
               fmt::format("{:.4g} µS", chip.g_max_uS), chip.summary});
  }
  fmt::print("{}", table.text());
  return {};
}

}  // namespace

void add_acceptance(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "acceptance", "Measures the mock chip and holds it against the published figures");
  auto options = std::make_shared<Options>();
  command->add_option("--chip", options->chip, "built-in chip, or a chip file")
      ->capture_default_str();
  command->add_option("--against", options->against,
                      "whose published figures; the chip's own when left out");
  command->add_option("--seed", options->seed, "which chip of its kind")->capture_default_str();
  command->add_option("--devices", options->devices, "devices a level")
      ->capture_default_str()
      ->check(CLI::Range(100, 1000000));
  command->add_option("--plots", options->plots, "also draw the figures into this folder");
  command->callback([&session, options] { session.end(acceptance(session, *options)); });
}

void add_chips(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "chips", "Lists the chips that the mock can be; writes one as a chip file");
  auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "write this chip, built in or from a file, as a chip file");
  command->callback([&session, name] { session.end(chips(session, *name)); });
}

}  // namespace pcmlab::app
