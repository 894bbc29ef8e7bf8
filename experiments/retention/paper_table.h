// SPDX-License-Identifier: Apache-2.0
/// \file
/// The paper's accuracies (V. Joshi et al., Nature Communications 11, 2473, 2020: ResNet-32 on
/// CIFAR-10) as rows that runs of several chips are held beside. Pure values.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "experiments/retention/run_summary.h"

namespace pcmlab {

/// One row: an accuracy's distance below software, or how far one condition is above another.
struct PaperRow {
  std::string name;  ///< "1 day, GDC"
  double at_s = 0;   ///< scheduled time after programming; 0 = the first time point
  std::string condition;
  std::string above;     ///< the other condition; empty = the distance below software
  double paper = 0;      ///< in points of accuracy
  std::string how_much;  ///< "at most", "about"
};

std::vector<PaperRow> paper_rows();

/// A row's figure in a run, in points. None if the run has no such time point (within 5 %) or
/// condition.
std::optional<double> figure_of(const PaperRow& row, const RunSummary& run);

/// A row over several runs.
struct PaperFigures {
  PaperRow row;
  std::vector<double> points;  ///< of the runs that have it
  double mean = 0;
  std::optional<double> deviation;  ///< of a sample; none of one run
};

std::vector<PaperFigures> paper_table(std::span<const RunSummary> runs);

}  // namespace pcmlab
