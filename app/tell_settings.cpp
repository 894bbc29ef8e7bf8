// SPDX-License-Identifier: Apache-2.0
#include "app/tell_settings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <span>
#include <sstream>
#include <system_error>
#include <utility>

#include "app/http.h"
#include "experiments/network/sha256.h"

namespace pcmlab::app {
namespace {

using std::chrono::milliseconds;

constexpr std::array kEvents{TellEvent::Finished,  TellEvent::Failed,    TellEvent::Stopped,
                             TellEvent::Paused,    TellEvent::Continued, TellEvent::Stalled,
                             TellEvent::BoardLost, TellEvent::BoardBack};
constexpr std::string_view kFilePrefix = "file:";
/// Keys of [tell] that hold web addresses.
constexpr std::array kAddresses{"webhook", "heartbeat_url"};

std::vector<std::string> event_names() {
  std::vector<std::string> names;
  for (const TellEvent event : kEvents) names.emplace_back(to_string(event));
  return names;
}

/// $VARIABLE/pcmlab, or ~/DEFAULT/pcmlab; empty without a home.
std::filesystem::path own_folder(const char* variable, const char* otherwise) {
  const char* const set = std::getenv(variable);
  if (set != nullptr && set[0] == '/') return std::filesystem::path(set) / "pcmlab";
  const char* const home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return {};
  return std::filesystem::path(home) / otherwise / "pcmlab";
}

milliseconds time_of(const ParameterValues& values, const std::string& key) {
  return milliseconds(std::llround(1000 * values.real(key)));
}

Result<void> check_settings(const ParameterValues& values, const std::string& source) {
  for (const char* const key : kAddresses) {
    const std::string& address = values.text(key);
    if (address.empty() || address.starts_with(kFilePrefix) || !host_of_url(address).empty()) {
      continue;
    }
    return fail(ErrorCode::BadPlan,
                fmt::format("{}, [tell]: {} = \"{}\" is no web address", source, key, address),
                "write https://HOST/PATH, or file:PATH of a file that has it");
  }
  const std::string& to = values.text("mail_to");
  if (to.find_first_of("\r\n") == std::string::npos) return {};
  return fail(ErrorCode::BadPlan, source + ", [tell]: mail_to has more than one line",
              "write addresses with commas between them");
}

/// The person's own, or defaults.
Result<ParameterValues> own_settings() {
  const std::filesystem::path file = own_tell_file();
  const ParameterTable section = tell_section();
  std::ifstream in(file, std::ios::binary);
  if (file.empty() || !in) return ParameterValues(section.parameters);
  std::ostringstream text;
  text << in.rdbuf();
  PCM_ASSIGN(const auto sections, parse_sections(text.str(), file.string(), {section},
                                                 "mend that line; `pcmlab describe tell` shows "
                                                 "what the file looks like"));
  const ParameterValues& values = sections.at(section.name);
  PCM_TRY(check_settings(values, file.string()));
  return values;
}

Result<void> write_secret(const std::filesystem::path& file, const std::string& text) {
  const auto failed = [&] {
    return fail(ErrorCode::Io,
                fmt::format("keeping a web address in {}: {}", file.string(),
                            std::generic_category().message(errno)),
                "the plan may name a file of yours instead: file:PATH");
  };
  std::error_code ignored;
  std::filesystem::create_directories(file.parent_path(), ignored);
  const int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (descriptor < 0) return failed();
  const bool written =
      ::write(descriptor, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  if (::close(descriptor) != 0 || !written) return failed();
  return {};
}

/// Where a web address is kept: the name says the host and not the rest.
Result<std::filesystem::path> place_of_secret(const std::string& address) {
  const std::filesystem::path folder = own_folder("XDG_STATE_HOME", ".local/state");
  if (folder.empty()) {
    return fail(ErrorCode::Io, "there is no home directory in which to keep a web address",
                "set HOME, or let the plan name a file: file:PATH");
  }
  constexpr std::size_t kDigits = 16;
  const std::string sum = sha256_hex(std::as_bytes(std::span(address))).substr(0, kDigits);
  return folder / "addresses" / fmt::format("{}-{}", host_of_url(address), sum);
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + with.size())) {
    text.replace(at, what.size(), with);
  }
}

}  // namespace

std::string_view to_string(TellEvent event) {
  switch (event) {
    case TellEvent::Finished:
      return "finished";
    case TellEvent::Failed:
      return "failed";
    case TellEvent::Stopped:
      return "stopped";
    case TellEvent::Paused:
      return "paused";
    case TellEvent::Continued:
      return "continued";
    case TellEvent::Stalled:
      return "stalled";
    case TellEvent::BoardLost:
      return "board-lost";
    case TellEvent::BoardBack:
      return "board-back";
    case TellEvent::Test:
      return "test";
  }
  return "";
}

