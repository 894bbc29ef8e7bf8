// SPDX-License-Identifier: Apache-2.0
/// \file
/// What an experiment is, and what it is given to work with. Adding one is one file in methods/.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "db/run_store.h"
#include "driver/board.h"
#include "experiments/engine/clock.h"
#include "experiments/engine/parameter.h"
#include "experiments/engine/plan.h"
#include "experiments/engine/run_control.h"
#include "experiments/engine/run_observer.h"
#include "experiments/network/augmentation.h"
#include "experiments/network/dataset.h"
#include "experiments/network/network.h"

namespace pcmlab {

/// Training images that a step calibrates something on; never of the test set.
struct CalibrationImages {
  Dataset images;                      ///< these alone, in the order of their use
  std::vector<std::uint32_t> indices;  ///< where they stand in the training set
};

/// What a run is made on: read from the files the plan names, before the board is touched.
struct RunInputs {
  Network network;
  WeightSet weights;
  Dataset images;
  std::vector<CalibrationImages> calibration;  ///< by step; empty for one that wants none
};

/// Everything an experiment may use while it runs. Used by the experiment's thread only.
///
/// A run may be gone on with in another process: an experiment looks in the store for what it has
/// done as this step, and does the rest.
struct RunContext {
  RunContext(db::RunStore& run_store, Board& test_board, Clock& run_clock,
             RunObserver& run_observer, const RunInputs& run_inputs, RunControl& run_control)
      : store(run_store),
        board(test_board),
        clock(run_clock),
        observer(run_observer),
        inputs(run_inputs),
        control(run_control) {}

  db::RunStore& store;
  Board& board;
  Clock& clock;
  RunObserver& observer;
  const RunInputs& inputs;
  RunControl& control;
  db::RowId run = 0;
  db::RowId step = 0;
  std::size_t ordinal = 0;  ///< of the step in the plan

  /// Those of this step. Errors: Internal (it did not ask for any).
  Result<const CalibrationImages*> calibration() const;
  // A network larger than the array is programmed in several fillings, one after another.
  std::size_t filling = 0;      ///< of the steps at hand, from 0
  std::size_t next_weight = 0;  ///< the first that no filling has held yet

  using SteadyTime = std::chrono::steady_clock::time_point;
  /// Until when a step that works while the chip is read has the computer for itself; it may leave
  /// work for later. None: the step is to do all its work.
  std::optional<SteadyTime> free_until{};
  bool has_time_for(double work_s) const {
    return !free_until ||
           std::chrono::steady_clock::now() + std::chrono::duration<double>(work_s) <= *free_until;
  }
  /// To be called when a sweep is complete: lets the steps behind work on it that do so while the
  /// chip is read. \param next_due  board time of the next one; none: there is no haste.
  /// Errors: Stopped (a condition of the plan wants the run to end).
  std::function<Result<void>(std::optional<BoardTime> next_due)> sweep_is_complete =
      [](std::optional<BoardTime>) { return Result<void>(); };

  /// Tells the observer and the database, the latter at most twice a second. The time left is
  /// extrapolated from how long `phase` has taken so far.
  /// \param phase  "programming", "sweep 3 of 8"; another phase starts the extrapolation anew.
  /// \param detail  added to the phase for people: "iteration 12".
  Result<void> report_progress(const std::string& phase, const std::string& detail,
                               std::int64_t done, std::int64_t total);

 private:
  std::string phase_;
  SteadyTime phase_begin_;
  std::optional<SteadyTime> last_row_;
};

/// What is known before a run: for predictions.
struct PlanFacts {
  std::int64_t devices = 0;
  std::int64_t nonzero_targets = 0;
  std::int64_t images = 0;
  bool batch_norms = false;  ///< the network has some
  ArrayShape shape;
  Limits limits;
  Duration sample_time{};
  std::int64_t fillings = 1;  ///< of the array with the network's devices, as far as is known
  // Left by the steps before
  std::int64_t programmed_devices = 0;  ///< those that a step programmed last, in all fillings
  bool holds_weights = false;           ///< these devices
  std::int64_t sweeps = 0;              ///< of weights
};

/// Something that happens at a time that is known before.
struct Moment {
  double after_s = 0;  ///< from the beginning of the step
  std::string what;    ///< "sweep 3 of 8"
};

struct Prediction {
  double chip_busy_s = 0;  ///< reads and pulses
  double waiting_s = 0;    ///< time points and verify delays
  double host_s = 0;       ///< evaluation on this kind of machine (2 cores)
  std::int64_t pulses = 0;
  std::int64_t pulses_of_a_device = 0;  ///< at most
  std::int64_t bytes = 0;               ///< added to the database
  std::vector<Moment> moments{};        ///< rising; none where they are not known one by one
};

/// One after the other; moments are left as they are.
inline Prediction& operator+=(Prediction& sum, const Prediction& more) {
  sum.chip_busy_s += more.chip_busy_s;
  sum.waiting_s += more.waiting_s;
  sum.host_s += more.host_s;
  sum.pulses += more.pulses;
  sum.pulses_of_a_device += more.pulses_of_a_device;
  sum.bytes += more.bytes;
  return sum;
}
inline Prediction operator*(std::int64_t times, Prediction once) {
  if (times == 1) return once;
  const auto factor = static_cast<double>(times);
  once.chip_busy_s *= factor;
  once.waiting_s *= factor;
  once.host_s *= factor;
  once.pulses *= times;
  once.pulses_of_a_device *= times;
  once.bytes *= times;
  once.moments.clear();
  return once;
}

class Experiment {
 public:
  virtual ~Experiment() = default;
  /// Also notes in `facts` what this step leaves to the next. Errors: BadPlan when the steps before
  /// do not give what this one needs.
  virtual Result<Prediction> predict(PlanFacts& facts) const = 0;
  virtual Result<void> run(RunContext& context) = 0;
};

/// How many training images a step calibrates on, and the seed of their choice.
struct CalibrationWish {
  std::size_t images = 0;
  std::uint64_t seed = 0;
  std::optional<Augmentation> augmentation{};  ///< of these images
};

/// What the engine must know of an experiment to fill the array several times.
enum class WeightUse {
  None,
  Programs,  ///< puts weights onto the chip, from RunContext::next_weight on
  Reads      ///< works on the weights that the chip holds: repeated for each filling
};

/// One kind of experiment: its name in plans, its settings, and how to make one.
struct ExperimentInfo {
  ParameterTable table;
  std::function<std::unique_ptr<Experiment>(const ParameterValues&)> make;
  WeightUse weight_use = WeightUse::None;
  /// Empty for experiments that never want any.
  std::function<CalibrationWish(const ParameterValues&, const Network&)> calibration{};
  /// Whether a step right behind those that read works on every sweep as soon as it is complete.
  /// Its run() is then called again and again, with RunContext::free_until, before it is called for
  /// the rest. Empty for experiments that never do.
  std::function<bool(const ParameterValues&)> works_while_reading{};
  bool uses_board = true;
};

/// All experiments of methods/, by name.
std::span<const ExperimentInfo* const> experiments();
const ExperimentInfo* find_experiment(std::string_view name);

}  // namespace pcmlab
