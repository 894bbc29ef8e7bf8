// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "app/board.h"
#include "app/commands.h"
#include "app/console.h"
#include "app/plan_schema.h"
#include "driver/conformance/conformance.h"

namespace pcmlab::app {
namespace {

using conformance::CheckInfo;
using conformance::Outcome;
using conformance::Report;
using conformance::Verdict;

struct Options {
  std::filesystem::path plan;
  std::vector<std::string> assignments;
  conformance::Settings settings;
  std::int64_t reply_deadline_ms = conformance::Settings{}.reply_deadline.count();
  std::int64_t silence_ms = conformance::Settings{}.silence.count();
  std::optional<double> max_amplitude_uA;
  bool no_pulses = false;
  bool until_boot = false;
  bool list = false;
};

Result<Plan> plan_of(const Options& options) {
  if (options.plan.empty()) return plan_of_board(options.assignments);
  return load_plan(options.plan, app_plan_schema(), options.assignments);
}

std::string name_in_group(const CheckInfo& check) {
  return check.id.substr(check.id.find('.') + 1);
}

const char* word_of(Verdict verdict) {
  if (verdict == Verdict::Passed) return "pass";
  return verdict == Verdict::Failed ? "FAIL" : "skip";
}

// ---- the list ----------------------------------------------------------------------------------

void print_list(bool json) {
  const std::vector<CheckInfo> checks = conformance::checks();
  if (json) {
    auto list = nlohmann::ordered_json::array();
    for (const CheckInfo& check : checks) {
      list.push_back({{"check", check.id},
                      {"section", check.section},
                      {"rule", check.what},
                      {"needs_pulses", (check.needs & conformance::kPulses) != 0},
                      {"pulses_each", check.pulses_each},
                      {"until_boot", (check.needs & conformance::kUntilBoot) != 0}});
    }
    fmt::print("{}\n", list.dump(2));
    return;
  }
  Table table({"check", "section of protocol/README.md", "rule"});
  for (const CheckInfo& check : checks) table.add({check.id, check.section, check.what});
  fmt::print("{}", table.text());
}

// ---- the report --------------------------------------------------------------------------------

struct Widths {
  std::size_t name = 0;
  std::size_t what = 0;
};

/// Devices for pulses are neighbours on one word line.
std::string devices_text(const std::vector<DeviceAddress>& devices) {
  return fmt::format("bit lines {} to {} of word line {}", devices.front().bit_line.index,
                     devices.back().bit_line.index, devices.front().word_line.index);
}

std::string text_of(const Outcome& outcome, const Widths& widths) {
  std::string text =
      fmt::format("  {}  {:<{}}  {:<{}}", word_of(outcome.verdict), name_in_group(outcome.check),
                  widths.name, outcome.check.what, widths.what);
  if (outcome.verdict == Verdict::Passed) {
    if (!outcome.found.empty()) text += "  " + outcome.found;
  } else if (outcome.verdict == Verdict::Skipped) {
    text += "  not run: " + outcome.found;
  }
  text.erase(text.find_last_not_of(' ') + 1);
  text += '\n';
  if (outcome.verdict != Verdict::Failed) return text;
  const auto line = [&text](const char* name, const std::string& value) {
    if (!value.empty()) text += fmt::format("        {:<9} {}\n", name, value);
  };
  line("section", outcome.check.section);
  line("expected", outcome.expected);
  line("came", outcome.found);
  const auto frame = [&line](const char* name, const std::vector<std::byte>& bytes) {
    if (bytes.empty()) return;
    line(name, conformance::describe_frame(bytes));
    line("", conformance::hex(bytes));
  };
  frame("request", outcome.request);
  frame("reply", outcome.reply);
  return text;
}

std::string text_of(const Report& report, const std::string& board) {
  std::string text = fmt::format("{}\nover {}, held against protocol/README.md, version {}\n",
                                 board, report.peer, int{wire::kProtocolVersion});
  Widths widths;
  for (const Outcome& outcome : report.outcomes) {
    widths.name = std::max(widths.name, name_in_group(outcome.check).size());
    widths.what = std::max(widths.what, outcome.check.what.size());
  }
  std::string group;
  for (const Outcome& outcome : report.outcomes) {
    if (outcome.check.group() != group) {
      group = outcome.check.group();
      text += fmt::format("\n{}\n", group);
    }
    text += text_of(outcome, widths);
  }
  text += '\n';
  for (const std::string& note : report.notes) text += "note: " + note + "\n";
  if (!report.pulsed.empty()) {
    text +=
        fmt::format("{} got {} pulses in all, no other device any\n", devices_text(report.pulsed),
                    grouped(static_cast<std::int64_t>(report.pulses)));
  } else {
    text += "no device got a pulse\n";
  }
  const auto number = [](std::uint64_t value) { return static_cast<std::int64_t>(value); };
  text += fmt::format("{} requests, {} to the board, {} back, {}\n",
                      grouped(number(report.requests)), bytes_text(number(report.bytes_sent)),
                      bytes_text(number(report.bytes_received)), duration_text(report.wall_s));
  const std::size_t skipped = report.count(Verdict::Skipped);
  text += fmt::format("{} of {} checks passed, {} failed", report.count(Verdict::Passed),
                      report.outcomes.size(), report.count(Verdict::Failed));
  return text + (skipped > 0 ? fmt::format(", {} not run\n", skipped) : "\n");
}

std::string json_of(const Report& report, const std::string& board) {
  nlohmann::ordered_json json{{"board", board}, {"protocol_version", wire::kProtocolVersion}};
  json["serial"] = report.board ? nlohmann::ordered_json(report.board->serial) : nullptr;
  json["firmware"] = report.board ? nlohmann::ordered_json(report.board->firmware) : nullptr;
  json["passed"] = report.count(Verdict::Passed);
  json["failed"] = report.count(Verdict::Failed);
  json["skipped"] = report.count(Verdict::Skipped);
  json["pulsed"] = nlohmann::ordered_json::array();
  for (const DeviceAddress& device : report.pulsed) {
    json["pulsed"].push_back({device.word_line.index, device.bit_line.index});
  }
  json["pulses"] = report.pulses;
  json["requests"] = report.requests;
  json["bytes_sent"] = report.bytes_sent;
  json["bytes_received"] = report.bytes_received;
  json["wall_s"] = report.wall_s;
  json["notes"] = report.notes;
  json["checks"] = nlohmann::ordered_json::array();
  for (const Outcome& outcome : report.outcomes) {
    nlohmann::ordered_json entry{
        {"check", outcome.check.id},  {"section", outcome.check.section},
        {"rule", outcome.check.what}, {"verdict", word_of(outcome.verdict)},
        {"found", outcome.found},     {"wall_s", outcome.wall_s}};
    if (outcome.verdict == Verdict::Failed) {
      entry["verdict"] = "fail";
      entry["expected"] = outcome.expected;
      entry["request"] = conformance::hex(outcome.request, outcome.request.size());
      entry["reply"] = conformance::hex(outcome.reply, outcome.reply.size());
    }
    json["checks"].push_back(std::move(entry));
  }
  // A broken board may send anything as text.
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

// ---- the run -----------------------------------------------------------------------------------

conformance::Observer observer_of(ConsoleObserver& console) {
  conformance::Observer observer;
  observer.board = [&console](const std::vector<DeviceAddress>& devices, std::uint64_t pulses_each,
                              Current strongest) {
    if (devices.empty()) return console.message("no device gets a pulse");
    console.message(
        fmt::format("{} get at most {} pulses each, of {:.6g} uA at most; no other device",
                    devices_text(devices), pulses_each, strongest.uA()));
  };
  observer.started = [&console](std::size_t number, std::size_t count, const CheckInfo& check) {
    db::ProgressRow progress;
    progress.activity = check.id;
    progress.done = static_cast<std::int64_t>(number) - 1;
    progress.total = static_cast<std::int64_t>(count);
    console.progress(progress);
  };
  observer.finished = [&console](const Outcome& outcome) {
    if (outcome.verdict == Verdict::Failed) console.message("FAIL " + outcome.check.id);
  };
  return observer;
}

Result<void> selftest(Session& session, const Options& options) {
  if (options.list) {
    print_list(session.json);
    return {};
  }
  PCM_ASSIGN(const Plan plan, plan_of(options));
  if (plan.section("board").text("kind") == "replay") {
    return fail(ErrorCode::BadPlan, "a recording cannot be tested, it answers what it has heard",
                "name a board in [board] kind");
  }
  conformance::Settings settings = options.settings;
  settings.reply_deadline = std::chrono::milliseconds(options.reply_deadline_ms);
  settings.silence = std::chrono::milliseconds(options.silence_ms);
  if (options.max_amplitude_uA) {
    settings.max_amplitude = Current::from_uA(*options.max_amplitude_uA);
  }
  if (options.no_pulses) settings.pulse_devices = 0;
  if (options.until_boot) settings.until_boot = true;
  PCM_ASSIGN(const auto transport, open_transport(plan, Purpose::Run));
  Report report;
  {
    ConsoleObserver console(session.quiet);
    report = conformance::run(*transport, settings, observer_of(console));
  }
  const std::string board = describe_board(plan);
  fmt::print("{}", session.json ? json_of(report, board) : text_of(report, board));
  if (report.count(Verdict::Failed) > 0) session.exit_code = kCheckFailed;
  return {};
}

/// An error text if no check would be chosen.
std::string no_check_is_named(const std::string& part) {
  for (const CheckInfo& check : conformance::checks()) {
    if (check.id.find(part) != std::string::npos) return {};
  }
  return "no check has \"" + part + "\" in its name; pcmlab selftest --list has them all";
}

}  // namespace

void add_selftest(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "selftest",
      "Holds a board against the protocol's specification, for those who write firmware. Sends "
      "pulses to 32 devices of the last word line and to no other, and tightens the limits of a "
      "board with virtual time until its next boot");
  auto options = std::make_shared<Options>();
  command->add_option("--plan", options->plan,
                      "a plan whose board is tested; default: the mock. A board on the USB needs "
                      "no plan: --set board.kind=usb");
  add_plan_assignments(*command, options->assignments);
  command
      ->add_option("--devices", options->settings.pulse_devices,
                   "so many neighbours on one word line get pulses, and no other device")
      ->capture_default_str()
      ->check(CLI::Range(1, 65535));
  command->add_option("--word-line", options->settings.pulse_word_line,
                      "of those devices; default: the last");
  command->add_option("--bit-line", options->settings.first_pulse_bit_line, "of the first of them")
      ->capture_default_str();
  command
      ->add_option("--max-amplitude-uA", options->max_amplitude_uA,
                   "no pulse is stronger, whatever the board's limit; default: 450 on a board with "
                   "real time")
      ->check(CLI::Range(1.0, wire::kMaxAmplitude_uA));
  command->add_flag("--no-pulses", options->no_pulses, "sends no pulses and nothing of the kind");
  command->add_flag("--until-boot", options->until_boot,
                    "also tightens limits of a board with real time: no pulses until its next "
                    "boot");
  command->add_option("--only", options->settings.only, "only checks whose name contains this")
      ->check(CLI::Validator(no_check_is_named, "", ""));
  command->add_option("--seed", options->settings.seed, "of garbage and damage")
      ->capture_default_str();
  command
      ->add_option("--deadline-ms", options->reply_deadline_ms,
                   "how long a reply may take beyond twice its work")
      ->capture_default_str()
      ->check(CLI::Range(1, 600000));
  command
      ->add_option("--silence-ms", options->silence_ms,
                   "how long to listen for replies that must not come")
      ->capture_default_str()
      ->check(CLI::Range(0, 600000));
  command->add_flag("--list", options->list, "lists the checks and runs none");
  command->callback([&session, options] { session.end(selftest(session, *options)); });
}

}  // namespace pcmlab::app
