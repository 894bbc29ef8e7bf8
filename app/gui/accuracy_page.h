// SPDX-License-Identifier: Apache-2.0
/// \file
/// The accuracy of the chosen run against time, also while it is counted. GUI thread.
#pragma once

#include <optional>

#include "app/gui/accuracy_data.h"
#include "app/gui/page.h"

class QCheckBox;
class QComboBox;

namespace pcmlab::gui {

class ConfusionView;
class PlotView;

class AccuracyPage : public Page {
 public:
  explicit AccuracyPage(Lab& lab);
  void refresh() override;
  void retheme() override;
  bool is_settled() const override;

 private:
  void show_data();
  void show_confusion();

  std::optional<AccuracyData> data_;
  PlotView* accuracy_;
  PlotView* layers_;
  ConfusionView* confusion_;
  QComboBox* pass_;
  QCheckBox* close_up_;
};

}  // namespace pcmlab::gui
