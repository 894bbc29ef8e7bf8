// SPDX-License-Identifier: Apache-2.0
// A measured run as HDF5: README.md has the layout.
#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "experiments/exchange/device_places.h"
#include "experiments/exchange/hdf5_writer.h"
#include "experiments/exchange/measured_run.h"
#include "experiments/retention/measured_conductances.h"

namespace pcmlab {
namespace {

constexpr std::int64_t kLayoutVersion = 1;
constexpr std::size_t kPartDevices = 65536;

// Dimensions. A device's or sweep's place in them is its label.
constexpr const char *kDevice = "device", *kSweep = "sweep", *kLayerNumber = "layer_number",
                     *kLayerRow = "layer_row", *kFilling = "filling_number",
                     *kAccuracy = "accuracy", *kEvent = "event";

/// What a dataset is and its unit; empty: it has none.
Hdf5Attributes about(const std::string& long_name, const std::string& units = {}) {
  Hdf5Attributes attributes{{"long_name", long_name}};
  if (!units.empty()) attributes.push_back({"units", units});
  return attributes;
}

/// Likewise for numbers that stand for words, as the CF conventions have it.
template <class Value>
Hdf5Attributes about_words(const std::string& long_name, Value last) {
  std::vector<std::uint8_t> values;
  std::string meanings;
  for (int v = 0; v <= static_cast<int>(last); ++v) {
    std::string meaning(db::to_string(static_cast<Value>(v)));
    std::replace(meaning.begin(), meaning.end(), ' ', '_');
    values.push_back(static_cast<std::uint8_t>(v));
    meanings += (v == 0 ? "" : " ") + meaning;
  }
  Hdf5Attributes attributes = about(long_name);
  attributes.push_back({"flag_values", values});
  attributes.push_back({"flag_meanings", meanings});
  return attributes;
}

class RunWriter {
 public:
  RunWriter(db::RunStore& store, const MeasuredRun& measured, Hdf5Writer& out)
      : store_(store), measured_(measured), out_(out) {}

  Result<void> write() {
    PCM_TRY(describe());
    PCM_TRY(write_dimensions());
    PCM_TRY(write_layers());
    PCM_TRY(write_fillings());
    PCM_TRY(write_devices());
    PCM_TRY(write_results());
    PCM_TRY(write_sweep_settings());
    PCM_TRY(write_readings());
    PCM_TRY(write_drift());
    PCM_TRY(write_accuracies());
    return write_events();
  }

 private:
  const std::vector<db::ProgrammingRow>& fillings() const { return measured_.network.fillings; }
  const std::vector<NetworkReading>& readings() const { return measured_.network.readings; }

  Result<void> describe() {
    const db::RunRow& run = measured_.run;
    return out_.describe({{"title", fmt::format("pcmlab run {}", run.name)},
                          {"layout_version", kLayoutVersion},
                          {"run_uuid", run.uuid},
                          {"run_id", run.id},
                          {"run_name", run.name},
                          {"state", std::string(db::to_string(run.state))},
                          {"started_utc", run.started_utc},
                          {"ended_utc", run.ended_utc},
                          {"error", run.error},
                          {"operator_name", run.operator_name},
                          {"sample", run.sample},
                          {"tags", fmt::format("{}", fmt::join(run.tags, " "))},
                          {"plan", run.plan_text},
                          {"seed", run.seed},
                          {"program_version", run.program_version},
                          {"git_revision", run.git_revision},
                          {"host", run.host},
                          {"board_serial", run.board_serial},
                          {"board_firmware", run.board_firmware},
                          {"board_description", run.board_description},
                          {"network_name", run.network_name},
                          {"network_sha256", run.network_sha256},
                          {"images", run.images}});
  }

  /// Labels 0, 1, 2, ...
  Result<void> count_dimension(const char* name, std::size_t extent, const std::string& long_name) {
    std::vector<std::int32_t> labels(extent);
    std::iota(labels.begin(), labels.end(), 0);
    return out_.dimension(name, std::span<const std::int32_t>(labels), about(long_name));
  }

