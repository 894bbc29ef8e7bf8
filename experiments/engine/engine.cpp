// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <tuple>

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
/// is a group of its own.
class StepGroup {
 public:
  StepGroup(const Plan& plan, std::size_t begin, RunContext& context)
      : plan_(plan), begin_(begin), end_(begin + 1), context_(context) {
    const auto use = [&](std::size_t i) {
      return find_experiment(plan.steps[i].experiment)->weight_use;
    };
    programs_ = use(begin) == WeightUse::Programs;
    while (programs_ && end_ < plan.steps.size() && use(end_) == WeightUse::Reads) ++end_;
  }

  std::size_t end() const { return end_; }

  Result<void> run() {
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
    PCM_TRY(context_.check_stop());
    const PlanStep& step = plan_.steps[i];
    if (context_.filling == 0) {
      PCM_ASSIGN(const db::RowId id,
                 context_.store.begin_step(context_.run, static_cast<int>(i), step.experiment,
                                           step.values.to_json()));
      begun_.push_back({id, find_experiment(step.experiment)->make(step.values)});
      context_.observer.step_started(i + 1, plan_.steps.size(), step.experiment);
    }
    Begun& begun = begun_[i - begin_];
    context_.step = begun.id;
    context_.ordinal = i;
    const auto begin = std::chrono::steady_clock::now();
    auto outcome = begun.experiment->run(context_);
    begun.wall_s += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (!outcome || !all_programmed()) return outcome;
    PCM_TRY(context_.store.finish_step(begun.id, db::RunState::Complete, begun.wall_s));
    begun.finished = true;
    context_.observer.step_finished(step.experiment, begun.wall_s);
    return {};
  }

  const Plan& plan_;
  std::size_t begin_, end_;
  RunContext& context_;
  bool programs_ = false;
  std::vector<Begun> begun_;
};

Result<void> run_steps(const Plan& plan, RunContext& context) {
  for (std::size_t begin = 0; begin < plan.steps.size();) {
    StepGroup group(plan, begin, context);
    PCM_TRY(group.run());
    begin = group.end();
  }
  return {};
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
                   RunObserver& observer, const Provenance& provenance, std::stop_token stop) {
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

  RunResult result;
  const Result<db::RowId> run = store.begin_run(start);
  if (!run) {
    result.outcome = tl::unexpected(run.error());
    return result;
  }
  result.run = *run;
  observer.run_started(*run, start.name);

  const std::unique_ptr<Clock> clock = make_clock(board);
  RunContext context(store, board, *clock, observer, inputs, std::move(stop));
  context.run = *run;
  result.outcome = run_steps(plan, context);
  const Result<void> noted = store.finish_run(*run, state_of(result.outcome),
                                              result.outcome ? "" : result.outcome.error().message);
  if (result.outcome && !noted) result.outcome = noted;
  return result;
}

}  // namespace pcmlab
