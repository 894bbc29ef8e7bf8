// SPDX-License-Identifier: Apache-2.0
/// \file
/// The array of the chosen run, and the history of one of its devices. GUI thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "app/gui/array_map.h"
#include "app/gui/page.h"
#include "app/gui/plot_content.h"

class QCheckBox;
class QComboBox;
class QDoubleSpinBox;
class QLabel;
class QPushButton;
class QSpinBox;

namespace pcmlab::gui {

class ArrayView;
class PlotView;

/// What was done to a device and read from it, from its first pulse on.
struct DeviceHistory {
  PlotContent programming;  ///< verified conductance by iteration
  PlotContent reads;        ///< conductance by time
};
/// Errors: those of ResultsQuery.
Result<DeviceHistory> read_device_history(const std::filesystem::path& database,
                                          const db::RunRow& run, db::RowId programming,
                                          std::int64_t device, const std::stop_token& stop);

class ArrayPage : public Page {
 public:
  explicit ArrayPage(Lab& lab);
  void refresh() override;
  void retheme() override;
  void show_example() override;
  /// What is shown; null: nothing.
  const std::shared_ptr<const ArrayMap>& map() const { return map_; }
  bool is_settled() const override;

 private:
  QWidget* make_hand();
  void begin_by_hand(int pulses);
  void look_by_hand();
  void read_history();
  void show_choices();
  void fill_sweeps();
  void read_map();
  void point_at(std::optional<std::size_t> place);
  void choose(std::size_t place);
  void choose_region(const QRect& region);
  const ArrayChoices::Programming* programming() const;
  QString told(std::size_t place) const;

  std::optional<ArrayChoices> choices_;
  std::shared_ptr<const ArrayMap> map_;
  std::optional<db::RowId> map_programming_;
  QObject map_asker_, history_asker_;  ///< so that questions do not replace each other
  QComboBox* quantity_;
  QComboBox* programming_;
  QComboBox* sweep_;
  QLabel* pointed_;
  QCheckBox* layers_;
  QCheckBox* means_;
  QPushButton* copy_sql_;
  std::string sql_;                    ///< of the region, or of the device
  std::optional<std::size_t> chosen_;  ///< a device of the map
  std::optional<db::RowId> by_hand_;   ///< a run whose end is not known yet
  QObject hand_asker_;
  QDoubleSpinBox* amplitude_;
  QSpinBox* width_;
  QPushButton* read_;
  QPushButton* pulse_;
  ArrayView* view_;
  PlotView* programmed_;
  PlotView* reads_;
};

}  // namespace pcmlab::gui
