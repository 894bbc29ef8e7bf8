// SPDX-License-Identifier: Apache-2.0
/// \file
/// What kind of chip the twin is of: the model's constants, and where devices have been measured,
/// tables in place of its formulas. Plain values.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "mock_device/pcm_parameters.h"
#include "protocol/device_address.h"
#include "protocol/error.h"

namespace pcmlab::mock {

/// A measured dependence, linear between its points and constant beyond them. Empty: not measured.
struct MeasuredTable {
  std::vector<double> at;      ///< strictly rising, positive
  std::vector<double> mean;    ///< as many
  std::vector<double> spread;  ///< standard deviation, as many; empty where a table has none

  bool empty() const { return at.empty(); }
  bool operator==(const MeasuredTable&) const = default;
};

struct ChipModel {
  std::string name;
  std::string summary;  ///< one sentence for a list
  ArrayShape shape{512, 2048};
  double g_max_uS = 25.0;  ///< largest conductance that weights are mapped to on this chip
  PcmParameters parameters;

  // All against conductance in uS, but for melt.
  MeasuredTable set_step;  ///< change by one crystallising step long after a RESET, uS
  MeasuredTable melt;      ///< conductance after a melting pulse against its amplitude in uA, uS
  MeasuredTable drift;     ///< drift exponent
  MeasuredTable noise;     ///< Q_s, relative; no spread

  bool operator==(const ChipModel&) const = default;
};

/// Errors: BadFile, saying which table and value: lengths that differ, not rising, not finite,
/// negative spread, a melt table that rises, less than two points.
Result<void> check(const ChipModel& model);

/// The chips that are built in. The first is the default: the chip of Joshi 2020.
std::span<const ChipModel> chip_presets();
const ChipModel* find_preset(std::string_view name);

}  // namespace pcmlab::mock
