// SPDX-License-Identifier: Apache-2.0
/// \file
/// A confusion matrix: shares of a class as colours, numbers of images as numbers. GUI thread.
#pragma once

#include <QWidget>

#include "db/records.h"

namespace pcmlab::gui {

class ConfusionView : public QWidget {
 public:
  explicit ConfusionView(QWidget* parent = nullptr);
  /// No classes: nothing is known.
  void set(db::ConfusionMatrix matrix);
  QSize sizeHint() const override { return {320, 320}; }

 protected:
  void paintEvent(QPaintEvent* event) override;
  bool event(QEvent* event) override;  ///< tells the cell under the pointer

 private:
  QRectF cell(int label, int taken_for) const;
  db::ConfusionMatrix matrix_;
};

}  // namespace pcmlab::gui
