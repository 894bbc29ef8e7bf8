// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

namespace pcmlab {
namespace {

db::RunState state_of(const Result<void>& outcome) {
  if (outcome) return db::RunState::Complete;
  return outcome.error().code == ErrorCode::Stopped ? db::RunState::Stopped : db::RunState::Failed;
}

Result<void> run_steps(const Plan& plan, RunContext& context) {
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const PlanStep& step = plan.steps[i];
    PCM_TRY(context.check_stop());
    PCM_ASSIGN(context.step, context.store.begin_step(context.run, static_cast<int>(i),
                                                      step.experiment, step.values.to_json()));
    context.observer.step_started(i + 1, plan.steps.size(), step.experiment);
    const auto begin = std::chrono::steady_clock::now();
    const Result<void> outcome = find_experiment(step.experiment)->make(step.values)->run(context);
    const double wall_s =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    // The step's own error is the one to report, whether or not its end can be written down.
    const Result<void> noted = context.store.finish_step(context.step, state_of(outcome), wall_s);
    if (!outcome) {
      return tl::unexpected(
          outcome.error().during(fmt::format("step {} ({})", i + 1, step.experiment)));
    }
    PCM_TRY(noted);
    context.observer.step_finished(step.experiment, wall_s);
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
  facts.shape = board.shape;
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
