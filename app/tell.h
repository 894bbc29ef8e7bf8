// SPDX-License-Identifier: Apache-2.0
/// \file
/// The ways in which people, and programs that watch, are told of a run. Each is ended when its
/// time is over. Functions without state.
#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/tell_settings.h"
#include "db/records.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// Which run a message is about.
struct TellFacts {
  db::RowId run = 0;  ///< 0: none yet
  std::string name;
  std::filesystem::path database;
  std::filesystem::path report;  ///< empty: none was made
};

struct TellMessage {
  TellEvent event{};
  std::string text;
  std::optional<int> exit_code = {};  ///< of a run that is over
};

struct Delivery {
  std::string by;  ///< "mail to ada@example.org"
  Result<void> result;
};

/// Tells it in all ways that are set, one after another, whatever `on` says.
std::vector<Delivery> deliver(const TellSettings& settings, const TellFacts& facts,
                              const TellMessage& message, const std::stop_token& stop = {});
/// One sign of life for programs that watch.
std::vector<Delivery> beat(const TellSettings& settings, const std::stop_token& stop = {});

}  // namespace pcmlab::app