  Result<void> write_dimensions() {
    PCM_TRY(count_dimension(kDevice, measured_.addresses.size(),
                            "index of the device: 2 * weight, 1 more for the negative one"));
    const std::vector<std::int32_t> numbers(measured_.numbers.begin(), measured_.numbers.end());
    PCM_TRY(out_.dimension(kSweep, std::span<const std::int32_t>(numbers),
                           about("number of the sweep, from 1, by time")));
    PCM_TRY(count_dimension(kLayerNumber, measured_.network.layers.size(), "layer of the network"));
    return count_dimension(kFilling, fillings().size(), "filling of the array, one after another");
  }

  /// A dataset along one dimension, a number for each of some values.
  template <class Number, class Values, class Get>
  Result<void> column(const char* dimension, const std::string& name, const Values& values,
                      const Get& get, const Hdf5Attributes& attributes) {
    std::vector<Number> numbers;
    for (const auto& value : values) numbers.push_back(static_cast<Number>(get(value)));
    return out_.array(name, {dimension}, std::span<const Number>(numbers), attributes);
  }
  template <class Values, class Get>
  Result<void> words(const char* dimension, const std::string& name, const Values& values,
                     const Get& get, const Hdf5Attributes& attributes) {
    std::vector<std::string> texts;
    for (const auto& value : values) texts.push_back(get(value));
    return out_.texts(name, {dimension}, texts, attributes);
  }

  Result<void> write_layers() {
    const auto& layers = measured_.network.layers;
    using Layer = db::LayerRow;
    PCM_TRY(words(
        kLayerNumber, "layer_name", layers, [](const Layer& l) { return l.name; },
        about("name in the network")));
    PCM_TRY(column<std::int64_t>(
        kLayerNumber, "layer_rows", layers, [](const Layer& l) { return l.rows; },
        about("outputs")));
    PCM_TRY(column<std::int64_t>(
        kLayerNumber, "layer_columns", layers, [](const Layer& l) { return l.columns; },
        about("inputs, with the bias where there is one")));
    PCM_TRY(column<std::int64_t>(
        kLayerNumber, "layer_first_weight", layers, [](const Layer& l) { return l.first_weight; },
        about("its first weight, row by row")));
    PCM_TRY(column<double>(
        kLayerNumber, "layer_max_abs_weight", layers,
        [](const Layer& l) { return l.max_abs_weight; }, about("largest |W|, after clipping")));
    PCM_TRY(column<double>(
        kLayerNumber, "layer_g_max_uS", layers, [](const Layer& l) { return l.g_max_uS; },
        about("what the largest |W| becomes", "uS")));
    const std::vector<float> scales = row_max_abs_weights(layers);
    PCM_TRY(count_dimension(kLayerRow, scales.size(), "row of a layer, layer after layer"));
    return out_.array("row_max_abs_weight", {kLayerRow}, std::span<const float>(scales),
                      about("what layer_g_max_uS stands for in the row"));
  }

  Result<void> write_fillings() {
    using Filling = db::ProgrammingRow;
    const auto whole = [&](const std::string& name, const auto& get, const std::string& long_name,
                           const std::string& units) {
      return column<std::int64_t>(kFilling, name, fillings(), get, about(long_name, units));
    };
    const auto real = [&](const std::string& name, const auto& get, const std::string& long_name,
                          const std::string& units) {
      return column<double>(kFilling, name, fillings(), get, about(long_name, units));
    };
    PCM_TRY(whole("programming_id", [](const Filling& f) { return f.id; }, "number in the database",
                  {}));
    PCM_TRY(whole("programming_iterations", [](const Filling& f) { return f.iterations; },
                  "iterations of program-and-verify", {}));
    PCM_TRY(whole("programming_pulses", [](const Filling& f) { return f.pulses; },
                  "pulses that the board acknowledged", {}));
    PCM_TRY(whole(
        "programming_end_tick_ns", [](const Filling& f) { return f.end_tick_ns; },
        "board time when the last pulse was over", "ns"));
    PCM_TRY(whole("verify_samples", [](const Filling& f) { return f.verify_samples; },
                  "ADC codes in a sum of the verify reads", {}));
    PCM_TRY(real(
        "verify_gain_uS_per_code", [](const Filling& f) { return f.gain_uS_per_code; },
        "calibration of the verify reads", "uS"));
    return real(
        "verify_offset_uS", [](const Filling& f) { return f.offset_uS; },
        "calibration of the verify reads", "uS");
  }

