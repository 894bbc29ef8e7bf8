// SPDX-License-Identifier: Apache-2.0
#include "app/gui/runs_model.h"

#include <algorithm>
#include <array>

#include "app/gui/format.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

QString tags_text(const db::RunRow& row) {
  QStringList tags;
  for (const std::string& tag : row.tags) tags << text(tag);
  return tags.join(' ');
}

QString chip_text(const db::RunRow& row) {
  return text(row.sample.empty() ? row.board_serial : row.sample);
}

QColor state_colour(db::RunState state) {
  switch (state) {
    case db::RunState::Running:
      return theme().running;
    case db::RunState::Complete:
      return theme().complete;
    case db::RunState::Failed:
      return theme().failed;
    case db::RunState::Stopped:
    case db::RunState::Interrupted:
      return theme().stopped;
  }
  return theme().text;
}

}  // namespace

QString state_text(const FollowedRun& run) {
  QString state = text(db::to_string(run.row.state));
  if (run.row.state == db::RunState::Running && run.progress && run.progress->total > 0) {
    state += QString(", %1 %").arg(100 * run.progress->done / run.progress->total);
  }
  return state;
}

void RunsModel::set(std::shared_ptr<const Snapshot> snapshot) {
  const auto same = [](const FollowedRun& a, const FollowedRun& b) { return a.row.id == b.row.id; };
  const bool stays = std::equal(snapshot_->runs.begin(), snapshot_->runs.end(),
                                snapshot->runs.begin(), snapshot->runs.end(), same);
  // Runs are added at the top; anything else is another table.
  const auto added =
      static_cast<int>(snapshot->runs.size()) - static_cast<int>(snapshot_->runs.size());
  const bool grows =
      added > 0 && std::equal(snapshot_->runs.begin(), snapshot_->runs.end(),
                              snapshot->runs.begin() + added, snapshot->runs.end(), same);
  if (stays) {
    snapshot_ = std::move(snapshot);
    if (rowCount() > 0) {
      Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, kColumns - 1));
    }
  } else if (grows) {
    beginInsertRows({}, 0, added - 1);
    snapshot_ = std::move(snapshot);
    endInsertRows();
  } else {
    beginResetModel();
    snapshot_ = std::move(snapshot);
    endResetModel();
  }
}

int RunsModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(snapshot_->runs.size());
}

int RunsModel::columnCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : kColumns;
}

QString RunsModel::cell(const FollowedRun& run, int column) const {
  switch (column) {
    case Run:
      return QString::number(run.row.id);
    case State:
      return state_text(run);
    case Name:
      return text(run.row.name);
    case Started:
      return local_time_text(run.row.started_utc);
    case Duration:
      return run.row.ended_utc.empty()
                 ? QString()
                 : duration_text(seconds_between(run.row.started_utc, run.row.ended_utc));
    case Chip:
      return chip_text(run.row);
    case Network:
      return text(run.row.network_name);
    case Operator:
      return text(run.row.operator_name);
    case Tags:
      return tags_text(run.row);
    case Notes:
      return run.notes == 0 ? QString() : QString::number(run.notes);
    default:
      return {};
  }
}

QVariant RunsModel::data(const QModelIndex& index, int role) const {
  if (!index.isValid() || index.row() >= rowCount()) return {};
  const FollowedRun& run = at(index.row());
  const bool is_number = index.column() == Duration || index.column() == Notes;
  switch (role) {
    case Qt::DisplayRole:
      return cell(run, index.column());
    case Qt::UserRole:
      if (index.column() == Run) return QVariant::fromValue<qlonglong>(run.row.id);
      if (index.column() == Started) return text(run.row.started_utc);
      if (index.column() == Notes) return QVariant::fromValue<qlonglong>(run.notes);
      if (index.column() == Duration)
        return seconds_between(run.row.started_utc, run.row.ended_utc);
      return cell(run, index.column());
    case Qt::ToolTipRole:
      return run.row.error.empty() ? cell(run, index.column()) : text(run.row.error);
    case Qt::ForegroundRole:
      return index.column() == State ? QVariant(state_colour(run.row.state)) : QVariant();
    case Qt::TextAlignmentRole:
      return static_cast<int>((is_number ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    default:
      return {};
  }
}

QVariant RunsModel::headerData(int section, Qt::Orientation orientation, int role) const {
  static constexpr std::array<const char*, kColumns> kTitles{
      "Run", "State", "Name", "Started", "Chip", "Network", "Operator", "Tags", "Took", "Notes"};
  if (orientation != Qt::Horizontal) return {};
  if (role == Qt::TextAlignmentRole) {
    const bool right = section == Duration || section == Notes;
    return static_cast<int>((right ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
  }
  if (role != Qt::DisplayRole) return {};
  return QString::fromLatin1(kTitles.at(static_cast<std::size_t>(section)));
}

void RunsFilter::set_words(const QString& words) {
  words_ = words.toLower().split(' ', Qt::SkipEmptyParts);
  invalidateFilter();
}

bool RunsFilter::filterAcceptsRow(int row, const QModelIndex& parent) const {
  struct Place {
    const char* name;
    RunsModel::Column column;
  };
  static constexpr std::array<Place, 6> kPlaces{{{"state:", RunsModel::State},
                                                 {"tag:", RunsModel::Tags},
                                                 {"chip:", RunsModel::Chip},
                                                 {"network:", RunsModel::Network},
                                                 {"operator:", RunsModel::Operator},
                                                 {"name:", RunsModel::Name}}};
  const auto cell = [&](int column) {
    return sourceModel()->index(row, column, parent).data().toString().toLower();
  };
  return std::all_of(words_.begin(), words_.end(), [&](const QString& word) {
    for (const Place& place : kPlaces) {
      if (word.startsWith(QLatin1String(place.name))) {
        return cell(place.column).contains(word.mid(static_cast<int>(qstrlen(place.name))));
      }
    }
    for (int column = 0; column < RunsModel::kColumns; ++column) {
      if (cell(column).contains(word)) return true;
    }
    return false;
  });
}

}  // namespace pcmlab::gui
