// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <tuple>

#include "experiments/engine/store_trouble.h"
#include "experiments/network/adaptive_batch_norm.h"
#include "experiments/programming/placement.h"

namespace pcmlab {
namespace {

db::RunState state_of(const Result<void>& outcome) {
  if (outcome) return db::RunState::Complete;
  return outcome.error().code == ErrorCode::Stopped ? db::RunState::Stopped : db::RunState::Failed;
}

/// Steps [begin, end) of a plan that are repeated together: a step that programs weights and those
/// behind it that read them, until every weight of the network has been on the chip. Any other step
/// is a group of its own. Steps do what they have not done yet, so that those of a run that is gone
/// on with may be run again.
class StepGroup {
 public:
  /// \param there  steps of the run that are in the store
  StepGroup(const Plan& plan, std::size_t begin, const std::vector<db::StepRow>& there,
            RunContext& context)
      : plan_(plan), begin_(begin), end_(begin + 1), there_(there), context_(context) {
    const auto use = [&](std::size_t i) {
      return find_experiment(plan.steps[i].experiment)->weight_use;
    };
    programs_ = use(begin) == WeightUse::Programs;
    while (programs_ && end_ < plan.steps.size() && use(end_) == WeightUse::Reads) ++end_;
  }

  std::size_t end() const { return end_; }

  Result<void> run() {
    if (is_complete()) return {};
    Result<void> outcome = run_fillings();
    if (outcome) return {};
    // The step's own error is the one to report, whether or not its end can be written down.
    for (const Begun& begun : begun_) {
      if (begun.finished) continue;
      std::ignore = context_.store.finish_step(begun.id, state_of(outcome), begun.wall_s);
    }
    return outcome;
  }

 private:
  struct Begun {
    db::RowId id = 0;
    std::unique_ptr<Experiment> experiment;
    double wall_s = 0;
    bool finished = false;
  };

  const db::StepRow* step_there(std::size_t i) const {
    const auto found = std::find_if(there_.begin(), there_.end(), [i](const db::StepRow& step) {
      return step.ordinal == static_cast<int>(i);
    });
    return found == there_.end() ? nullptr : &*found;
  }
  bool is_complete() const {
    for (std::size_t i = begin_; i < end_; ++i) {
      const db::StepRow* const step = step_there(i);
      if (step == nullptr || step->state != db::RunState::Complete) return false;
    }
    return true;
  }

  bool all_programmed() const {
    return !programs_ || context_.next_weight >= context_.inputs.weights.values.size();
  }

  Result<void> run_fillings() {
    context_.filling = 0;
    context_.next_weight = 0;
    do {
      if (context_.filling > 0) {
        context_.observer.message(fmt::format("filling {} of the array, from weight {} of {} on",
                                              context_.filling + 1, context_.next_weight,
                                              context_.inputs.weights.values.size()));
      }
      for (std::size_t i = begin_; i < end_; ++i) {
        auto outcome = run_step(i);
        if (!outcome) {
          return tl::unexpected(outcome.error().during(
              fmt::format("step {} ({})", i + 1, plan_.steps[i].experiment)));
        }
      }
      ++context_.filling;
    } while (!all_programmed());
    return {};
  }

  Result<void> run_step(std::size_t i) {
    PCM_TRY(context_.control.checkpoint());
    const PlanStep& step = plan_.steps[i];
    if (context_.filling == 0) {
      Begun begun{0, find_experiment(step.experiment)->make(step.values)};
      if (const db::StepRow* const before = step_there(i)) {
        begun.id = before->id;
        begun.finished = before->state == db::RunState::Complete;
      } else {
        PCM_ASSIGN(begun.id, context_.store.begin_step(context_.run, static_cast<int>(i),
                                                       step.experiment, step.values.to_json()));
      }
      begun_.push_back(std::move(begun));
      context_.observer.step_started(i + 1, plan_.steps.size(), step.experiment);
    }
    Begun& begun = begun_[i - begin_];
    context_.step = begun.id;
    context_.ordinal = i;
    const auto begin = std::chrono::steady_clock::now();
    auto outcome = begun.experiment->run(context_);
    begun.wall_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!outcome || !all_programmed() || begun.finished) return outcome;
    PCM_TRY(context_.store.finish_step(begun.id, db::RunState::Complete, begun.wall_s));
    begun.finished = true;
    context_.observer.step_finished(step.experiment, begun.wall_s);
    return {};
  }