  /// A dataset of one number a device, some thousand devices at a time.
  template <class Number, class Next>
  Result<void> by_device(const std::string& name, const Next& next,
                         const Hdf5Attributes& attributes) {
    const std::size_t devices = measured_.addresses.size();
    PCM_TRY(out_.begin(name, {kDevice}, Hdf5Writer::type_of(Number{}), attributes));
    std::vector<Number> part;
    for (std::size_t d = 0; d < devices; ++d) {
      part.push_back(static_cast<Number>(next(d)));
      if (part.size() == kPartDevices || d + 1 == devices) {
        PCM_TRY(out_.add(0, d + 1 - part.size(), std::span<const Number>(part)));
        part.clear();
      }
    }
    return out_.end();
  }
  template <class Number, class Get>
  Result<void> by_place(const std::string& name, const Get& get, const Hdf5Attributes& attributes) {
    Places places(measured_.network.layers);
    return by_device<Number>(
        name, [&](std::size_t) { return get(places.next()); }, attributes);
  }

  Result<void> write_devices() {
    PCM_TRY(by_place<std::int32_t>(
        "layer", [](const Place& place) { return place.layer; }, about("place in layer_number")));
    PCM_TRY(by_place<std::int64_t>(
        "weight", [](const Place& place) { return place.weight; },
        about("among all weights of the network")));
    PCM_TRY(by_place<std::int32_t>(
        "row", [](const Place& place) { return place.row; }, about("output of the layer")));
    PCM_TRY(by_place<std::int32_t>(
        "column", [](const Place& place) { return place.column; }, about("input of the layer")));
    PCM_TRY(by_place<std::int8_t>(
        "polarity", [](const Place& place) { return place.polarity; },
        about("1: adds to the weight, -1: takes from it")));
    PCM_TRY(by_device<std::uint16_t>(
        "word_line", [&](std::size_t d) { return measured_.addresses[d].word_line.index; },
        about("where it is on the chip")));
    PCM_TRY(by_device<std::uint16_t>(
        "bit_line", [&](std::size_t d) { return measured_.addresses[d].bit_line.index; },
        about("where it is on the chip")));
    const std::vector<float> per_uS = weights_per_uS(measured_.network.layers);
    PCM_TRY(by_place<float>(
        "weight_per_uS",
        [&](const Place& place) { return per_uS[static_cast<std::size_t>(place.weight)]; },
        about("W = (G+ - G-) times this", "uS-1")));
    return out_.array("target_uS", {kDevice}, std::span<const float>(measured_.targets_uS),
                      about("0: the RESET device of a pair", "uS"));
  }

  Result<void> write_results() {
    PCM_ASSIGN(db::ProgrammingResult result, programming_result(store_, measured_.network));
    std::vector<std::size_t> ends;
    for (const db::ProgrammingRow& filling : fillings()) {
      PCM_ASSIGN(const db::Placement placement, store_.placement(filling.id));
      ends.push_back((ends.empty() ? 0 : ends.back()) + placement.addresses.size());
    }
    PCM_TRY(by_device<std::int32_t>(
        "filling",
        [&](std::size_t d) { return std::upper_bound(ends.begin(), ends.end(), d) - ends.begin(); },
        about("place in filling_number")));
    PCM_TRY(by_device<std::uint8_t>(
        "verdict", [&](std::size_t d) { return result.verdicts[d]; },
        about_words("how its programming ended", db::Verdict::StuckHigh)));
    PCM_TRY(out_.array("iterations", {kDevice}, std::span<const std::uint8_t>(result.iterations),
                       about("iterations until its verdict")));
    PCM_TRY(out_.array("pulses", {kDevice}, std::span<const std::uint16_t>(result.pulses),
                       about("pulses in this programming")));
    PCM_TRY(by_device<float>(
        "last_amplitude_uA", [&](std::size_t d) { return result.last_amplitudes_10nA[d] / 100.0; },
        about("amplitude of its last pulse", "uA")));
    PCM_TRY(out_.array("verified_code_sum", {kDevice},
                       std::span<const std::uint16_t>(result.last_code_sums),
                       about("sum of verify_samples ADC codes of its last verify read")));
    last_pulse_ticks_ns_ = std::move(result.last_pulse_ticks_ns);
    return out_.array("last_pulse_tick_ns", {kDevice},
                      std::span<const std::int64_t>(last_pulse_ticks_ns_),
                      about("board time of its last pulse", "ns"));
  }