ParameterTable tell_section() {
  return {
      "tell",
      "Who is told what becomes of a run, and how. ~/.config/pcmlab/tell.toml may have the same "
      "section; what a plan does not say counts from there.",
      {texts("on", event_names(), "what is told", event_names()),
       boolean("desktop", false, "a notification on the desktop, by notify-send"),
       text("command", "",
            "a command of the shell; the facts are in PCMLAB_EVENT, PCMLAB_MESSAGE, PCMLAB_RUN, "
            "PCMLAB_NAME, PCMLAB_STATE, PCMLAB_DATABASE, PCMLAB_REPORT and PCMLAB_EXIT_CODE"),
       text("webhook", "",
            "web address that gets the facts as JSON (POST), or file:PATH of a file with it; the "
            "address itself is never stored in the database"),
       text("mail_to", "", "mail addresses, with commas between them; by this machine's sendmail"),
       real("stall_s", "s", 600, 10, 1e6, "a run without progress for so long is stalled"),
       real("board_lost_s", "s", 10, 0, 1e6, "a board that is gone for so long is lost"),
       real("timeout_s", "s", 30, 0.1, 600,
            "how long each way of telling may take; it is ended "
            "then, and the run goes on in any case"),
       text("heartbeat_url", "",
            "web address that is asked for (GET) again and again while the run makes progress or "
            "rightly waits, for a monitor that misses it; or file:PATH as above"),
       text("heartbeat_file", "", "a file that is touched likewise"),
       real("heartbeat_s", "s", 60, 1, 86400, "time between two heartbeats"),
       text("report", "",
            "when the run is over its report is written to this file, or as run-RUN.html into "
            "this folder; what is there is replaced")}};
}

std::filesystem::path own_tell_file() {
  const std::filesystem::path folder = own_folder("XDG_CONFIG_HOME", ".config");
  return folder.empty() ? folder : folder / "tell.toml";
}

Result<TellSettings> tell_settings(const ParameterValues& of_plan) {
  PCM_TRY(check_settings(of_plan, "the plan"));
  PCM_ASSIGN(ParameterValues values, own_settings());
  for (const auto& [name, value] : of_plan.all()) {
    if (of_plan.is_given(name)) values.set(name, value);
  }
  TellSettings settings;
  settings.on = values.texts("on");
  settings.desktop = values.boolean("desktop");
  settings.command = values.text("command");
  settings.webhook = values.text("webhook");
  settings.mail_to = values.text("mail_to");
  settings.heartbeat_url = values.text("heartbeat_url");
  settings.heartbeat_file = values.text("heartbeat_file");
  settings.report = values.text("report");
  settings.stall = time_of(values, "stall_s");
  settings.board_lost = time_of(values, "board_lost_s");
  settings.limit = time_of(values, "timeout_s");
  settings.heartbeat = time_of(values, "heartbeat_s");
  return settings;
}

Result<std::string> web_address(const std::string& setting) {
  if (!setting.starts_with(kFilePrefix)) return setting;
  const std::string file = setting.substr(kFilePrefix.size());
  std::ifstream in(file);
  std::string address;
  if (in >> address) return address;
  return fail(ErrorCode::NotFound, fmt::format("there is no web address in {}", file),
              "write it into that file, or into the plan");
}

Result<Plan> without_addresses(Plan plan, const PlanSchema& schema, const std::string& source) {
  PCM_TRY(check_settings(plan.section("tell"), source));
  std::string text = plan.text;
  bool has_some = false;
  for (const char* const key : kAddresses) {
    const std::string& address = plan.section("tell").text(key);
    if (host_of_url(address).empty()) continue;
    PCM_ASSIGN(const std::filesystem::path place, place_of_secret(address));
    PCM_TRY(write_secret(place, address + "\n"));
    replace_all(text, address, std::string(kFilePrefix) + place.string());
    has_some = true;
  }
  if (!has_some) return plan;
  PCM_ASSIGN(Plan changed, parse_plan(std::move(text), source, schema));
  changed.round = plan.round;
  for (const char* const key : kAddresses) {
    if (host_of_url(changed.section("tell").text(key)).empty()) continue;
    return fail(ErrorCode::BadPlan,
                fmt::format("{}, [tell]: {} has escaped characters, so that it cannot be kept out "
                            "of the database",
                            source, key),
                "write it as it is");
  }
  return changed;
}

Result<Plan> load_plan_to_store(const std::filesystem::path& file, const PlanSchema& schema,
                                std::span<const std::string> assignments) {
  PCM_ASSIGN(Plan plan, load_plan(file, schema, assignments));
  return without_addresses(std::move(plan), schema, file.string());
}

}  // namespace pcmlab::app