  const Plan& plan_;
  std::size_t begin_, end_;
  const std::vector<db::StepRow>& there_;
  RunContext& context_;
  bool programs_ = false;
  std::vector<Begun> begun_;
};

/// The steps right behind those that read, as far as they work on every sweep as soon as it is
/// complete. What they leave they do when it is their turn.
class Followers {
 public:
  /// \param begin  the first step behind those that read
  /// \param there  steps of the run that are in the store
  Followers(const Plan& plan, std::size_t begin, const std::vector<db::StepRow>& there,
            RunContext& context)
      : context_(context) {
    for (std::size_t i = begin; i < plan.steps.size(); ++i) {
      const PlanStep& step = plan.steps[i];
      const ExperimentInfo& info = *find_experiment(step.experiment);
      if (!info.works_while_reading || !info.works_while_reading(step.values)) break;
      const auto row = std::find_if(there.begin(), there.end(), [i](const db::StepRow& before) {
        return before.ordinal == static_cast<int>(i);
      });
      followers_.push_back({i, &step, info.make(step.values),
                            row == there.end() ? std::nullopt : std::optional(row->id)});
    }
  }

  /// Lets each work on what was read. Only an end that a condition wants is an error here: anything
  /// else must not keep the chip from being read, and shows again when it is the step's turn.
  Result<void> work(std::optional<RunContext::SteadyTime> until) {
    if (context_.next_weight < context_.inputs.weights.values.size()) return {};
    for (Follower& follower : followers_) {
      if (follower.failed) continue;
      const Result<void> outcome = run(follower, until);
      if (outcome) continue;
      const Error error = outcome.error().during(
          fmt::format("step {} ({})", follower.index + 1, follower.step->experiment));
      if (error.code == ErrorCode::Stopped) return tl::unexpected(error);
      follower.failed = true;
      const std::string text = "reading goes on, but: " + error.message;
      context_.observer.message(text);
      PCM_TRY(context_.store.add_event(context_.run, "fault", text));
    }
    return {};
  }

  /// Notes how the steps ended that will not have their turn.
  void end(db::RunState state) {
    for (const Follower& follower : followers_) {
      if (follower.row) {
        std::ignore = context_.store.finish_step(*follower.row, state, follower.wall_s);
      }
    }
  }

 private:
  struct Follower {
    std::size_t index = 0;
    const PlanStep* step = nullptr;
    std::unique_ptr<Experiment> experiment;
    std::optional<db::RowId> row;
    double wall_s = 0;
    bool failed = false;
  };

  Result<void> run(Follower& follower, std::optional<RunContext::SteadyTime> until) {
    if (!follower.row) {
      PCM_ASSIGN(follower.row, context_.store.begin_step(
                                   context_.run, static_cast<int>(follower.index),
                                   follower.step->experiment, follower.step->values.to_json()));
    }
    const auto before = std::tuple(context_.step, context_.ordinal);
    context_.step = *follower.row;
    context_.ordinal = follower.index;
    context_.free_until = until;
    const auto begin = std::chrono::steady_clock::now();
    Result<void> outcome = follower.experiment->run(context_);
    follower.wall_s +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    context_.free_until.reset();
    std::tie(context_.step, context_.ordinal) = before;
    return outcome;
  }

