// SPDX-License-Identifier: Apache-2.0
/// \file
/// Where gaps and reads to come lie on the axis of time after programming. For the reading thread.
#pragma once

#include <QString>
#include <optional>
#include <vector>

#include "app/gui/plot_content.h"
#include "db/run_store.h"

namespace pcmlab::gui {

/// Gaps after the end of a programming, s after it. A gap is kept in UTC; what was measured before
/// and after it says how far the board's time went meanwhile. If that did not pass with UTC (the
/// board has virtual time, or the clock was set), the gap is a line at what was measured before.
/// \param fillings  of the network, in their order. Errors: those of the store.
Result<std::vector<Stretch>> gaps_after_programming(
    db::RunStore& store, db::RowId run, const std::vector<db::ProgrammingRow>& fillings);

/// Time points of the retention step at work, or interrupted, that were not read yet, s after
/// programming. Errors: those of the store; BadFile (parameters that are no JSON).
Result<std::vector<double>> next_reads_s(db::RunStore& store, db::RowId run);

/// "Next read at 4.7 h, in 12:03", or what the runner is doing instead.
QString next_read_text(double next_s, const std::optional<db::ProgressRow>& progress);

}  // namespace pcmlab::gui
