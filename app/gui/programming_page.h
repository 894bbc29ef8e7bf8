// SPDX-License-Identifier: Apache-2.0
/// \file
/// How the chosen run programs its devices, live and afterwards. GUI thread.
#pragma once

#include <QElapsedTimer>
#include <QTimer>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "app/gui/page.h"
#include "app/gui/programming_data.h"

class QComboBox;
class QLabel;
class QLineEdit;
class QTableWidget;

namespace pcmlab::gui {

class PlotView;
class RunControls;

class ProgrammingPage : public Page {
 public:
  explicit ProgrammingPage(Lab& lab);
  void refresh() override;
  void retheme() override;
  bool is_settled() const override;

 private:
  QWidget* make_figures();
  void read();
  void show_data();
  void show_figures();
  void show_worst();
  /// Those that are written down, those chosen in the list, or the first of it.
  std::vector<std::uint32_t> traced_devices() const;
  void read_amplitudes();

  std::optional<ProgrammingData> data_;
  std::optional<db::RowId> chosen_;  ///< programming; none: the newest
  QElapsedTimer since_read_;
  QTimer again_;  ///< for a change that came too soon after the last

  RunControls* controls_;
  QComboBox* programming_;
  PlotView* convergence_;
  PlotView* errors_;
  QTableWidget* worst_;
  QLabel* worst_title_;
  QLineEdit* devices_;
  PlotView* amplitudes_;
  QObject amplitude_asker_;
  QElapsedTimer since_amplitudes_;
  std::vector<std::pair<QLabel*, QLabel*>> figures_;  ///< number and name
};

}  // namespace pcmlab::gui
