// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the runs of a database measured and computed, to compare runs by.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace pcmlab::db {

/// Table by table, a text for each row: without the host's clocks and without batches that were
/// never sent.
using RunResults = std::map<std::string, std::vector<std::string>>;
RunResults results_of(const std::filesystem::path& file);

}  // namespace pcmlab::db
