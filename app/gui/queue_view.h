// SPDX-License-Identifier: Apache-2.0
/// \file
/// The queue as a list: what waits, when it begins and what it takes; order, adding, taking out,
/// and the process that works it off. GUI thread; writes are made in the reading thread over a
/// connection of the moment, plans are checked and predicted by child processes.
#pragma once

#include <QStringList>
#include <QWidget>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "app/gui/child_answer.h"
#include "app/gui/night_data.h"
#include "app/gui/page.h"

class QAction;
class QLabel;
class QLineEdit;
class QPushButton;
class QTableWidget;
class QTemporaryDir;

namespace pcmlab::gui {

class QueueView : public QWidget {
 public:
  explicit QueueView(Lab& lab);
  ~QueueView() override;

  void set(std::vector<QueueLine> queue, std::optional<QueueProcess> process);
  /// Begins and ends are counted from now again.
  void tick();
  void retheme() { show(); }
  /// Plans into the queue, as `pcmlab queue add` does from that folder.
  void add(const QStringList& plans, const std::filesystem::path& folder);
  bool is_settled() const;

 private:
  /// What `pcmlab check` says of a plan.
  struct Forecast {
    std::optional<double> takes_s;
    QString problem;
  };
  using PlanKey = std::pair<std::string, std::string>;  ///< text and folder

  QWidget* make_head();
  QWidget* make_foot();
  QAction* add_key(const char* keys, std::function<void()> what);
  void show();
  void show_buttons();
  void show_begins();
  void predict();
  void ask_for_plans();
  void move(db::QueueMove where);
  void take_out();
  void put_back();
  void start();
  void end();
  void write(std::function<Result<void>(db::RunStore&)> what, std::function<void()> then = {});
  const QueueLine* chosen() const;
  const Forecast* forecast(const QueueLine& line) const;

  Lab& lab_;
  std::vector<QueueLine> queue_;
  std::optional<QueueProcess> process_;
  std::map<PlanKey, Forecast> forecasts_;
  std::unique_ptr<QTemporaryDir> scratch_;
  ChildAnswer check_, add_;
  int writing_ = 0;
  /// What was taken out last, and the entry before which it was.
  struct TakenOut {
    db::QueueStart start;
    std::optional<db::RowId> before;
  };
  std::optional<TakenOut> taken_out_;

  QPushButton* add_button_ = nullptr;
  QLineEdit* not_before_ = nullptr;
  QLabel* worker_ = nullptr;
  QPushButton* start_ = nullptr;
  QPushButton* end_ = nullptr;
  QTableWidget* table_ = nullptr;
  QPushButton* up_ = nullptr;
  QPushButton* down_ = nullptr;
  QPushButton* take_out_ = nullptr;
  QLabel* said_ = nullptr;
  QPushButton* put_back_ = nullptr;
};

}  // namespace pcmlab::gui
