// SPDX-License-Identifier: Apache-2.0
/// \file
/// Runs and what they measured, in one SQLite file. Schema: db/README.md.
/// A store belongs to one thread; another thread or process opens its own.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "db/database.h"
#include "db/records.h"

namespace pcmlab::db {

/// Whether a listing has the runs that were deleted and may still be brought back.
enum class Deleted { Hidden, Shown };

/// Whether a run that a process of another machine is said to be at may be taken over.
enum class Elsewhere { Refused, TakenOver };

/// Writes append; nothing measured is ever changed. Every method that writes is one transaction, on
/// disk (synchronous=FULL) when it returns, unless it is called inside transaction().
/// Errors of all: Database, DiskFull, Io, Busy (another writer holds the file).
class RunStore {
 public:
  /// Opens the file for writing, creates or migrates it. Errors: also DatabaseNewer, BadFile.
  static Result<RunStore> open(const std::filesystem::path& file,
                               std::chrono::milliseconds busy_timeout = kBusyTimeout);
  /// Opens without ever changing the file. Errors: also NotFound, DatabaseNewer, BadFile.
  static Result<RunStore> open_read_only(const std::filesystem::path& file,
                                         std::chrono::milliseconds busy_timeout = kBusyTimeout);

  /// Groups writes into one commit: begun here, committed by Transaction::commit(), else undone.
  Result<Transaction> transaction();
  /// The same for writes that can be done again, should they be undone by trouble that passes.
  /// \param body  writes; what it changes besides must be the same the second time
  Result<void> together(const std::string& doing, const std::function<Result<void>()>& body);
  /// What to do about a full disk, an I/O error or another writer from now on, reading and writing.
  void set_patience(Patience patience);

  // ---- writing, in the order of a run
  /// Errors: also Busy (a run of another process of this machine is at work on the database);
  /// BadPlan (the entry of the queue that it was does not wait any more).
  Result<RowId> begin_run(const RunStart& start);
  Result<void> finish_run(RowId run, RunState state, const std::string& error);
  Result<RowId> begin_step(RowId run, int ordinal, const std::string& experiment,
                           const std::string& parameters_json);
  Result<void> finish_step(RowId step, RunState state, double wall_s);
  Result<void> add_event(RowId run, const std::string& kind, const std::string& text);
  Result<void> set_progress(RowId run,
                            const ProgressRow& progress);  ///< overwrites; also heartbeat

  Result<void> add_layers(RowId step, std::span<const LayerRow> layers);
  Result<RowId> begin_programming(const ProgrammingStart& start);
  Result<void> set_placement(RowId programming, const Placement& placement);
  Result<void> add_batches(RowId programming, std::span<const BatchRow> batches);
  Result<void> add_outcomes(RowId programming, std::span<const BatchOutcome> outcomes);
  Result<void> add_verify(RowId programming, std::span<const BatchVerify> reads);
  /// Also notes which devices are bad from now on, and which no longer.
  Result<void> finish_programming(RowId programming, const ProgrammingResult& result,
                                  const ProgrammingSummary& summary);
  Result<RowId> begin_sweep(const SweepStart& start);
  Result<void> add_sweep_blocks(RowId sweep, std::span<const SweepBlock> blocks);
  /// Errors: also BadFile when devices of the placement are missing from the sweep.
  Result<void> finish_sweep(RowId sweep, double sum_uS, double after_s);
  /// \param confusion  no classes: it is not known.
  Result<RowId> add_accuracy(const AccuracyRow& accuracy, const ConfusionMatrix& confusion = {});
  Result<void> add_gdc_reference(RowId step, std::span<const GdcReferenceRow> layers);
  Result<void> add_calibration(RowId step, const CalibrationRow& calibration);
  Result<void> add_layer_states(RowId step, std::span<const LayerStateRow> states);
  /// Of one programming; `by_target` as given. \return the fit's id.
  Result<RowId> add_drift_fit(const DriftFitRow& row, const DriftFits& fits);
  /// The first batch number that no run on this board has used.
  Result<std::uint64_t> next_batch(const std::string& board_serial);

  // ---- going on with a run in another process
  /// Whether this process may go on with the run. Errors: BadPlan (it is complete or deleted), Busy
  /// (a process is at it or at another run, perhaps on another machine), NotFound.
  Result<void> check_resumable(RowId run, Elsewhere elsewhere);
  /// Makes this process the one at work on the run, and notes the time since the last one as a gap.
  /// Steps that are not complete are running again. Errors: also those of check_resumable().
  Result<void> resume_run(RowId run, const std::string& program_version,
                          const std::string& git_revision, Elsewhere elsewhere);
  Result<std::vector<SessionRow>> sessions(RowId run);
  Result<BoardLeft> board_left(RowId run);
  /// The newest other run that programmed the chip after this one did.
  Result<std::optional<RunRow>> programmed_since(RowId run);
  Result<void> add_board_epoch(RowId run, const BoardEpoch& epoch);
  /// Also notes it as an event. \param begin_utc_ns  it ends now
  Result<void> add_gap(RowId run, GapCause cause, std::int64_t begin_utc_ns,
                       const std::string& text);
  Result<std::vector<GapRow>> gaps(RowId run);