  RunContext& context_;
  std::vector<Follower> followers_;
};

/// When the chip is wanted next, by this computer's clock. A board with virtual time waits.
Result<RunContext::SteadyTime> free_until(std::optional<BoardTime> next_due, RunContext& context) {
  if (!next_due || (context.board.information().capabilities & wire::kVirtualTime) != 0) {
    return RunContext::SteadyTime::max();
  }
  PCM_ASSIGN(const BoardTime now, context.clock.now());
  return std::chrono::steady_clock::now() +
         std::chrono::duration_cast<std::chrono::steady_clock::duration>(*next_due - now);
}

Result<void> run_steps(const Plan& plan, RunContext& context) {
  for (std::size_t begin = 0; begin < plan.steps.size();) {
    PCM_ASSIGN(const std::vector<db::StepRow> there, context.store.steps(context.run));
    StepGroup group(plan, begin, there, context);
    Followers followers(plan, group.end(), there, context);
    context.sweep_is_complete = [&](std::optional<BoardTime> next_due) -> Result<void> {
      PCM_ASSIGN(const auto until, free_until(next_due, context));
      return followers.work(until);
    };
    Result<void> outcome = group.run();
    context.sweep_is_complete = [](std::optional<BoardTime>) { return Result<void>(); };
    if (!outcome) {
      followers.end(state_of(outcome));
      return outcome;
    }
    begin = group.end();
  }
  return {};
}

/// While it lives the run says that it is alive, and hears of others, while its board waits.
class HeardWhileWaiting {
 public:
  HeardWhileWaiting(Board& board, RunControl& control) : board_(board) {
    board_.on_waiting([&control](const std::string& what) { return control.still_waiting(what); });
  }
  HeardWhileWaiting(const HeardWhileWaiting&) = delete;
  HeardWhileWaiting& operator=(const HeardWhileWaiting&) = delete;
  ~HeardWhileWaiting() { board_.on_waiting({}); }

 private:
  Board& board_;
};

/// From the first step that is not done to the end, and the end written down.
Result<void> run_to_end(db::RowId run, const Plan& plan, const RunInputs& inputs, Board& board,
                        db::RunStore& store, RunObserver& observer, StopRequests requests,
                        const Host& host) {
  const std::unique_ptr<Clock> clock = make_clock(board);
  RunControl control(std::move(requests), host.clocks);
  control.attach(store, run, observer);
  const StoreTrouble patience(store, run, control, observer, host);
  const HeardWhileWaiting heard(board, control);
  RunContext context(store, board, *clock, observer, inputs, control);
  context.run = run;
  Result<void> outcome = run_steps(plan, context);
  // What the board still has queued is nothing that anybody waits for.
  if (control.is_aborted()) std::ignore = board.abort();
  const Result<void> noted =
      store.finish_run(run, state_of(outcome), outcome ? "" : outcome.error().message);
  return outcome && !noted ? noted : outcome;
}

tl::unexpected<Error> not_the_same(db::RowId run, const std::string& what, const std::string& was,
                                   const std::string& is) {
  return fail(ErrorCode::BadPlan,
              fmt::format("run {} cannot go on: its {} was {}, and is {} now", run, what, was, is),
              "bring back what it was, or start another run");
}

/// That the run would go on with what it began with.
Result<void> check_same(const db::RunRow& run, const RunInputs& inputs, const Board& board,
                        db::RunStore& store) {
  const BoardInformation& now = board.information();
  if (now.serial != run.board_serial) {
    return not_the_same(run.id, "board", run.board_serial, now.serial);
  }
  if (inputs.network.sha256 != run.network_sha256) {
    return not_the_same(run.id, "network file", "that of SHA-256 " + run.network_sha256,
                        "that of " + inputs.network.sha256);
  }
  if (inputs.images.description != run.images) {
    return not_the_same(run.id, "image set", run.images, inputs.images.description);
  }
  PCM_ASSIGN(const auto other, store.programmed_since(run.id));
  if (!other) return {};
  return fail(ErrorCode::BadPlan,
              fmt::format("run {} cannot go on: run {} ({}) has programmed the chip since", run.id,
                          other->id, other->name),
              "start another run");
}

}  // namespace

PlanSchema plan_schema(std::vector<ParameterTable> extra) {
  PlanSchema schema{plan_sections(), {}};
  std::move(extra.begin(), extra.end(), std::back_inserter(schema.sections));
  for (const ExperimentInfo* info : experiments()) schema.experiments.push_back(info->table);
  return schema;
}

