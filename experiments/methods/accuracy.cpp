// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `accuracy`: the network's accuracy with the conductances of every sweep as weights.
#include <fmt/format.h>

#include <chrono>

#include "experiments/engine/experiment.h"
#include "experiments/network/inference.h"
#include "experiments/programming/conductance_mapping.h"
#include "experiments/retention/global_drift_compensation.h"
#include "experiments/retention/measured_conductances.h"

namespace pcmlab {
namespace {

constexpr std::string_view kFirstSweep = "first-sweep";
constexpr std::string_view kVerify = "verify";
constexpr std::string_view kTargets = "targets";

tl::unexpected<Error> no_sweeps() {
  return fail(ErrorCode::BadPlan,
              "there is no complete sweep of the network's weights in this run to evaluate",
              "put a step with experiment = \"retention\" between program and accuracy");
}

class Accuracy : public Experiment {
 public:
  explicit Accuracy(const ParameterValues& values)
      : precision_(values.text("precision") == "float32"    ? Precision::Float32
                   : values.text("precision") == "bfloat16" ? Precision::Bfloat16
                                                            : fastest_precision()),
        batch_(static_cast<int>(values.integer("batch_images"))),
        reference_(values.text("gdc_reference")) {}

  Result<Prediction> predict(PlanFacts& facts) const override {
    if (facts.sweeps == 0) return no_sweeps();
    const double per_image_s = precision_ == Precision::Bfloat16 ? 1.35e-4 : 2.2e-4;
    Prediction prediction;
    prediction.host_s =
        static_cast<double>(facts.images) * per_image_s * static_cast<double>(1 + 2 * facts.sweeps);
    prediction.bytes = 200 * (1 + 2 * facts.sweeps);
    return prediction;
  }

  Result<void> run(RunContext& context) override;

 private:
  Result<std::vector<double>> reference_sums(RunContext& context,
                                             const db::ProgrammingRow& programming,
                                             const ConductanceMapping& mapping,
                                             const std::vector<db::SweepRow>& sweeps) const;
  Result<void> count(RunContext& context, InferenceEngine& engine, db::AccuracyRow row) const;

  Precision precision_;
  int batch_;
  std::string reference_;
};

Result<std::vector<float>> sweep_conductances(db::RunStore& store, const db::SweepRow& sweep) {
  PCM_ASSIGN(const auto code_sums, store.sweep_code_sums(sweep.id));
  return conductances_uS(code_sums, {sweep.gain_uS_per_code, sweep.offset_uS}, sweep.samples);
}

/// Layer sums that count as "no drift".
Result<std::vector<double>> Accuracy::reference_sums(
    RunContext& context, const db::ProgrammingRow& programming, const ConductanceMapping& mapping,
    const std::vector<db::SweepRow>& sweeps) const {
  if (reference_ == kFirstSweep) {
    PCM_ASSIGN(const auto g_uS, sweep_conductances(context.store, sweeps.front()));
    return mapping.layer_sums_uS(g_uS);
  }
  PCM_ASSIGN(const db::Placement placement, context.store.placement(programming.id));
  std::vector<float> g_uS = placement.targets_uS;
  if (reference_ == kVerify) {
    // What each device read when it converged; RESET devices were not verified and count as zero.
    PCM_ASSIGN(const auto result, context.store.programming_result(programming.id));
    const auto verified = conductances_uS(result.last_code_sums,
                                          {programming.gain_uS_per_code, programming.offset_uS},
                                          programming.verify_samples);
    for (std::size_t d = 0; d < g_uS.size(); ++d) {
      if (result.verdicts[d] != db::Verdict::Reset) g_uS[d] = verified[d];
    }
  }
  return mapping.layer_sums_uS(g_uS);
}

Result<void> Accuracy::count(RunContext& context, InferenceEngine& engine,
                             db::AccuracyRow row) const {
  PCM_TRY(context.check_stop());
  const auto begin = std::chrono::steady_clock::now();
  PCM_ASSIGN(row.correct, engine.count_correct(context.inputs.images));
  row.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  row.run = context.run;
  row.images = static_cast<std::int64_t>(context.inputs.images.count());
  row.precision = to_string(precision_);
  PCM_TRY(context.store.add_accuracy(row));
  return {};
}

Result<void> Accuracy::run(RunContext& context) {
  PCM_ASSIGN(const auto programmings, context.store.programmings(context.run));
  if (programmings.empty()) return no_sweeps();
  const db::ProgrammingRow& programming = programmings.back();
  PCM_ASSIGN(auto sweeps, context.store.sweeps(context.run));
  std::erase_if(sweeps, [&](const db::SweepRow& sweep) {
    return !sweep.complete || sweep.programming != programming.id;
  });
  PCM_ASSIGN(auto layers, context.store.layers(programming.step));
  if (sweeps.empty() || layers.empty()) return no_sweeps();
  const ConductanceMapping mapping(std::move(layers));
  PCM_ASSIGN(const auto reference, reference_sums(context, programming, mapping, sweeps));
  PCM_ASSIGN(auto engine, InferenceEngine::create(context.inputs.network, precision_, batch_));

  const auto total = static_cast<std::int64_t>(1 + 2 * sweeps.size());
  std::int64_t done = 0;
  const auto progress = [&]() { return context.report_progress("accuracy", "", ++done, total); };
  db::AccuracyRow software;
  software.compensation = "software";
  PCM_TRY(count(context, engine, software));
  PCM_TRY(progress());
  for (const db::SweepRow& sweep : sweeps) {
    PCM_ASSIGN(const auto g_uS, sweep_conductances(context.store, sweep));
    engine.set_weights(mapping.weights(g_uS));
    db::AccuracyRow row;
    row.sweep = sweep.id;
    row.after_s = sweep.after_s;
    row.compensation = "none";
    engine.set_output_divisors(std::vector<float>(mapping.layers().size(), 1.0f));
    PCM_TRY(count(context, engine, row));
    PCM_TRY(progress());
    row.compensation = "gdc";
    row.reference = reference_;
    engine.set_output_divisors(drift_factors(mapping.layer_sums_uS(g_uS), reference));
    PCM_TRY(count(context, engine, row));
    PCM_TRY(progress());
  }
  return {};
}

}  // namespace

extern const ExperimentInfo accuracy_info;
const ExperimentInfo accuracy_info{
    {"accuracy",
     "Counts correct images with the conductances of every sweep, without compensation and with "
     "global drift compensation (GDC).",
     {
         text("precision", "auto",
              "arithmetic of the inference; auto: bfloat16 where the CPU has it",
              {"auto", "float32", "bfloat16"}),
         integer("batch_images", "images", kDefaultBatch, 1, 10000,
                 "images in one pass of a thread"),
         text("gdc_reference", "first-sweep",
              "what GDC takes as no drift: the first sweep, the verify reads of programming, or "
              "the targets",
              {std::string(kFirstSweep), std::string(kVerify), std::string(kTargets)}),
     }},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Accuracy>(values);
    }};

}  // namespace pcmlab
