// SPDX-License-Identifier: Apache-2.0
/// \file
/// The retention picture: accuracy and conductance drift against time. Plain values in, a file out;
/// drawn by a gnuplot process of its own. Free functions, callable from any thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "protocol/error.h"

namespace pcmlab::app {

/// Accuracy under one compensation. All vectors have one length.
struct AccuracySeries {
  std::string label;            ///< e.g. "Global drift compensation"
  std::vector<double> after_s;  ///< since programming
  std::vector<double> percent;
  std::vector<double> deviation_percent;  ///< half the error bar; 0: none
};

/// The devices of one conductance class. All vectors have one length.
struct DriftBand {
  std::string label;            ///< e.g. "20–25 µS"
  std::vector<double> after_s;  ///< since programming
  std::vector<double> median_uS;
  std::vector<double> low_uS;      ///< 10th percentile
  std::vector<double> high_uS;     ///< 90th percentile
  std::optional<double> exponent;  ///< drift exponent ν, written beside the band
};

struct RetentionPlot {
  std::string title;
  std::string subtitle;  ///< run, network, chip, date
  std::vector<AccuracySeries> accuracy;
  std::optional<double> software_percent;
  std::vector<DriftBand> drift;  ///< from the lowest class to the highest
};

/// Draws 1600 x 700 px as PNG or SVG, or 10 inches as PDF, by the file's extension. Points that an
/// axis cannot show (not finite, time or conductance not above zero) are left out; a panel without
/// any is left out. Texts are taken literally and cut where there is no room; control characters
/// become spaces. Errors: NotFound (no gnuplot, or nothing to draw), Unsupported (extension), Io,
/// DiskFull, Internal (vectors of different lengths; gnuplot failed, with what it said). An
/// existing file is replaced only by a finished picture.
Result<void> write_plot(const RetentionPlot& plot, const std::filesystem::path& file);

}  // namespace pcmlab::app
