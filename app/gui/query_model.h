// SPDX-License-Identifier: Apache-2.0
/// \file
/// The rows that an SQL query gave: read in the reading thread, shown as a table, drawn, exported.
#pragma once

#include <QAbstractTableModel>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "app/gui/plot_content.h"
#include "db/query/results_query.h"

namespace pcmlab::gui {

/// More rows are for `pcmlab query`.
constexpr std::size_t kMostRows = 200'000;

struct QueryRows {
  std::string sql;
  std::map<std::string, std::string> values;  ///< of its :parameters
  std::string database;
  std::vector<std::string> columns;
  std::vector<std::vector<db::Value>> rows;
  bool cut = false;  ///< there were more than kMostRows
  double took_s = 0;
};

/// Errors: those of ResultsQuery; Stopped when somebody asked for it.
Result<QueryRows> run_query(const std::filesystem::path& database, const std::string& sql,
                            const std::map<std::string, std::string>& values,
                            const std::stop_token& stop);

/// NaN for what is no number.
double number_of(const db::Value& value);
std::string text_of(const db::Value& value);

/// y against x, a curve for each value of the column `by`.
PlotContent plot_of(const QueryRows& rows, std::size_t x, std::size_t y,
                    std::optional<std::size_t> by);
/// With the query in its head (#).
std::string to_csv(const QueryRows& rows);
/// The names of the :parameters of a statement, in their order, each once.
std::vector<std::string> parameters_of(const std::string& sql);

class QueryModel : public QAbstractTableModel {
 public:
  void set(std::shared_ptr<const QueryRows> rows);
  const QueryRows* rows() const { return rows_.get(); }

  int rowCount(const QModelIndex& parent = {}) const override;
  int columnCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  QVariant headerData(int section, Qt::Orientation orientation, int role) const override;

 private:
  std::shared_ptr<const QueryRows> rows_;
};

}  // namespace pcmlab::gui
