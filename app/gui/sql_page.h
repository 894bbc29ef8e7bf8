// SPDX-License-Identifier: Apache-2.0
/// \file
/// SQL on the results, with the named questions, as a table or a plot. GUI thread; queries run in a
/// reading thread of their own, so that a long one keeps no page waiting.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "app/gui/page.h"
#include "app/gui/query_model.h"

class QComboBox;
class QHBoxLayout;
class QLabel;
class QLineEdit;
class QListWidget;
class QPlainTextEdit;
class QPushButton;
class QTableView;
class QTabWidget;

namespace pcmlab::gui {

class PlotView;

class SqlPage : public Page {
 public:
  explicit SqlPage(Lab& lab);
  void refresh() override;
  void retheme() override;
  void show_example() override;
  bool is_settled() const override;

 private:
  QWidget* make_questions();
  QWidget* make_editor();
  QWidget* make_results();
  void fill_questions();
  void fill_parameters();
  void run();
  void stop();
  void show_rows(const std::shared_ptr<const QueryRows>& rows);
  void show_plot();
  void ask_export();
  void remember(const QString& sql);

  ReadingThread queries_;
  std::filesystem::path database_;  ///< that queries_ has open
  QueryModel model_;

  QListWidget* questions_ = nullptr;
  QPlainTextEdit* sql_ = nullptr;
  QHBoxLayout* parameters_ = nullptr;
  std::map<std::string, QLineEdit*> values_;
  QPushButton* run_ = nullptr;
  QPushButton* stop_ = nullptr;
  QPushButton* export_ = nullptr;
  QLabel* status_ = nullptr;
  QTabWidget* tabs_ = nullptr;
  QTableView* table_ = nullptr;
  QComboBox* x_ = nullptr;
  QComboBox* y_ = nullptr;
  QComboBox* by_ = nullptr;
  PlotView* plot_ = nullptr;
};

}  // namespace pcmlab::gui
