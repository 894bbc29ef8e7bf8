// SPDX-License-Identifier: Apache-2.0
/// \file
/// Experiment `accuracy`: the network's accuracy with the conductances of every sweep as weights,
/// as read and under compensations.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <optional>
#include <set>

#include "experiments/engine/experiment.h"
#include "experiments/network/adaptive_batch_norm.h"
#include "experiments/network/augmentation.h"
#include "experiments/network/inference.h"
#include "experiments/programming/conductance_mapping.h"
#include "experiments/retention/global_drift_compensation.h"
#include "experiments/retention/programmed_network.h"

namespace pcmlab {
namespace {

constexpr int kMostCropPixels = 1000;

constexpr std::string_view kFirstSweep = "first-sweep";
constexpr std::string_view kVerify = "verify";
constexpr std::string_view kTargets = "targets";

constexpr std::string_view kNone = "none";
constexpr std::string_view kGdc = "gdc";
constexpr std::string_view kGdcOffset = "gdc+offset";
constexpr std::string_view kAdaBs = "adabs";
constexpr std::string_view kAdaBsGdc = "adabs+gdc";

tl::unexpected<Error> no_sweeps() {
  return fail(ErrorCode::BadPlan,
              "there is no complete sweep of the network's weights in this run to evaluate",
              "put a step with experiment = \"retention\" between program and accuracy");
}

AdaptiveBatchNorm adaptation_of(const ParameterValues& values) {
  return {static_cast<int>(values.integer("calibration_batches")),
          static_cast<int>(values.integer("calibration_images")),
          values.real("calibration_momentum")};
}

bool adapts(const std::vector<std::string>& conditions) {
  return std::any_of(conditions.begin(), conditions.end(), [](const std::string& condition) {
    return condition == kAdaBs || condition == kAdaBsGdc;
  });
}

bool converts(const ParameterValues& values) {
  return values.integer("input_bits") > 0 || values.integer("output_bits") > 0;
}

/// Of the plan, or what the network's file says that it was trained with.
int crop_pixels(const ParameterValues& values, const Network& network) {
  const auto wanted = static_cast<int>(values.integer("calibration_crop_pixels"));
  const auto trained = network.metadata.find(kCropPixelsKey);
  if (wanted >= 0 || trained == network.metadata.end()) return std::max(wanted, 0);
  int pixels = 0;
  const char* const end = trained->second.data() + trained->second.size();
  const auto read = std::from_chars(trained->second.data(), end, pixels);
  return read.ec == std::errc() && read.ptr == end ? std::clamp(pixels, 0, kMostCropPixels) : 0;
}

CalibrationWish calibration_wish(const ParameterValues& values, const Network& network) {
  const AdaptiveBatchNorm adaptation = adaptation_of(values);
  CalibrationWish wish;
  wish.seed = static_cast<std::uint64_t>(values.integer("calibration_seed"));
  if (const int pixels = crop_pixels(values, network); pixels > 0) {
    wish.augmentation = Augmentation{pixels, true};
  }
  if (adapts(values.texts("conditions")) && has_batch_norms(network)) {
    wish.images = static_cast<std::size_t>(adaptation.batches) *
                  static_cast<std::size_t>(adaptation.batch_images);
  } else if (converts(values)) {
    wish.images = static_cast<std::size_t>(adaptation.batch_images);
  }
  return wish;
}

class Accuracy : public Experiment {
 public:
  explicit Accuracy(const ParameterValues& values)
      : conditions_(values.texts("conditions")),
        asked_precision_(values.text("precision")),
        batch_(static_cast<int>(values.integer("batch_images"))),
        reference_(values.text("gdc_reference")),
        every_pair_(static_cast<int>(values.integer("gdc_every_pair"))),
        adaptation_(adaptation_of(values)),
        calibration_seed_(static_cast<std::uint64_t>(values.integer("calibration_seed"))),
        converters_{static_cast<int>(values.integer("input_bits")),
                    static_cast<int>(values.integer("output_bits")),
                    {}},
        converter_range_(values.real("converter_range")),
        stop_below_(values.real("stop_below")),
        stop_condition_(values.text("stop_condition")) {
    // What an ADC gives has its offsets still in it, and behind it nothing is simulated.
    without_offset_ = converters_.output_bits > 0 && std::erase(conditions_, kGdcOffset) > 0;
    precision_ = asked_precision_ == "float32" || (asked_precision_ == "auto" && converts(values))
                     ? Precision::Float32
                 : asked_precision_ == "bfloat16" ? Precision::Bfloat16
                                                  : fastest_precision();
  }