  /// Numbers of every sweep of every filling.
  template <class Number, class Get>
  Result<void> by_sweep(const std::string& name, const Get& get, const std::string& long_name,
                        const std::string& units = {}) {
    std::vector<Number> numbers;
    for (const NetworkReading& reading : readings()) {
      for (const db::SweepRow& sweep : reading.sweeps) {
        numbers.push_back(static_cast<Number>(get(sweep)));
      }
    }
    return out_.array(name, {kSweep, kFilling}, std::span<const Number>(numbers),
                      about(long_name, units));
  }

  Result<void> write_sweep_settings() {
    using Sweep = db::SweepRow;
    PCM_TRY(column<double>(
        kSweep, "sweep_after_s", readings(),
        [](const NetworkReading& reading) { return reading.after_s(); },
        about("middle of the sweep after the end of programming", "s")));
    PCM_TRY(column<double>(
        kSweep, "sweep_scheduled_s", readings(),
        [](const NetworkReading& reading) { return reading.sweeps.front().scheduled_s; },
        about("when it should begin after the end of programming", "s")));
    PCM_TRY(column<std::int32_t>(
        kSweep, "sweep_repeat", readings(),
        [](const NetworkReading& reading) { return reading.sweeps.front().repeat; },
        about("from 0, among the sweeps of one scheduled time")));
    PCM_TRY(by_sweep<std::int64_t>(
        "sweep_id", [](const Sweep& s) { return s.id; }, "number in the database"));
    PCM_TRY(by_sweep<double>(
        "after_s", [](const Sweep& s) { return s.after_s; },
        "middle of the sweep after the end of the filling's programming", "s"));
    PCM_TRY(by_sweep<double>(
        "slip_s", [](const Sweep& s) { return s.slip_s; }, "how much later than scheduled it began",
        "s"));
    PCM_TRY(by_sweep<std::int64_t>(
        "first_tick_ns", [](const Sweep& s) { return s.stamp.first_tick_ns; },
        "board time of the first device", "ns"));
    PCM_TRY(by_sweep<std::int64_t>(
        "last_tick_ns", [](const Sweep& s) { return s.stamp.last_tick_ns; },
        "board time of the last device", "ns"));
    PCM_TRY(by_sweep<std::int32_t>(
        "samples", [](const Sweep& s) { return s.samples; }, "ADC codes in a code_sum"));
    PCM_TRY(by_sweep<double>(
        "read_voltage_mV", [](const Sweep& s) { return s.read_voltage_mV; }, "read voltage", "mV"));
    PCM_TRY(by_sweep<double>(
        "gain_uS_per_code", [](const Sweep& s) { return s.gain_uS_per_code; },
        "calibration: measured_uS = gain * code_sum / samples + offset", "uS"));
    PCM_TRY(by_sweep<double>(
        "offset_uS", [](const Sweep& s) { return s.offset_uS; }, "calibration", "uS"));
    return by_sweep<double>(
        "temperature_K", [](const Sweep& s) { return s.temperature_K; }, "temperature of the chip",
        "K");
  }

  /// One dataset [sweep, device]; `numbers(sweep, code sums, first)` of the devices from `first`
  /// on.
  template <class Number, class Numbers>
  Result<void> by_reading(const std::string& name, const Hdf5Attributes& attributes,
                          const Numbers& numbers) {
    PCM_TRY(out_.begin(name, {kSweep, kDevice}, Hdf5Writer::type_of(Number{}), attributes));
    for (std::size_t r = 0; r < readings().size(); ++r) {
      std::size_t first = 0;
      for (const db::SweepRow& sweep : readings()[r].sweeps) {
        PCM_ASSIGN(const std::vector<Number> part, numbers(sweep, first));
        PCM_TRY(out_.add(r, first, std::span<const Number>(part)));
        first += part.size();
      }
    }
    return out_.end();
  }

  Result<void> write_readings() {
    PCM_TRY(by_reading<std::uint16_t>(
        "code_sum", about("sum of the ADC codes, as the board gave it"),
        [&](const db::SweepRow& sweep, std::size_t) { return store_.sweep_code_sums(sweep.id); }));
    PCM_TRY(by_reading<float>(
        "measured_uS", about("conductance", "uS"),
        [&](const db::SweepRow& sweep, std::size_t) -> Result<std::vector<float>> {
          PCM_ASSIGN(const auto code_sums, store_.sweep_code_sums(sweep.id));
          return conductances_uS(code_sums, {sweep.gain_uS_per_code, sweep.offset_uS},
                                 sweep.samples);
        }));
    return by_reading<float>(
        "age_s", about("time since the device's own last pulse", "s"),
        [&](const db::SweepRow& sweep, std::size_t first) { return ages_s(sweep, first); });
  }

