// SPDX-License-Identifier: Apache-2.0
/// \file
/// A plan as form and text, in step both ways; what it will take; its start as a process of its
/// own. GUI thread.
#pragma once

#include <QProcess>
#include <QTimer>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/gui/page.h"
#include "app/gui/plan_text.h"
#include "experiments/engine/plan.h"

class QComboBox;
class QLabel;
class QListWidget;
class QPlainTextEdit;
class QPushButton;
class QScrollArea;
class QTemporaryDir;

namespace pcmlab::gui {

class PlanForm;

/// Keeps the text as a draft in QSettings, so that nothing written is ever lost.
class NewRunPage : public Page {
 public:
  explicit NewRunPage(Lab& lab);
  ~NewRunPage() override;
  void refresh() override;
  void retheme() override;
  void show_example() override;
  bool is_settled() const override;
  bool needs_database() const override { return false; }

  /// Errors: NotFound, Io.
  Result<void> open_plan(const std::filesystem::path& file);
  void set_plan(const std::string& text, const std::filesystem::path& folder);
  /// "SECTION.KEY=VALUE", each as if a person had entered it.
  void set_keys(const std::vector<std::string>& assignments);
  std::string plan_text() const;
  void start();
  void add_to_queue();
  void ask_save();

 private:
  QWidget* make_parts();
  QWidget* make_editor();
  QWidget* make_foot();
  void fill_templates();
  void take_template(int index);

  void text_changed();
  void check_text();
  /// Errors: BadPlan.
  Result<void> read_plan(const std::string& text);
  bool can_start() const;
  void fill_parts();
  void show_part(const PlanPart& part);
  void edit(const std::string& key, const std::string& toml);
  /// As if a person had changed it: can be undone, and the cursor stays.
  void replace_text(const std::string& changed);
  void show_error(const Error* error);
  void add_step();
  void remove_step();
  void predict();
  void show_prediction(const QByteArray& json);

  PlanSchema schema_;
  /// Of the text, while that is a good plan; of one with loops, its first run.
  std::optional<Plan> plan_;
  std::size_t runs_ = 0;  ///< that the text stands for
  std::optional<ParameterValues> values(const PlanPart& part) const;
  PlanPart part_{"run", 0};  ///< whose form is shown
  std::string part_experiment_;
  std::filesystem::path folder_;  ///< against which a plan's files are named
  std::unique_ptr<QTemporaryDir> scratch_;
  bool following_ = false;

  QTimer soon_;     ///< after the last key
  QTimer predict_;  ///< a little later
  QProcess checking_;
  std::string checked_text_;

  QComboBox* begin_with_ = nullptr;
  QListWidget* parts_ = nullptr;
  QComboBox* experiments_ = nullptr;
  QPushButton* remove_ = nullptr;
  QScrollArea* form_area_ = nullptr;
  PlanForm* form_ = nullptr;
  QLabel* part_title_ = nullptr;
  QPlainTextEdit* text_ = nullptr;
  QLabel* verdict_ = nullptr;
  QLabel* prediction_ = nullptr;
  QPushButton* start_ = nullptr;
  QPushButton* queue_ = nullptr;
};

}  // namespace pcmlab::gui
