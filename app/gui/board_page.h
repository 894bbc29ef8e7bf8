// SPDX-License-Identifier: Apache-2.0
/// \file
/// The boards that are there, what they say of themselves, their self-test, and help when one
/// cannot be used. GUI thread; boards are asked by child processes.
#pragma once

#include <QTimer>
#include <nlohmann/json.hpp>
#include <vector>

#include "app/gui/child_answer.h"
#include "app/gui/page.h"

class QCheckBox;
class QLabel;
class QListWidget;
class QProgressBar;
class QPushButton;
class QTableWidget;
class QTabWidget;

namespace pcmlab::gui {

class MockForm;

class BoardPage : public Page {
 public:
  explicit BoardPage(Lab& lab);
  void refresh() override;
  void retheme() override;
  void show_example() override;
  bool needs_database() const override { return false; }
  bool is_settled() const override;

 private:
  struct Shown {
    QString kind, serial, where, facts, problem;
  };
  QWidget* make_boards();
  QWidget* make_results();
  /// The mock is another one now.
  void mock_changed();
  void ask_boards();
  void ask_machine();
  void self_test();
  void show_board();
  void show_boards();
  void show_self_test();
  void show_machine();
  void end_self_test(const QString& said);
  const Shown* board() const;

  // What was last told, to be shown in other colours.
  nlohmann::json told_boards_, told_machine_, told_test_;
  std::vector<Shown> known_;
  ChildAnswer boards_, machine_, test_;
  QTimer again_;  ///< for boards that come and go
  bool asked_ = false;

  QListWidget* list_ = nullptr;
  QLabel* facts_ = nullptr;
  QCheckBox* pulses_ = nullptr;
  QPushButton* start_ = nullptr;
  QPushButton* stop_ = nullptr;
  QLabel* said_ = nullptr;
  QProgressBar* busy_ = nullptr;
  QTabWidget* tabs_ = nullptr;
  QTableWidget* checks_ = nullptr;
  QTableWidget* findings_ = nullptr;
  MockForm* mock_ = nullptr;
};

}  // namespace pcmlab::gui
