// SPDX-License-Identifier: Apache-2.0
/// \file
/// The runs of a database as rows of a table, sorted and filtered. GUI thread.
#pragma once

#include <QAbstractTableModel>
#include <QSortFilterProxyModel>
#include <memory>

#include "app/gui/follower.h"

namespace pcmlab::gui {

class RunsModel : public QAbstractTableModel {
 public:
  enum Column {
    Run,
    State,
    Name,
    Started,
    Chip,
    Network,
    Operator,
    Tags,
    Duration,
    Notes,
    kColumns
  };

  /// Keeps the rows that stay where they are, so that selections and scrolling do.
  void set(std::shared_ptr<const Snapshot> snapshot);
  const FollowedRun& at(int row) const { return snapshot_->runs[static_cast<std::size_t>(row)]; }

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  /// Qt::UserRole: what it is sorted by.
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  QString cell(const FollowedRun& run, int column) const;
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<Snapshot>();
};

/// Words that a run must all have somewhere; "state:failed", "tag:paper", "chip:", "network:" and
/// "operator:" look in one place.
class RunsFilter : public QSortFilterProxyModel {
 public:
  void set_words(const QString& words);

 protected:
  bool filterAcceptsRow(int row, const QModelIndex& parent) const override;

 private:
  QStringList words_;
};

/// "running, 43 %", "complete".
QString state_text(const FollowedRun& run);

}  // namespace pcmlab::gui