  // ---- control from another process
  /// Asks the process at the run. Errors: also BadPlan (no process is at it), NotFound.
  Result<RowId> request(RowId run, RunCommand command, const std::string& by);
  /// What was asked since the last time, marked as seen. Writes only if there is something.
  Result<std::vector<CommandRow>> take_commands(RowId run);
  /// The same, not marked: nothing is written.
  Result<std::vector<CommandRow>> pending_commands(RowId run);
  Result<std::vector<CommandRow>> commands(RowId run);

  // ---- the queue, also while another one is writing
  Result<RowId> add_queue_entry(const QueueStart& start);  ///< behind all others
  /// In the order of work: those that are over by their end, the one at work, those that wait.
  Result<std::vector<QueueEntry>> queue();
  Result<QueueEntry> queue_entry(RowId entry);  ///< Errors: NotFound
  /// The one to go on with, else the first that waits and may begin now.
  Result<std::optional<QueueEntry>> next_queue_entry(std::int64_t utc_ns);
  /// \param before  with QueueMove::Before. Errors: also BadPlan (one of them does not wait).
  Result<void> move_queue_entry(RowId entry, QueueMove where, RowId before = 0);
  /// The run that it became stays. Errors: also Busy (the run is at work).
  Result<void> remove_queue_entry(RowId entry);
  /// Of one whose run cannot begin or go on; others end with their run.
  Result<void> fail_queue_entry(RowId entry, const std::string& error);

  // ---- what people do with runs, also while another one is writing
  Result<RowId> add_note(RowId run, const std::string& text, const std::string& by);
  /// Tags that it has already stay. Errors: also BadPlan (not one word).
  Result<void> add_tags(RowId run, std::span<const std::string> tags, const std::string& by);
  Result<void> remove_tags(RowId run, std::span<const std::string> tags);
  /// Views and listings leave it out from now on. Errors: also Busy (it is running), NotFound.
  Result<void> delete_run(RowId run, const std::string& by);
  Result<void> undelete_run(RowId run);

  // ---- reading. Every checksum is checked; errors: also BadFile when one is wrong.
  /// Newest first; a running one without its process is Interrupted.
  Result<std::vector<RunRow>> runs(Deleted deleted = Deleted::Hidden);
  Result<RunRow> run(RowId run);  ///< a deleted one too. Errors: NotFound naming the runs there are
  /// The run whose process is at work on this machine, if there is one.
  Result<std::optional<RunRow>> active_run();
  Result<std::vector<NoteRow>> notes(RowId run);
  Result<std::vector<StepRow>> steps(RowId run);
  Result<std::vector<EventRow>> events(RowId run);
  Result<std::vector<LayerRow>> layers(RowId step);
  Result<std::optional<ProgressRow>> progress(RowId run);
  Result<Placement> placement(RowId programming);
  Result<std::vector<ProgrammingRow>> programmings(RowId run);
  Result<ProgrammingResult> programming_result(RowId programming);
  Result<std::vector<BatchRow>> batches(RowId programming);  ///< by batch number, as the next two
  Result<std::vector<BatchOutcome>> outcomes(RowId programming);
  Result<std::vector<BatchVerify>> verify_reads(RowId programming);
  /// Places on the run's chip whose devices do not answer pulses, as was found last, line by line.
  Result<std::vector<DeviceAddress>> known_bad(RowId run, KnownTo whom);
  Result<std::vector<SweepRow>> sweeps(RowId run);
  /// All code sums of a sweep, by device index. Errors: BadFile when a block's checksum is wrong or
  /// blocks are missing.
  Result<std::vector<std::uint16_t>> sweep_code_sums(RowId sweep);
  /// The same of a sweep that is not complete: of its first devices.
  Result<std::vector<std::uint16_t>> code_sums_so_far(RowId sweep);
  Result<std::vector<SweepTimes>> sweep_times(RowId sweep);  ///< block by block, in device order
  Result<std::vector<DriftFitRow>> drift_fits(RowId run);    ///< the newest of every programming
  Result<DriftFits> drift_of_devices(RowId fit);             ///< Errors: also NotFound
  Result<std::vector<AccuracyRow>> accuracies(RowId run);
  Result<std::optional<ConfusionMatrix>> confusion(RowId accuracy);
  Result<std::vector<GdcReferenceRow>> gdc_reference(RowId step);  ///< by layer
  Result<std::optional<CalibrationRow>> calibration(RowId step);
  Result<std::vector<LayerStateRow>> layer_states(RowId step);  ///< by sweep and layer
  Result<NetworkRow> network(const std::string& sha256);        ///< Errors: NotFound

  /// For queries of one's own.
  Database& database() { return database_; }

 private:
  explicit RunStore(Database database);
  Result<void> begin_session(RowId run, const std::string& program_version,
                             const std::string& git_revision);
  Result<void> begin_queue_entry(RowId entry, RowId run);
  Result<void> note_bad_devices(RowId run, RowId programming, const ProgrammingResult& result);

  Database database_;
};

}  // namespace pcmlab::db