  Result<Prediction> predict(PlanFacts& facts) const override;
  Result<void> run(RunContext& context) override;

 private:
  /// What stays the same from sweep to sweep.
  struct Bench {
    InferenceEngine engine;
    ConductanceMapping mapping;
    GdcDevices devices;
    std::vector<double> reference_uS;  ///< by layer
    std::string reference;
    std::vector<BatchNormStatistics> trained;
    std::vector<int> norms;         ///< by layer, as norms_behind()
    bool only_logits_left = false;  ///< all layers but the last have a batch norm behind them
    const Dataset* calibration = nullptr;
  };
  struct Counted {
    db::AccuracyRow row;
    db::ConfusionMatrix confusion;
  };
  /// The weights of a sweep, and what was found with them.
  struct State {
    std::vector<float> weights, factors;                          ///< the latter of GDC, by layer
    std::optional<std::vector<BatchNormStatistics>> activations;  ///< measured by AdaBS
    std::optional<db::ConfusionMatrix> adapted;                   ///< of condition adabs
    std::vector<Counted> counted;                                 ///< not stored yet
  };
  /// What a process before this one has stored of the step.
  struct Before {
    bool reference = false, calibration = false, software = false;
    std::set<db::RowId> sweeps;
  };

  /// What a sweep costs. \param images  of the test set
  double sweep_host_s(double images, bool batch_norms) const;
  double image_host_s() const {
    return (precision_ == Precision::Bfloat16 ? 1.35e-4 : 2.2e-4) * (has_converters() ? 1.6 : 1);
  }
  bool has_converters() const { return converters_.input_bits > 0 || converters_.output_bits > 0; }
  bool wants(std::string_view condition) const {
    return std::find(conditions_.begin(), conditions_.end(), condition) != conditions_.end();
  }
  Result<Bench> set_up(RunContext& context, const ProgrammedNetwork& programmed) const;
  Result<void> begin(RunContext& context, const ProgrammedNetwork& programmed,
                     const Before& before);
  Result<void> look_at_condition(RunContext& context) const;
  Result<void> keep_reference(RunContext& context, const Bench& bench,
                              const db::SweepRow& first) const;
  Result<void> keep_calibration(RunContext& context, Bench& bench, bool is_kept) const;
  Result<void> set_converters(RunContext& context, Bench& bench) const;
  Result<std::vector<float>> reference_uS(RunContext& context,
                                          const ProgrammedNetwork& programmed) const;
  Result<State> load(RunContext& context, Bench& bench, const NetworkReading& reading) const;
  Result<void> evaluate(RunContext& context, Bench& bench, const db::SweepRow& sweep,
                        const std::string& condition, State& state) const;
  Result<Counted> count(RunContext& context, Bench& bench, db::AccuracyRow row,
                        const std::optional<db::ConfusionMatrix>& known) const;
  Result<Before> before(RunContext& context) const;
  Result<void> keep(RunContext& context, const Bench& bench, const db::SweepRow& sweep,
                    const State& state) const;
  Result<void> keep_layers(RunContext& context, const Bench& bench, const db::SweepRow& sweep,
                           const State& state) const;

