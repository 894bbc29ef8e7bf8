// SPDX-License-Identifier: Apache-2.0
/// \file
/// [tell] of a plan and of a person: of what people are told, and how. Functions without state.
#pragma once

#include <chrono>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "experiments/engine/plan.h"
#include "protocol/error.h"

namespace pcmlab::app {

enum class TellEvent {
  Finished,
  Failed,
  Stopped,
  Paused,
  Continued,
  Stalled,
  BoardLost,
  BoardBack,
  Test
};
/// "finished", "board-lost", ...
std::string_view to_string(TellEvent event);

struct TellSettings {
  std::vector<std::string> on;  ///< names of the events that are told
  bool desktop = false;
  std::string command;  ///< of the shell; empty: none
  std::string webhook;  ///< a URL, or "file:PATH" of a file with one; empty: none
  std::string mail_to;  ///< empty: nobody
  std::string heartbeat_url;
  std::filesystem::path heartbeat_file;
  std::filesystem::path report;
  std::chrono::milliseconds stall{600'000};      ///< without progress
  std::chrono::milliseconds limit{30'000};       ///< for each way of telling
  std::chrono::milliseconds heartbeat{60'000};   ///< between two
  std::chrono::milliseconds board_lost{10'000};  ///< gone for so long before it is told
};

/// [tell] of a plan, and of a person's own file.
ParameterTable tell_section();

/// ~/.config/pcmlab/tell.toml, or under $XDG_CONFIG_HOME.
std::filesystem::path own_tell_file();

/// What the plan says, and where it says nothing what the person's own file does, if it is there.
/// Errors: BadPlan, naming file and key.
Result<TellSettings> tell_settings(const ParameterValues& of_plan);

/// load_plan() for a plan that is going to be stored. Web addresses in [tell] are often secrets:
/// each is put into a file that only its owner can read, in ~/.local/state/pcmlab or under
/// $XDG_STATE_HOME, and the plan's text names that in its place. Errors: also Io.
Result<Plan> load_plan_to_store(const std::filesystem::path& file, const PlanSchema& schema,
                                std::span<const std::string> assignments);
Result<Plan> without_addresses(Plan plan, const PlanSchema& schema, const std::string& source);

/// The web address that a setting names: the setting itself, or what is in its file.
/// Errors: NotFound.
Result<std::string> web_address(const std::string& setting);

}  // namespace pcmlab::app
