// SPDX-License-Identifier: Apache-2.0
/// \file
/// One section or step of a plan as a form, made from its parameter table: units, ranges, defaults,
/// help. GUI thread.
#pragma once

#include <QWidget>
#include <functional>
#include <map>
#include <string>

#include "experiments/engine/plan.h"

class QLabel;
class QToolButton;

namespace pcmlab::gui {

class PlanForm : public QWidget {
 public:
  /// \param changed  a value as TOML, when a person has entered it; empty: the key is to be the
  /// default again, and not to be given.
  PlanForm(const ParameterTable& table,
           std::function<void(const std::string& key, const std::string& toml)> changed);

  /// Fields that a person is writing in stay as they are.
  void show_values(const ParameterValues& values);
  /// At the key; all others lose theirs. An empty key: none has one.
  void show_error(const std::string& key, const QString& error);
  /// The field of a key, for tests; null: there is none.
  QWidget* field(const std::string& key) const;

 private:
  struct Row {
    const Parameter* parameter = nullptr;
    QWidget* field = nullptr;
    QLabel* error = nullptr;
    QLabel* name = nullptr;
    QToolButton* take_out = nullptr;
  };
  QWidget* make_field(const Parameter& parameter);

  ParameterTable table_;
  std::function<void(const std::string&, const std::string&)> changed_;
  std::map<std::string, Row> rows_;
};

}  // namespace pcmlab::gui