  std::vector<std::string> conditions_;
  std::string asked_precision_;
  Precision precision_;
  int batch_;
  std::string reference_;
  int every_pair_;
  AdaptiveBatchNorm adaptation_;
  std::uint64_t calibration_seed_;
  Converters converters_;
  double converter_range_;
  bool without_offset_ = false;  ///< gdc+offset is left out
  double stop_below_;
  std::string stop_condition_;
  std::optional<Bench> bench_;  ///< from the first sweep on
  double longest_s_ = 0;        ///< that a sweep took
};

Result<Prediction> Accuracy::predict(PlanFacts& facts) const {
  if (facts.sweeps == 0) return no_sweeps();
  if (conditions_.empty()) {
    return fail(ErrorCode::BadPlan,
                without_offset_ ? "there is nothing to count: gdc+offset does not go with "
                                  "output_bits"
                                : "conditions is empty: there is nothing to count",
                "name some of none, gdc, gdc+offset, adabs, adabs+gdc");
  }
  if (has_converters() && asked_precision_ == "bfloat16") {
    return fail(ErrorCode::BadPlan,
                "converters (input_bits, output_bits) and bfloat16 do not go together: it has 8 "
                "bits of its own and would round again",
                "set precision to float32 or auto");
  }
  if (converters_.input_bits == 1 || converters_.output_bits == 1) {
    return fail(ErrorCode::BadPlan, "a converter of 1 bit has no level but zero on a side",
                "set input_bits and output_bits to 0 (none) or at least 2");
  }
  if (stop_below_ > 0 && !wants(stop_condition_)) {
    return fail(
        ErrorCode::BadPlan,
        fmt::format("stop_condition = \"{}\" is not one of the step's conditions", stop_condition_),
        "add it to conditions, or name one of them (gdc+offset does not go with output_bits)");
  }
  const auto images = static_cast<double>(facts.images);
  const auto passes = static_cast<double>(  // evaluations stored
      std::count_if(conditions_.begin(), conditions_.end(), [&](const std::string& condition) {
        return facts.batch_norms || !adapts({condition});
      }));
  const auto sweeps = static_cast<double>(facts.sweeps);
  Prediction prediction;
  prediction.host_s = image_host_s() * images + sweeps * sweep_host_s(images, facts.batch_norms);
  prediction.bytes = static_cast<std::int64_t>(sweeps * (700 * passes + 4000)) + 12'000;
  return prediction;
}

double Accuracy::sweep_host_s(double images, bool batch_norms) const {
  double passed = 0;
  for (const std::string& condition : conditions_) {
    const bool adapting = adapts({condition});
    if (adapting && !batch_norms) continue;
    if (condition == kAdaBsGdc && wants(kAdaBs)) continue;  // mostly known without a pass
    passed += images;
    if (adapting) passed += 2.3 * adaptation_.batches * adaptation_.batch_images;
  }
  return image_host_s() * passed;
}

/// The conductances that count as "no drift".
Result<std::vector<float>> Accuracy::reference_uS(RunContext& context,
                                                  const ProgrammedNetwork& programmed) const {
  if (reference_ == kFirstSweep) {
    return conductances_uS(context.store, programmed.readings.front());
  }
  return reference_ == kTargets ? targets_uS(context.store, programmed)
                                : verified_uS(context.store, programmed);
}

Result<Accuracy::Bench> Accuracy::set_up(RunContext& context,
                                         const ProgrammedNetwork& programmed) const {
  PCM_ASSIGN(const auto places, addresses(context.store, programmed));
  const Network& network = context.inputs.network;
  PCM_ASSIGN(auto engine, InferenceEngine::create(network, precision_, batch_));
  GdcDevices devices(programmed.layers, places, every_pair_);
  Bench bench{std::move(engine),
              ConductanceMapping(programmed.layers),
              std::move(devices),
              {},
              {},
              {},
              norms_behind(network),
              false,
              nullptr};
  bench.trained = bench.engine.batch_norms();
  bench.only_logits_left = true;
  for (std::size_t layer = 0; layer < bench.norms.size(); ++layer) {
    const bool last = makes_the_logits(network, context.inputs.weights.layers[layer]);
    if (bench.norms[layer] < 0 && !last) bench.only_logits_left = false;
  }
  bench.reference = reference_;
  if (every_pair_ > 1) {
    bench.reference += fmt::format(", one of {} pairs of bit lines", every_pair_);
  }
  PCM_ASSIGN(const auto g_uS, reference_uS(context, programmed));
  bench.reference_uS = bench.devices.sums_uS(g_uS);
  return bench;
}

Result<void> Accuracy::keep_reference(RunContext& context, const Bench& bench,
                                      const db::SweepRow& first) const {
  const std::vector<std::int64_t> devices = bench.devices.counts();
  std::vector<db::GdcReferenceRow> rows;
  for (std::size_t layer = 0; layer < devices.size(); ++layer) {
    db::GdcReferenceRow row;
    row.layer = static_cast<int>(layer);
    row.kind = reference_;
    if (reference_ == kFirstSweep) row.sweep = first.id;
    row.every_pair = every_pair_;
    row.devices = devices[layer];
    row.sum_uS = bench.reference_uS[layer];
    rows.push_back(row);
  }
  PCM_TRY(context.store.add_gdc_reference(context.step, rows));
  const std::string what =
      reference_ == kFirstSweep
          ? fmt::format("the first sweep, {:.1f} s after programming", first.after_s)
      : reference_ == kVerify ? "the last verify reads of programming"
                              : "the targets of programming";
  const std::string where =
      every_pair_ == 1
          ? "all devices of each layer"
          : fmt::format("every {}. pair of bit lines, at least {} devices of a layer", every_pair_,
                        *std::min_element(devices.begin(), devices.end()));
  const std::string text = fmt::format("GDC reference: {}; {}", what, where);
  context.observer.message(text);
  return context.store.add_event(context.run, "info", text);
}

Result<void> Accuracy::keep_calibration(RunContext& context, Bench& bench, bool is_kept) const {
  PCM_ASSIGN(const CalibrationImages* const images, context.calibration());
  bench.calibration = &images->images;
  if (is_kept) return {};
  return context.store.add_calibration(
      context.step, {images->images.description, calibration_seed_, adaptation_.batches,
                     adaptation_.batch_images, adaptation_.used_momentum(), images->indices});
}

Result<void> Accuracy::set_converters(RunContext& context, Bench& bench) const {
  Converters converters = converters_;
  const std::size_t images = static_cast<std::size_t>(adaptation_.batch_images);
  PCM_ASSIGN(converters.ranges, bench.engine.measure_converter_ranges(*bench.calibration, 0, images,
                                                                      converter_range_));
  PCM_TRY(bench.engine.set_converters(converters));
  const auto bits = [](int number) { return number == 0 ? "none" : fmt::format("{} bit", number); };
  const std::string text = fmt::format(
      "converters of analog layers: inputs {}, outputs {}; each range holds {:.6g} % of the values "
      "that {} training images give with the network's own weights",
      bits(converters.input_bits), bits(converters.output_bits), 100 * converter_range_, images);
  context.observer.message(text);
  return context.store.add_event(context.run, "info", text);
}

/// \param known  the result, where it follows from another one.
Result<Accuracy::Counted> Accuracy::count(RunContext& context, Bench& bench, db::AccuracyRow row,
                                          const std::optional<db::ConfusionMatrix>& known) const {
  PCM_TRY(context.control.check());
  const auto begin = std::chrono::steady_clock::now();
  Confusion confusion;
  if (known) {
    confusion = {known->classes, known->counts};
  } else {
    PCM_ASSIGN(confusion, bench.engine.classify(context.inputs.images));
  }
  row.correct = confusion.correct();
  row.wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  row.run = context.run;
  row.step = context.step;
  row.images = static_cast<std::int64_t>(context.inputs.images.count());
  row.precision = to_string(precision_);
  return Counted{std::move(row), {confusion.classes, std::move(confusion.counts)}};
}

/// Puts the weights of a reading into the engine.
Result<Accuracy::State> Accuracy::load(RunContext& context, Bench& bench,
                                       const NetworkReading& reading) const {
  PCM_ASSIGN(const auto g_uS, conductances_uS(context.store, reading));
  State state;
  state.weights = bench.mapping.weights(g_uS);
  bench.engine.set_weights(state.weights);
  state.factors = drift_factors(bench.devices.sums_uS(g_uS), bench.reference_uS);
  return state;
}

Result<void> Accuracy::evaluate(RunContext& context, Bench& bench, const db::SweepRow& sweep,
                                const std::string& condition, State& state) const {
  db::AccuracyRow row;
  row.sweep = sweep.id;
  row.after_s = sweep.after_s;
  row.compensation = condition;
  row.input_bits = converters_.input_bits;
  row.output_bits = converters_.output_bits;
  std::vector<float> divisors(state.factors.size(), 1.0f);
  std::optional<db::ConfusionMatrix> known;
  const bool adapting = condition == kAdaBs || condition == kAdaBsGdc;
  if (condition == kGdc || condition == kGdcOffset || condition == kAdaBsGdc) {
    row.reference = bench.reference;
    for (std::size_t layer = 0; layer < divisors.size(); ++layer) {
      if (!adapting || bench.norms[layer] < 0) divisors[layer] = state.factors[layer];
    }
  }
  if (condition == kGdcOffset) {
    bench.engine.set_weights(without_offsets(state.weights, context.inputs.weights.values,
                                             bench.mapping.layers(), state.factors));
  }
  // A factor on the logits alone changes nobody's class.
  if (condition == kAdaBsGdc && bench.only_logits_left) known = state.adapted;
  bench.engine.set_output_divisors(divisors);
  if (adapting && !known) {
    PCM_ASSIGN(state.activations, adapt_batch_norms(bench.engine, *bench.calibration, adaptation_,
                                                    [&] { return context.control.check(); }));
  }
  PCM_ASSIGN(Counted counted, count(context, bench, row, known));
  if (condition == kAdaBs) state.adapted = counted.confusion;
  state.counted.push_back(std::move(counted));
  if (adapting) bench.engine.set_batch_norms(bench.trained);
  if (condition == kGdcOffset) bench.engine.set_weights(state.weights);
  return {};
}

Result<void> Accuracy::keep_layers(RunContext& context, const Bench& bench,
                                   const db::SweepRow& sweep, const State& state) const {
  std::vector<db::LayerStateRow> rows;
  for (const db::LayerRow& layer : bench.mapping.layers()) {
    const std::size_t index = rows.size();
    const auto first = static_cast<std::size_t>(layer.first_weight);
    const auto number = static_cast<std::size_t>(layer.rows * layer.columns);
    const auto wanted = std::span(context.inputs.weights.values).subspan(first, number);
    const auto measured = std::span(state.weights).subspan(first, number);
    const auto factor = static_cast<double>(state.factors[index]);
    const WeightError as_read = weight_error(measured, wanted, 1);
    const WeightError compensated = weight_error(measured, wanted, factor);
    db::LayerStateRow row{sweep.id,           layer.ordinal,  factor,
                          as_read.of_max,     as_read.of_rms, compensated.of_max,
                          compensated.of_rms, std::nullopt,   std::nullopt};
    if (state.activations && bench.norms[index] >= 0) {
      const auto norm = static_cast<std::size_t>(bench.norms[index]);
      const ActivationShift shift =
          activation_shift((*state.activations)[norm], bench.trained[norm]);
      row.activation_mean_shift = shift.mean;
      row.activation_variance_ratio = shift.variance_ratio;
    }
    rows.push_back(row);
  }
  return context.store.add_layer_states(context.step, rows);
}

/// All of a sweep in one commit: whole, or to be counted again.
Result<void> Accuracy::keep(RunContext& context, const Bench& bench, const db::SweepRow& sweep,
                            const State& state) const {
  return context.store.together("keeping the accuracies of a sweep", [&]() -> Result<void> {
    for (const Counted& counted : state.counted) {
      PCM_TRY(context.store.add_accuracy(counted.row, counted.confusion));
    }
    return keep_layers(context, bench, sweep, state);
  });
}

Result<Accuracy::Before> Accuracy::before(RunContext& context) const {
  Before before;
  PCM_ASSIGN(const auto reference, context.store.gdc_reference(context.step));
  before.reference = !reference.empty();
  PCM_ASSIGN(const auto calibration, context.store.calibration(context.step));
  before.calibration = calibration.has_value();
  PCM_ASSIGN(const auto accuracies, context.store.accuracies(context.run));
  before.software = std::any_of(
      accuracies.begin(), accuracies.end(),
      [&](const db::AccuracyRow& row) { return row.step == context.step && !row.sweep; });
  PCM_ASSIGN(const auto layers, context.store.layer_states(context.step));
  for (const db::LayerStateRow& layer : layers) before.sweeps.insert(layer.sweep);
  return before;
}

/// What comes before the first sweep.
Result<void> Accuracy::begin(RunContext& context, const ProgrammedNetwork& programmed,
                             const Before& before) {
  PCM_ASSIGN(bench_, set_up(context, programmed));
  if (!before.reference) {
    PCM_TRY(keep_reference(context, *bench_, programmed.readings.front().sweeps.front()));
  }
  if (bench_->trained.empty() && adapts(conditions_)) {
    std::erase_if(conditions_, [](const std::string& condition) { return adapts({condition}); });
    context.observer.message("the network has no batch norm: AdaBS is left out");
  }
  if (without_offset_) {
    context.observer.message("outputs go through converters: gdc+offset is left out");
  }
  if (adapts(conditions_) || has_converters()) {
    PCM_TRY(keep_calibration(context, *bench_, before.calibration));
  }
  // Before adabs+gdc, which may follow from it.
  std::stable_sort(
      conditions_.begin(), conditions_.end(),
      [](const std::string& a, const std::string& b) { return a != kAdaBsGdc && b == kAdaBsGdc; });
  if (!before.software) {
    db::AccuracyRow software;
    software.compensation = "software";
    PCM_ASSIGN(const Counted counted, count(context, *bench_, software, std::nullopt));
    PCM_TRY(context.store.add_accuracy(counted.row, counted.confusion));
  }
  if (has_converters()) PCM_TRY(set_converters(context, *bench_));
  return {};
}

/// Errors: Stopped (the accuracy of a sweep is below stop_below).
Result<void> Accuracy::look_at_condition(RunContext& context) const {
  if (stop_below_ == 0) return {};
  PCM_ASSIGN(const auto accuracies, context.store.accuracies(context.run));
  for (const db::AccuracyRow& row : accuracies) {
    if (row.step != context.step || row.compensation != stop_condition_) continue;
    const double accuracy = static_cast<double>(row.correct) / static_cast<double>(row.images);
    if (accuracy >= stop_below_) continue;
    return fail(ErrorCode::Stopped,
                fmt::format("the plan wants no more: {:.2f} % correct under {}, {:.6g} s after "
                            "programming, is below stop_below = {:.6g} %",
                            100 * accuracy, stop_condition_, row.after_s, 100 * stop_below_),
                "what was measured is complete; a plan with stop_below = 0 does not stop");
  }
  return {};
}

Result<void> Accuracy::run(RunContext& context) {
  PCM_TRY(look_at_condition(context));
  PCM_ASSIGN(const Before before, this->before(context));
  PCM_ASSIGN(const ProgrammedNetwork programmed, programmed_network(context.store, context.run));
  if (programmed.readings.empty()) return no_sweeps();
  const bool all_there = std::all_of(programmed.readings.begin(), programmed.readings.end(),
                                     [&](const NetworkReading& reading) {
                                       return before.sweeps.contains(reading.sweeps.front().id);
                                     });
  if (all_there && before.software) return {};
  if (longest_s_ == 0) {
    // Twice what is usual: another computer may be slower, and beginning takes time as well.
    longest_s_ = 2 * sweep_host_s(static_cast<double>(context.inputs.images.count()),
                                  has_batch_norms(context.inputs.network));
  }
  if (!context.has_time_for(longest_s_)) return {};
  if (!bench_) PCM_TRY(begin(context, programmed, before));

  const auto total = static_cast<std::int64_t>(1 + conditions_.size() * programmed.readings.size());
  std::int64_t done = 1;
  for (const NetworkReading& reading : programmed.readings) {
    const db::SweepRow& sweep = reading.sweeps.front();
    if (before.sweeps.contains(sweep.id)) {
      done += static_cast<std::int64_t>(conditions_.size());
      continue;
    }
    if (!context.has_time_for(longest_s_)) return {};
    PCM_TRY(context.control.checkpoint());
    const auto begin = std::chrono::steady_clock::now();
    PCM_ASSIGN(State state, load(context, *bench_, reading));
    for (const std::string& condition : conditions_) {
      PCM_TRY(evaluate(context, *bench_, sweep, condition, state));
      PCM_TRY(context.report_progress("accuracy", "", ++done, total));
    }
    PCM_TRY(keep(context, *bench_, sweep, state));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    longest_s_ = std::max(longest_s_, took.count());
    PCM_TRY(look_at_condition(context));
  }
  return {};
}

}  // namespace

const std::vector<std::string> kConditions{std::string(kNone), std::string(kGdc),
                                           std::string(kGdcOffset), std::string(kAdaBs),
                                           std::string(kAdaBsGdc)};

extern const ExperimentInfo accuracy_info;
const ExperimentInfo accuracy_info{
    {"accuracy",
     "Counts correct images with the conductances of every sweep, as read and under compensations: "
     "GDC (global drift compensation), GDC with the offsets of outputs taken away, and AdaBS "
     "(adaptive batch-norm statistics).",
     {
         texts("conditions", kConditions,
               "none: as read; gdc: each layer's output divided by its drift factor; gdc+offset: "
               "also the mean error of each output's weights taken away, times the sum of its "
               "inputs (not with output_bits); adabs: batch norms adapted on training images; "
               "adabs+gdc: also GDC on layers that have no batch norm behind them, in ResNets the "
               "last one",
               kConditions),
         text("precision", "auto",
              "arithmetic of the inference; auto: bfloat16 where the CPU has it, and float32 with "
              "converters",
              {"auto", "float32", "bfloat16"}),
         integer("batch_images", "images", kDefaultBatch, 1, 10000,
                 "images in one pass of a thread"),
         text("gdc_reference", "first-sweep",
              "what GDC takes as no drift: the first sweep, the verify reads of programming, or "
              "the targets",
              {std::string(kFirstSweep), std::string(kVerify), std::string(kTargets)}),
         integer("gdc_every_pair", "", 1, 1, 32767,
                 "GDC sums the devices on every so many-th pair of bit lines; 1 = all devices of a "
                 "layer"),
         integer("calibration_batches", "", 13, 1, 1000,
                 "AdaBS: mini-batches of training images [M]"),
         integer("calibration_images", "images", 200, 1, 2000,
                 "in a mini-batch; 0.2 MB of memory each [M]"),
         real("calibration_momentum", "", 0, 0, 0.999999,
              "AdaBS: share of the old statistics that a mini-batch leaves; 0 = 0.016^(1/batches) "
              "[M]"),
         integer("calibration_seed", "", 1, 0, 9e15, "which training images are chosen"),
         integer("calibration_crop_pixels", "pixels", -1, -1, kMostCropPixels,
                 "training images are shifted by so many at most and half of them mirrored, as "
                 "networks are trained; 0 = as they are; -1 = what the network's file says, if it "
                 "comes from pcmlab-train"),
         integer("input_bits", "bits", 0, 0, 16,
                 "of the DAC in front of every analog layer; 0 = none, 8 is adequate [S]"),
         integer("output_bits", "bits", 0, 0, 16,
                 "of the ADC behind every analog layer; 0 = none, 8 is adequate [S]"),
         real("converter_range", "", 0.999, 0.5, 1,
              "share of the values of calibration images that a converter does not cut off [E]"),
         boolean("while_reading", true,
                 "counts each sweep as soon as it is read, as far as there is time before the next "
                 "one; false = all of them when reading is over"),
         real("stop_below", "", 0, 0, 1,
              "share of correct images under which the run stops: it reads no more, and goes to "
              "no further step; 0 = never"),
         text("stop_condition", std::string(kGdc), "the condition whose accuracy stop_below means",
              kConditions),
     }},
    [](const ParameterValues& values) -> std::unique_ptr<Experiment> {
      return std::make_unique<Accuracy>(values);
    },
    WeightUse::None,
    calibration_wish,
    [](const ParameterValues& values) { return values.boolean("while_reading"); },
    /*uses_board=*/false};

}  // namespace pcmlab
