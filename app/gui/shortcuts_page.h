// SPDX-License-Identifier: Apache-2.0
/// \file
/// Every key of the window, from the actions themselves. GUI thread.
#pragma once

#include "app/gui/page.h"

class QLabel;

namespace pcmlab::gui {

class ShortcutsPage : public Page {
 public:
  explicit ShortcutsPage(Lab& lab);
  void refresh() override;
  void retheme() override { refresh(); }

 private:
  QLabel* keys_;
};

}  // namespace pcmlab::gui
