// SPDX-License-Identifier: Apache-2.0
/// \file
/// What the simulated board is like: chip, seed, temperature, and the faults it is to have. GUI
/// thread.
#pragma once

#include <QWidget>
#include <functional>
#include <map>
#include <string>
#include <vector>

class QPushButton;

namespace pcmlab::gui {

class PlanForm;

class MockForm : public QWidget {
 public:
  struct Tell {
    std::function<void()> changed;
    std::function<void()> run;  ///< a new run on such a board is wanted
  };
  explicit MockForm(Tell tell);

  /// "SECTION.KEY=VALUE" of all that is not the default, as after `--set`.
  const std::vector<std::string>& assignments() const { return assignments_; }
  /// The form of [mock] or [faults], for tests.
  const PlanForm& form(const std::string& section) const { return *forms_.at(section); }

 private:
  /// Remembers it if it is good, else says at the key what is wrong.
  void edit(const std::string& section, const std::string& key, const std::string& toml);
  void take(const std::string& text);

  Tell tell_;
  std::string text_;  ///< as a plan's
  std::vector<std::string> assignments_;
  std::map<std::string, PlanForm*> forms_;
  QPushButton* defaults_ = nullptr;
};

}  // namespace pcmlab::gui
