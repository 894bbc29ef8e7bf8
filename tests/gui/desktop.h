// SPDX-License-Identifier: Apache-2.0
/// \file
/// A window on a database of a short run, and what a person does with it.
#pragma once

#include <gtest/gtest.h>

#include <QString>
#include <filesystem>
#include <functional>
#include <memory>
#include <stdexcept>
#include <vector>

#include "app/gui/main_window.h"
#include "app/gui/plot_content.h"
#include "tests/app/command_line.h"

namespace pcmlab::gui {

/// Lets the window work until it is so. \return false: it was not in a minute.
bool wait_until(const std::function<bool()>& so);

/// Widgets of a class of our own below another: findChild() cannot tell them from their Qt base.
template <class Widget>
std::vector<Widget*> ours(const QWidget& below) {
  std::vector<Widget*> found;
  for (QWidget* each : below.findChildren<QWidget*>()) {
    if (auto* one = dynamic_cast<Widget*>(each)) found.push_back(one);
  }
  return found;
}

/// What the plot of this name on a page shows.
const PlotContent& plot_of(const Page& page, const QString& name);

/// Settings, files and the window of one test.
class Desktop : public testing::Test {
 protected:
  Desktop();
  ~Desktop() override;

  /// A run of tests/app/small_run.h in the database of this test.
  void make_run(const std::string& name);
  std::filesystem::path database() const { return folder_ / "lab.db"; }
  /// Opens the database and waits for its runs.
  void open_window();
  MainWindow& window() { return *window_; }
  /// Shows the page of this title, and waits until it has its data.
  template <class PageType>
  PageType& page(const QString& title) {
    return dynamic_cast<PageType&>(show_page(title));
  }
  template <class Widget>
  Widget& widget(const QString& name) {
    auto* found = window_->findChild<Widget*>(name);
    if (found == nullptr) throw std::runtime_error("no widget " + name.toStdString());
    return *found;
  }
  void settle();

  app::TemporaryFolder folder_;
  std::unique_ptr<MainWindow> window_;

 private:
  Page& show_page(const QString& title);
};

}  // namespace pcmlab::gui
