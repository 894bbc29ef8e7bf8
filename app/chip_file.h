// SPDX-License-Identifier: Apache-2.0
/// \file
/// Chip files: what kind of chip the mock is of, as TOML. The format stands in
/// mock_device/README.md. Free functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "experiments/engine/parameter.h"
#include "mock_device/chip_model.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// The model's constants as parameters, with the defaults of a chip.
std::vector<Parameter> model_parameters(const mock::PcmParameters& defaults);
/// Those of `values` that were given, over the chip's own.
void override_parameters(const ParameterValues& values, mock::PcmParameters& parameters);

/// A built-in chip by its name, or else a chip file by its path.
/// Errors: NotFound (naming the built-in ones), BadPlan and BadFile (naming line or table and
/// value).
Result<mock::ChipModel> load_chip(const std::string& name_or_file);

Result<mock::ChipModel> parse_chip(const std::string& text, const std::string& source);

/// A chip file that says all of a chip, defaults included.
std::string chip_file_text(const mock::ChipModel& chip);

}  // namespace pcmlab::app