Result<std::vector<Prediction>> predict(const Plan& plan, const RunInputs& inputs,
                                        const BoardInformation& board) {
  PlanFacts facts;
  facts.devices = static_cast<std::int64_t>(2 * inputs.weights.values.size());
  facts.nonzero_targets = std::count_if(inputs.weights.values.begin(), inputs.weights.values.end(),
                                        [](float weight) { return weight != 0.0f; });
  facts.images = static_cast<std::int64_t>(inputs.images.count());
  facts.batch_norms = has_batch_norms(inputs.network);
  facts.shape = board.shape;
  const auto room = static_cast<std::int64_t>(pairs_of(board.shape, {}) * 2);
  if (room == 0) return fail(ErrorCode::DoesNotFit, "the array has no room for a pair of devices");
  facts.fillings = std::max<std::int64_t>(1, (facts.devices + room - 1) / room);
  facts.limits = board.limits;
  facts.sample_time = board.sample_time;
  std::vector<Prediction> predictions;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const PlanStep& step = plan.steps[i];
    const auto prediction = find_experiment(step.experiment)->make(step.values)->predict(facts);
    if (!prediction) {
      return tl::unexpected(
          prediction.error().during(fmt::format("step {} ({})", i + 1, step.experiment)));
    }
    predictions.push_back(*prediction);
  }
  return predictions;
}

RunResult run_plan(const Plan& plan, const RunInputs& inputs, Board& board, db::RunStore& store,
                   RunObserver& observer, const Provenance& provenance, StopRequests requests,
                   const Host& host) {
  const ParameterValues& section = plan.section("run");
  db::RunStart start;
  start.name = section.text("name");
  start.plan_text = plan.text;
  start.seed = static_cast<std::uint64_t>(section.integer("seed"));
  start.program_version = provenance.program_version;
  start.git_revision = provenance.git_revision;
  start.operator_name = section.text("operator");
  start.sample = section.text("sample");
  start.board = board.information();
  start.board_description = provenance.board_description;
  start.network = db::NetworkRow{inputs.network.sha256, inputs.network.name,
                                 static_cast<std::int64_t>(inputs.weights.values.size()),
                                 static_cast<std::int64_t>(2 * inputs.weights.values.size()),
                                 inputs.network.file};
  start.images = inputs.images.description;
  start.queue_entry = provenance.queue_entry;
  start.parent = provenance.parent;

  RunResult result;
  const Result<db::RowId> run = store.begin_run(start);
  if (!run) {
    result.outcome = tl::unexpected(run.error());
    return result;
  }
  result.run = *run;
  observer.run_started(*run, start.name);

  result.outcome =
      run_to_end(*run, plan, inputs, board, store, observer, std::move(requests), host);
  return result;
}

Result<std::vector<std::string>> keep_defaults(db::RowId run, Plan& plan, db::RunStore& store) {
  std::vector<std::string> said;
  PCM_ASSIGN(const auto steps, store.steps(run));
  for (const db::StepRow& row : steps) {
    const auto ordinal = static_cast<std::size_t>(row.ordinal);
    if (ordinal >= plan.steps.size()) continue;
    const auto kept = plan.steps[ordinal].values.keep_defaults_of(row.parameters_json);
    if (kept.empty() || row.state == db::RunState::Complete) continue;
    said.push_back(fmt::format("step {} ({}) goes on as it began, with {}", ordinal + 1,
                               row.experiment, fmt::join(kept, ", ")));
  }
  return said;
}

RunResult resume_plan(db::RowId run, const Plan& plan, const RunInputs& inputs, Board& board,
                      db::RunStore& store, RunObserver& observer, const Provenance& provenance,
                      StopRequests requests, db::Elsewhere elsewhere, const Host& host) {
  RunResult result;
  const auto take_over = [&]() -> Result<void> {
    PCM_ASSIGN(const db::RunRow row, store.run(run));
    PCM_TRY(check_same(row, inputs, board, store));
    PCM_TRY(store.resume_run(run, provenance.program_version, provenance.git_revision, elsewhere));
    observer.run_started(run, row.name);
    return {};
  };
  result.outcome = take_over();
  if (!result.outcome) return result;
  result.run = run;
  result.outcome = run_to_end(run, plan, inputs, board, store, observer, std::move(requests), host);
  return result;
}

}  // namespace pcmlab
