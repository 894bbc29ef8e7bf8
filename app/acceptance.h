// SPDX-License-Identifier: Apache-2.0
/// \file
/// The twin held against the literature: what is measured on it, through a board and the wire
/// protocol, beside the published figure, with a tolerance. Plain values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "experiments/characterisation/level.h"
#include "experiments/characterisation/noise.h"
#include "experiments/characterisation/published.h"
#include "mock_device/chip_model.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// One figure. It passes when `ours` lies from `low` to `high`.
struct AcceptanceRow {
  std::string group;  ///< rows of a group stand together: "spread after programming"
  std::string what;
  std::string unit;
  double ours = 0;
  std::optional<double> published;
  double low = 0;
  double high = 0;

  bool passed() const { return ours >= low && ours <= high; }
};

/// The curves behind the rows, for figures. x in the unit that its name says.
struct AcceptanceCurves {
  std::vector<double> level_uS, spread_uS, published_spread_uS;
  std::vector<double> drift_mean, drift_spread, published_drift_mean, published_drift_spread;
  std::vector<double> noise_at_uS, noise, published_noise;
  Spectrum spectrum;  ///< by octave
  double noise_exponent = 0;
  std::vector<Moments> accumulation;  ///< after 1, 2 .. pulses
  std::vector<double> amplitude_uA;
  std::vector<Moments> programming;
  std::vector<double> retention_s, retention, published_retention;
};

struct Acceptance {
  mock::ChipModel chip;
  std::uint64_t seed = 0;
  std::size_t devices_per_level = 0;
  std::vector<AcceptanceRow> rows;
  AcceptanceCurves curves;

  std::size_t failed() const;
};

struct AcceptanceSettings {
  std::uint64_t seed = 1;
  std::size_t devices_per_level = 10000;
  unsigned threads = 0;
};

/// Measures everything that is published of the chip.
/// \param tell  gets what is being measured.
/// Errors: those of the board; NotFound when nothing is published of such a chip.
Result<Acceptance> measure_acceptance(const mock::ChipModel& chip, const PublishedChip& published,
                                      const AcceptanceSettings& settings,
                                      const std::function<void(const std::string&)>& tell);

/// All curves on one page, 1920 x 1000 px. Errors: those of run_gnuplot() and write_picture().
Result<void> write_acceptance_plot(const Acceptance& acceptance, const PublishedChip& published,
                                   const std::filesystem::path& file);

}  // namespace pcmlab::app
