// SPDX-License-Identifier: Apache-2.0
#include "app/gui/run_times.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "app/gui/format.h"
#include "experiments/retention/read_schedule.h"

namespace pcmlab::gui {
namespace {

/// Something measured, by two clocks.
struct Anchor {
  double after_s = 0;  ///< board time after the filling's programming
  std::string utc;
};

Result<std::vector<Anchor>> anchors_of(db::RunStore& store, const db::ProgrammingRow& filling) {
  std::vector<Anchor> anchors;
  PCM_ASSIGN(auto rows,
             store.database().prepare(
                 "SELECT last_tick_ns, utc FROM (SELECT outcome.last_tick_ns, outcome.utc"
                 " FROM pulse_batch_outcome AS outcome JOIN pulse_batch"
                 " ON pulse_batch.id = pulse_batch_id WHERE programming_id = ?1"
                 " ORDER BY batch DESC LIMIT 1) UNION ALL "
                 "SELECT sweep_block.last_tick_ns, utc FROM sweep_block"
                 " JOIN sweep ON sweep.id = sweep_id WHERE programming_id = ?1 ORDER BY 1"));
  rows.bind(filling.id);
  while (true) {
    PCM_ASSIGN(const bool more, rows.step());
    if (!more) return anchors;
    anchors.push_back(
        {static_cast<double>(rows.integer(0) - filling.end_tick_ns) * 1e-9, rows.text(1)});
  }
}

std::string name_of(db::GapCause cause) {
  switch (cause) {
    case db::GapCause::Process:
      return "no process";
    case db::GapCause::Pause:
      return "pause";
    case db::GapCause::Board:
      return "board gone";
    case db::GapCause::Suspend:
      return "computer asleep";
    case db::GapCause::ClockStep:
      return "clock set";
  }
  return "gap";
}

/// Whether the board's time passed with UTC between the two.
bool passed_alike(const Anchor& before, const Anchor& after) {
  constexpr double kShare = 0.05, kLeast_s = 2;
  const double utc_s = seconds_between(before.utc, after.utc);
  return std::abs(after.after_s - before.after_s - utc_s) <= kLeast_s + kShare * utc_s;
}

std::optional<Stretch> stretch_of(const db::GapRow& gap, const std::vector<Anchor>& anchors) {
  // UTC texts sort as their times do.
  const auto later = std::find_if(anchors.begin(), anchors.end(),
                                  [&](const Anchor& anchor) { return anchor.utc > gap.begin_utc; });
  if (later == anchors.begin()) return std::nullopt;
  const Anchor& before = *(later - 1);
  const auto after = std::find_if(later, anchors.end(),
                                  [&](const Anchor& anchor) { return anchor.utc >= gap.end_utc; });
  Stretch stretch{before.after_s, before.after_s, name_of(gap.cause)};
  const bool alike =
      after == anchors.end() ? passed_alike(anchors.front(), before) : passed_alike(before, *after);
  if (alike && gap.cause != db::GapCause::ClockStep) {
    stretch.from += seconds_between(before.utc, gap.begin_utc);
    stretch.to = stretch.from + seconds_between(gap.begin_utc, gap.end_utc);
  }
  // A logarithmic axis has no zero.
  constexpr double kLeast_s = 1e-3;
  if (stretch.to < kLeast_s && stretch.from < 0) return std::nullopt;
  stretch.from = std::max(stretch.from, kLeast_s);
  stretch.to = std::max(stretch.to, stretch.from);
  return stretch;
}

}  // namespace

Result<std::vector<Stretch>> gaps_after_programming(
    db::RunStore& store, db::RowId run, const std::vector<db::ProgrammingRow>& fillings) {
  std::vector<Stretch> stretches;
  PCM_ASSIGN(const auto gaps, store.gaps(run));
  if (gaps.empty()) return stretches;
  // A gap is of the filling that was measured last before it.
  std::vector<std::vector<Anchor>> anchors;
  for (const db::ProgrammingRow& filling : fillings) {
    PCM_ASSIGN(anchors.emplace_back(), anchors_of(store, filling));
  }
  for (const db::GapRow& gap : gaps) {
    for (auto of = anchors.rbegin(); of != anchors.rend(); ++of) {
      if (of->empty() || of->front().utc > gap.begin_utc) continue;
      if (const auto stretch = stretch_of(gap, *of)) stretches.push_back(*stretch);
      break;
    }
  }
  return stretches;
}

Result<std::vector<double>> next_reads_s(db::RunStore& store, db::RowId run) {
  PCM_ASSIGN(const auto steps, store.steps(run));
  const auto step = std::find_if(steps.rbegin(), steps.rend(), [](const db::StepRow& row) {
    return row.experiment == "retention" && row.state != db::RunState::Complete;
  });
  PCM_ASSIGN(const auto programmings, store.programmings(run));
  if (step == steps.rend() || programmings.empty()) return std::vector<double>{};
  const auto json = nlohmann::json::parse(step->parameters_json, nullptr, false);
  if (!json.is_object()) {
    return fail(ErrorCode::BadFile, "the parameters of the retention step are no JSON object",
                "check the database with `pcmlab verify`");
  }
  std::vector<double> next_s =
      time_points_s(json.value("times_s", std::vector<double>{}), json.value("first_s", 1.0),
                    json.value("last_s", 1.0), json.value("points", 1),
                    json.value("spacing", "log") == "linear" ? Spacing::Linear : Spacing::Log);
  const int repeats = json.value("repeats", 1);
  PCM_ASSIGN(const auto sweeps, store.sweeps(run));
  const auto last = std::find_if(sweeps.rbegin(), sweeps.rend(), [&](const db::SweepRow& sweep) {
    return sweep.step == step->id && sweep.programming == programmings.back().id;
  });
  if (last == sweeps.rend()) return next_s;
  const bool over = last->complete && last->repeat + 1 >= repeats;
  std::erase_if(next_s, [&](double at_s) {
    return at_s < last->scheduled_s || (over && at_s <= last->scheduled_s);
  });
  return next_s;
}

QString next_read_text(double next_s, const std::optional<db::ProgressRow>& progress) {
  QString next = "Next read at " + duration_text(next_s);
  if (!progress) return next;
  // The runner says how long it waits, and when it said so.
  const bool waits = text(progress->activity).startsWith("waiting for");
  if (!waits) return next + " · now " + text(progress->activity);
  return next + ", in " + countdown_text(progress->eta_s - seconds_since(progress->heartbeat_utc));
}

}  // namespace pcmlab::gui
