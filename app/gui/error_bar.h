// SPDX-License-Identifier: Apache-2.0
/// \file
/// An error as a quiet bar: what happened, and what to do. Never in the way of what is running.
/// GUI thread.
#pragma once

#include <QFrame>

#include "protocol/error.h"

class QLabel;

namespace pcmlab::gui {

/// Hidden until there is something to say, and when its button or Escape took it away.
class ErrorBar : public QFrame {
 public:
  explicit ErrorBar(QWidget* parent = nullptr);
  void show_error(const Error& error);
  /// What it says; empty when it is hidden.
  QString message() const;

 protected:
  void keyPressEvent(QKeyEvent* event) override;

 private:
  QLabel* what_;
  QLabel* advice_;
};

}  // namespace pcmlab::gui
