// SPDX-License-Identifier: Apache-2.0
#include "experiments/exchange/measured_run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "experiments/exchange/device_places.h"
#include "experiments/exchange/npz_writer.h"
#include "experiments/programming/conductance_mapping.h"
#include "experiments/retention/measured_conductances.h"

namespace pcmlab {
namespace {

/// Writes an array of one number a device, some thousand devices at a time.
template <class Number, class Next>
Result<void> write_array(NpzWriter& npz, const std::string& name, std::size_t devices,
                         const Next& next) {
  PCM_TRY(npz.begin(name, NpzWriter::type_of(Number{}), {devices}));
  constexpr std::size_t kPart = 65536;
  std::vector<Number> part;
  for (std::size_t d = 0; d < devices; ++d) {
    part.push_back(next(d));
    if (part.size() == kPart || d + 1 == devices) {
      PCM_TRY(npz.add(std::span<const Number>(part)));
      part.clear();
    }
  }
  return npz.end();
}

template <class Number, class Get>
std::vector<Number> column_of(const std::vector<db::LayerRow>& layers, const Get& get) {
  std::vector<Number> column;
  for (const db::LayerRow& layer : layers) column.push_back(static_cast<Number>(get(layer)));
  return column;
}

Result<void> write_layers(NpzWriter& npz, const std::vector<db::LayerRow>& layers) {
  std::vector<std::string> names;
  for (const db::LayerRow& layer : layers) names.push_back(layer.name);
  PCM_TRY(npz.texts("layer_name", names));
  const auto whole = [&](const std::string& name, const auto& get) {
    const auto column = column_of<std::int64_t>(layers, get);
    return npz.array(name, std::span(column));
  };
  const auto real = [&](const std::string& name, const auto& get) {
    const auto column = column_of<double>(layers, get);
    return npz.array(name, std::span(column));
  };
  PCM_TRY(whole("layer_rows", [](const db::LayerRow& layer) { return layer.rows; }));
  PCM_TRY(whole("layer_columns", [](const db::LayerRow& layer) { return layer.columns; }));
  PCM_TRY(whole("layer_first_weight", [](const db::LayerRow& l) { return l.first_weight; }));
  PCM_TRY(real("layer_max_abs_weight", [](const db::LayerRow& l) { return l.max_abs_weight; }));
  PCM_TRY(real("layer_g_max_uS", [](const db::LayerRow& layer) { return layer.g_max_uS; }));
  const std::vector<float> scales = row_max_abs_weights(layers);
  return npz.array("row_max_abs_weight", std::span<const float>(scales));
}

Result<void> write_sweeps(db::RunStore& store, const MeasuredRun& measured, NpzWriter& npz) {
  std::vector<std::int64_t> numbers(measured.numbers.begin(), measured.numbers.end());
  std::vector<double> after_s;
  const std::vector<NetworkReading>& readings = measured.network.readings;
  for (const NetworkReading& reading : readings) after_s.push_back(reading.after_s());
  PCM_TRY(npz.array("sweep_number", std::span<const std::int64_t>(numbers)));
  PCM_TRY(npz.array("sweep_after_s", std::span<const double>(after_s)));
  PCM_TRY(npz.begin("measured_uS", NpzWriter::type_of(float{}),
                    {readings.size(), measured.addresses.size()}));
  for (const NetworkReading& reading : readings) {
    PCM_ASSIGN(const std::vector<float> g_uS, conductances_uS(store, reading));
    PCM_TRY(npz.add(std::span<const float>(g_uS)));
  }
  return npz.end();
}

/// A field of a CSV line, in quotes when it must be.
std::string csv_text(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? "\"\"" : std::string(1, c);
  return out + "\"";
}

}  // namespace

Result<MeasuredRun> find_measured_run(db::RunStore& store, db::RowId run,
                                      std::optional<int> sweep) {
  MeasuredRun measured;
  PCM_ASSIGN(measured.run, store.run(run));
  PCM_ASSIGN(measured.network, programmed_network(store, run));
  ProgrammedNetwork& network = measured.network;
  if (network.fillings.empty()) {
    return fail(ErrorCode::NotFound,
                fmt::format("run {} has no complete programming of weights", run),
                "choose a run that came to the end of its program step, see `pcmlab runs`");
  }
  PCM_ASSIGN(measured.addresses, addresses(store, network));
  PCM_ASSIGN(measured.targets_uS, targets_uS(store, network));
  std::int64_t weights = 0;
  for (const db::LayerRow& layer : network.layers) {
    weights = std::max(weights, layer.first_weight + layer.rows * layer.columns);
  }
  const auto placed = static_cast<std::int64_t>(measured.addresses.size() / 2);
  if (placed > weights) {
    return fail(ErrorCode::BadFile,
                fmt::format("run {} has {} weights on the chip, but its layers own {}", run, placed,
                            weights),
                "the database is damaged; see db/README.md");
  }
  const auto count = static_cast<int>(network.readings.size());
  if (sweep && (*sweep < 1 || *sweep > count)) {
    return fail(ErrorCode::NotFound, fmt::format("run {} has no sweep {}", run, *sweep),
                count == 0 ? "it has no complete sweep: leave --sweep out"
                           : fmt::format("its complete sweeps are 1 to {}", count));
  }
  if (sweep) {
    network.readings = {network.readings[static_cast<std::size_t>(*sweep - 1)]};
    measured.numbers = {*sweep};
  } else {
    measured.numbers.resize(network.readings.size());
    std::iota(measured.numbers.begin(), measured.numbers.end(), 1);
  }
  return measured;
}

Result<Network> network_of(db::RunStore& store, const db::RunRow& run) {
  PCM_ASSIGN(const db::NetworkRow row, store.network(run.network_sha256));
  PCM_ASSIGN(Network network, parse_network(row.onnx, row.name));
  // Layers that the run did not put onto the chip stayed in software.
  PCM_ASSIGN(const auto steps, store.steps(run.id));
  for (const db::StepRow& step : steps) {
    PCM_ASSIGN(const auto layers, store.layers(step.id));
    if (layers.empty()) continue;
    for (Node& node : network.nodes) {
      const bool has_weights = std::holds_alternative<ConvNode>(node.kind) ||
                               std::holds_alternative<DenseNode>(node.kind);
      node.digital =
          has_weights && std::none_of(layers.begin(), layers.end(), [&](const db::LayerRow& layer) {
            return layer.name == node.name;
          });
    }
  }
  return network;
}

Result<std::vector<float>> measured_magnitudes(db::RunStore& store, const MeasuredRun& measured,
                                               const NetworkReading& reading,
                                               const WeightSet& weights) {
  PCM_ASSIGN(std::vector<float> g_uS, conductances_uS(store, reading));
  const std::size_t count = weights.values.size();
  if (g_uS.size() != 2 * count) {
    return fail(ErrorCode::NotFound,
                fmt::format("run {} has {} devices on the chip, but its network has {} weights",
                            measured.run.id, g_uS.size(), count),
                "choose a run that programmed all of its network");
  }
  for (std::size_t w = 0; w < count; ++w) {
    const float weight = weights.values[w];
    if (weight >= 0) g_uS[2 * w + 1] = 0;
    if (weight <= 0) g_uS[2 * w] = 0;
  }
  std::vector<float> values = ConductanceMapping(measured.network.layers).weights(g_uS);
  for (std::size_t w = 0; w < count; ++w) {
    if (weights.values[w] < 0) values[w] = -values[w];
  }
  return values;
}

Result<void> write_device_csv(db::RunStore& store, const MeasuredRun& measured, OutputFile& file) {
  PCM_ASSIGN(const auto result, programming_result(store, measured.network));
  std::vector<std::vector<float>> g_uS;  // by reading
  std::string line =
      "layer,weight,row,column,polarity,word_line,bit_line,weight_per_uS,target_uS,verdict,"
      "iterations,pulses";
  for (std::size_t i = 0; i < measured.network.readings.size(); ++i) {
    PCM_ASSIGN(auto of_reading, conductances_uS(store, measured.network.readings[i]));
    g_uS.push_back(std::move(of_reading));
    fmt::format_to(std::back_inserter(line), ",sweep_{}_uS", measured.numbers[i]);
  }
  PCM_TRY(file.write(line + "\n"));
  std::vector<std::string> names;
  for (const db::LayerRow& layer : measured.network.layers) names.push_back(csv_text(layer.name));
  const std::vector<float> per_uS = weights_per_uS(measured.network.layers);
  Places places(measured.network.layers);
  for (std::size_t d = 0; d < measured.addresses.size(); ++d) {
    const Place place = places.next();
    line.clear();
    fmt::format_to(std::back_inserter(line), "{},{},{},{},{},{},{},{},{},{},{},{}",
                   names[place.layer], place.weight, place.row, place.column, place.polarity,
                   measured.addresses[d].word_line.index, measured.addresses[d].bit_line.index,
                   per_uS[static_cast<std::size_t>(place.weight)], measured.targets_uS[d],
                   db::to_string(result.verdicts[d]), result.iterations[d], result.pulses[d]);
    for (const std::vector<float>& of_reading : g_uS) {
      fmt::format_to(std::back_inserter(line), ",{}", of_reading[d]);
    }
    line += '\n';
    PCM_TRY(file.write(line));
  }
  return {};
}

Result<void> write_device_npz(db::RunStore& store, const MeasuredRun& measured, OutputFile& file) {
  NpzWriter npz(file);
  PCM_TRY(write_layers(npz, measured.network.layers));
  const std::size_t devices = measured.addresses.size();
  const auto by_place = [&]<class Number>(const std::string& name, Number, const auto& get) {
    Places places(measured.network.layers);
    return write_array<Number>(
        npz, name, devices, [&](std::size_t) { return static_cast<Number>(get(places.next())); });
  };
  PCM_TRY(by_place("layer", std::int32_t{}, [](const Place& place) { return place.layer; }));
  PCM_TRY(by_place("weight", std::int64_t{}, [](const Place& place) { return place.weight; }));
  PCM_TRY(by_place("row", std::int32_t{}, [](const Place& place) { return place.row; }));
  PCM_TRY(by_place("column", std::int32_t{}, [](const Place& place) { return place.column; }));
  PCM_TRY(by_place("polarity", std::int8_t{}, [](const Place& place) { return place.polarity; }));
  PCM_TRY(write_array<std::uint16_t>(npz, "word_line", devices, [&](std::size_t d) {
    return measured.addresses[d].word_line.index;
  }));
  PCM_TRY(write_array<std::uint16_t>(npz, "bit_line", devices, [&](std::size_t d) {
    return measured.addresses[d].bit_line.index;
  }));
  const std::vector<float> per_uS = weights_per_uS(measured.network.layers);
  PCM_TRY(by_place("weight_per_uS", float{}, [&](const Place& place) {
    return per_uS[static_cast<std::size_t>(place.weight)];
  }));
  PCM_TRY(npz.array("target_uS", std::span<const float>(measured.targets_uS)));
  {
    PCM_ASSIGN(const auto result, programming_result(store, measured.network));
    PCM_TRY(write_array<std::uint8_t>(npz, "verdict", devices, [&](std::size_t d) {
      return static_cast<std::uint8_t>(result.verdicts[d]);
    }));
    PCM_TRY(npz.array("iterations", std::span<const std::uint8_t>(result.iterations)));
    PCM_TRY(npz.array("pulses", std::span<const std::uint16_t>(result.pulses)));
  }
  std::vector<std::string> verdicts;
  for (int v = 0; v <= static_cast<int>(db::Verdict::StuckHigh); ++v) {
    verdicts.emplace_back(db::to_string(static_cast<db::Verdict>(v)));
  }
  PCM_TRY(npz.texts("verdict_name", verdicts));
  PCM_TRY(write_sweeps(store, measured, npz));
  return npz.finish();
}

}  // namespace pcmlab