  /// The devices of a block are read one after another, each for as long as the others.
  Result<std::vector<float>> ages_s(const db::SweepRow& sweep, std::size_t first) {
    std::vector<float> ages;
    PCM_ASSIGN(const auto blocks, store_.sweep_times(sweep.id));
    for (const db::SweepTimes& block : blocks) {
      const auto took_ns = static_cast<double>(block.last_tick_ns - block.first_tick_ns);
      for (std::int64_t d = 0; d < block.device_count; ++d) {
        const double part =
            (static_cast<double>(d) + 0.5) / static_cast<double>(block.device_count);
        const std::int64_t tick_ns =
            block.first_tick_ns + static_cast<std::int64_t>(took_ns * part);
        const std::int64_t age_ns = tick_ns - last_pulse_ticks_ns_[first + ages.size()];
        ages.push_back(static_cast<float>(1e-9 * static_cast<double>(age_ns)));
      }
    }
    return ages;
  }

  /// Nothing where no filling was fitted.
  Result<void> write_drift() {
    PCM_ASSIGN(const auto all, store_.drift_fits(measured_.run.id));
    std::vector<db::DriftFitRow> fits;  // of each filling; number 0: there is none
    for (const db::ProgrammingRow& filling : fillings()) {
      const auto found = std::find_if(all.begin(), all.end(), [&](const db::DriftFitRow& fit) {
        return fit.programming == filling.id;
      });
      fits.push_back(found == all.end() ? db::DriftFitRow{} : *found);
    }
    using Fit = db::DriftFitRow;
    if (std::all_of(fits.begin(), fits.end(), [](const Fit& fit) { return fit.id == 0; })) {
      return {};
    }
    PCM_TRY(words(
        kFilling, "drift_method", fits, [](const Fit& fit) { return fit.method; },
        about("how drift was fitted; empty: not at all")));
    PCM_TRY(column<std::int32_t>(
        kFilling, "drift_sweeps", fits, [](const Fit& fit) { return fit.sweeps; },
        about("sweeps that went into the fits")));
    PCM_TRY(column<double>(
        kFilling, "drift_first_s", fits, [](const Fit& fit) { return fit.first_s; },
        about("youngest reading that went into the fits", "s")));
    PCM_TRY(column<double>(
        kFilling, "drift_last_s", fits, [](const Fit& fit) { return fit.last_s; },
        about("oldest reading that went into the fits", "s")));
    PCM_TRY(column<double>(
        kFilling, "drift_t0_s", fits, [](const Fit& fit) { return fit.t0_s; },
        about("age that drift_g_t0_uS is for", "s")));
    constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
    PCM_TRY(
        by_fit<float>(fits, "drift_exponent",
                      about("g = drift_g_t0_uS * (age / drift_t0_s) ** -drift_exponent; NaN: none"),
                      kNone, [](const db::DriftFits& of) { return of.exponents; }));
    PCM_TRY(by_fit<float>(fits, "drift_exponent_error", about("standard error of the exponent"),
                          kNone, [](const db::DriftFits& of) { return of.exponent_errors; }));
    PCM_TRY(by_fit<float>(fits, "drift_g_t0_uS", about("fitted conductance at drift_t0_s", "uS"),
                          kNone, [](const db::DriftFits& of) { return of.g_t0_uS; }));
    return by_fit<std::uint8_t>(fits, "drift_class",
                                about_words("how it drifts", db::DriftClass::Backwards), 0,
                                [](const db::DriftFits& of) {
                                  std::vector<std::uint8_t> classes;
                                  for (const db::DriftClass c : of.classes)
                                    classes.push_back(static_cast<std::uint8_t>(c));
                                  return classes;
                                });
  }

