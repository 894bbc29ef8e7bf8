// SPDX-License-Identifier: Apache-2.0
/// \file
/// How the conductances of the chosen run go with time. GUI thread.
#pragma once

#include <QTimer>
#include <memory>

#include "app/gui/page.h"
#include "app/gui/retention_data.h"

class QCheckBox;
class QComboBox;
class QLabel;

namespace pcmlab::gui {

class PlotView;

class RetentionPage : public Page {
 public:
  explicit RetentionPage(Lab& lab);
  void refresh() override;
  void retheme() override;
  bool is_settled() const override;

 private:
  void show_data();
  void show_distribution();
  void show_next();

  std::shared_ptr<const RetentionData> data_;
  PlotView* drift_;
  PlotView* distribution_;
  PlotView* exponents_;
  PlotView* sum_;
  QComboBox* sweep_;
  QCheckBox* devices_;
  QLabel* next_;
  QTimer ticks_;  ///< of the countdown
};

}  // namespace pcmlab::gui
