// SPDX-License-Identifier: Apache-2.0
/// \file
/// A run in this process, from a plan to its end: what `pcmlab run`, `resume` and the queue share.
/// Used by one thread, which becomes the experiment's.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/service.h"
#include "app/teller.h"
#include "db/run_store.h"
#include "driver/recovering_board.h"
#include "experiments/engine/engine.h"
#include "experiments/engine/inputs.h"
#include "experiments/engine/plan.h"

namespace pcmlab::app {

/// Whose board and inputs are open. One runner after another may work on the same store.
class Runner {
 public:
  /// \param service  is told how the run goes
  Runner(const Session& session, StopRequests requests, Service& service);
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  /// Finds everything that can be wrong with the plan, before the database or the board changes.
  /// Errors: those of tell_settings(), open_board(), load_inputs() and preflight().
  Result<void> prepare(Plan plan);
  /// What was prepared begins on the chip as this run left it: a simulated one gets the pulses and
  /// reads of that run again, and of those that it goes on from. Errors: those of replay_chip();
  /// NotFound, BadPlan (it was on another board or chip).
  Result<void> begin_after(db::RunStore& store, db::RowId run);
  /// Runs what was prepared. \param queue_entry  that it is, if it is one
  RunResult start(db::RunStore& store, std::optional<db::RowId> queue_entry = {});
  /// Goes on with a run whose process is over. RunResult::run is 0 if it could not.
  RunResult resume(db::RunStore& store, db::RowId run, db::Elsewhere elsewhere);
  /// Tells people of a run that could not begin or go on, if it has come so far that they are
  /// known.
  void tell_of_none(const std::string& name, const Error& error);

 private:
  class Journal;

  std::function<void(const BoardEvent&)> listener();
  Result<void> prepare_to_resume(db::RunStore& store, db::RowId run, db::Elsewhere elsewhere);
  RunResult work(db::RunStore& store, const std::function<RunResult(Journal&)>& run);
  void end(db::RunStore& store, Journal& journal, Teller& teller, const RunResult& result,
           double wall_s);

  const Session& session_;
  StopRequests requests_;
  Service& service_;
  std::optional<Plan> plan_;
  std::optional<TellSettings> tell_;
  std::unique_ptr<Board> board_;
  std::optional<RunInputs> inputs_;
  std::vector<std::string> kept_defaults_;  ///< what keep_defaults() said
  ChipLife life_;                           ///< before the run
  std::optional<db::RowId> parent_;
  Journal* journal_ = nullptr;  ///< while a run is at work
};

Result<void> make_folder(const std::filesystem::path& folder, const std::string& what);

/// How a run ended, on standard output. Also after a stop or a failure what was measured is shown
/// as far as it came. \param plots  folder for its picture; may be empty \return the run's outcome
Result<void> show_end(const Session& session, db::RunStore& store, const RunResult& result,
                      const std::filesystem::path& plots);

}  // namespace pcmlab::app