  /// A number a device from the fits of its filling; `none` where that has none.
  template <class Number, class Get>
  Result<void> by_fit(const std::vector<db::DriftFitRow>& fits, const std::string& name,
                      const Hdf5Attributes& attributes, Number none, const Get& get) {
    PCM_TRY(out_.begin(name, {kDevice}, Hdf5Writer::type_of(Number{}), attributes));
    std::size_t first = 0;
    for (std::size_t f = 0; f < fits.size(); ++f) {
      PCM_ASSIGN(const db::Placement placement, store_.placement(fillings()[f].id));
      std::vector<Number> numbers(placement.addresses.size(), none);
      if (fits[f].id != 0) {
        PCM_ASSIGN(const db::DriftFits devices, store_.drift_of_devices(fits[f].id));
        numbers = get(devices);
      }
      PCM_TRY(out_.add(0, first, std::span<const Number>(numbers)));
      first += numbers.size();
    }
    return out_.end();
  }

  /// 0: of the network's own weights; none: of a sweep that is not written.
  std::optional<int> sweep_number(const db::AccuracyRow& accuracy) const {
    if (!accuracy.sweep) return 0;
    for (std::size_t r = 0; r < readings().size(); ++r) {
      const auto& sweeps = readings()[r].sweeps;
      const bool is_it = std::any_of(sweeps.begin(), sweeps.end(), [&](const db::SweepRow& sweep) {
        return sweep.id == accuracy.sweep;
      });
      if (is_it) return measured_.numbers[r];
    }
    return std::nullopt;
  }

  Result<void> write_accuracies() {
    PCM_ASSIGN(auto all, store_.accuracies(measured_.run.id));
    std::erase_if(all, [&](const db::AccuracyRow& accuracy) { return !sweep_number(accuracy); });
    using Row = db::AccuracyRow;
    PCM_TRY(count_dimension(kAccuracy, all.size(), "pass of test images"));
    const auto texts = [&](const std::string& name, const auto& get, const std::string& long_name) {
      return words(kAccuracy, name, all, get, about(long_name));
    };
    const auto whole = [&](const std::string& name, const auto& get, const std::string& long_name) {
      return column<std::int32_t>(kAccuracy, name, all, get, about(long_name));
    };
    PCM_TRY(whole(
        "accuracy_sweep", [&](const Row& row) { return sweep_number(row).value_or(0); },
        "label of its sweep; 0: the network's own weights, in software"));
    PCM_TRY(column<double>(
        kAccuracy, "accuracy_after_s", all, [](const Row& row) { return row.after_s; },
        about("time after the end of programming", "s")));
    PCM_TRY(texts(
        "accuracy_compensation", [](const Row& row) { return row.compensation; },
        "software, none, gdc, gdc+offset, adabs, adabs+gdc"));
    PCM_TRY(texts(
        "accuracy_reference", [](const Row& row) { return row.reference; }, "what GDC divided by"));
    PCM_TRY(texts(
        "accuracy_precision", [](const Row& row) { return row.precision; }, "of the inference"));
    PCM_TRY(whole(
        "accuracy_input_bits", [](const Row& row) { return row.input_bits; },
        "bits of converters in front of analog layers, 0: none"));
    PCM_TRY(whole(
        "accuracy_output_bits", [](const Row& row) { return row.output_bits; },
        "bits of converters behind analog layers, 0: none"));
    PCM_TRY(whole(
        "accuracy_images", [](const Row& row) { return row.images; }, "test images"));
    return whole(
        "accuracy_correct", [](const Row& row) { return row.correct; },
        "test images that were recognised");
  }

  Result<void> write_events() {
    PCM_ASSIGN(const auto events, store_.events(measured_.run.id));
    using Event = db::EventRow;
    PCM_TRY(count_dimension(kEvent, events.size(), "what a person should know"));
    PCM_TRY(words(
        kEvent, "event_utc", events, [](const Event& event) { return event.utc; },
        about("when, ISO 8601")));
    PCM_TRY(words(
        kEvent, "event_kind", events, [](const Event& event) { return event.kind; },
        about("gap, fault, slip, info")));
    return words(
        kEvent, "event_text", events, [](const Event& event) { return event.text; },
        about("what happened"));
  }

  db::RunStore& store_;
  const MeasuredRun& measured_;
  Hdf5Writer& out_;
  std::vector<std::int64_t> last_pulse_ticks_ns_;  ///< by device, from write_results() on
};

}  // namespace

Result<void> write_device_hdf5(db::RunStore& store, const MeasuredRun& measured, OutputFile& file) {
  PCM_ASSIGN(Hdf5Writer out, Hdf5Writer::create(file));
  PCM_TRY(RunWriter(store, measured, out).write());
  return out.finish();
}

}  // namespace pcmlab
