// SPDX-License-Identifier: Apache-2.0
/// \file
/// Several runs in one plot: what became of their conductances and accuracies. GUI thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "app/gui/accuracy_data.h"
#include "app/gui/page.h"
#include "app/gui/retention_data.h"

class QComboBox;
class QLabel;
class QListWidget;

namespace pcmlab::gui {

class PlotView;

/// What is compared of a run.
struct ComparedRun {
  RetentionData retention;
  AccuracyData accuracy;
};
using ComparedRuns = std::map<db::RowId, std::shared_ptr<const ComparedRun>>;

/// \param condition  "none", "gdc", "adabs" and so on: one curve a run that has it.
PlotContent compared_accuracies(const ComparedRuns& runs, const std::string& condition);
/// \param level  of targets; none: the sum of all devices, of that of the first sweep.
PlotContent compared_conductances(const ComparedRuns& runs, std::optional<std::size_t> level);

class ComparePage : public Page {
 public:
  explicit ComparePage(Lab& lab);
  void refresh() override;
  void retheme() override;
  void show_example() override;
  bool is_settled() const override;

 private:
  void fill_runs();
  void read();
  void show_data();
  void fill_choices();

  std::set<db::RowId> chosen_;
  ComparedRuns known_;
  bool filling_ = false;

  QListWidget* runs_;
  QLabel* hint_;
  QComboBox* condition_;
  QComboBox* level_;
  PlotView* accuracies_;
  PlotView* conductances_;
};

}  // namespace pcmlab::gui
