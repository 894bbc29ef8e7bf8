// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"
#include "db/run_store.h"
#include "experiments/engine/inputs.h"
#include "experiments/exchange/fusion.h"
#include "experiments/exchange/measured_run.h"
#include "experiments/network/inference.h"

namespace pcmlab::app {
namespace {

/// FusionConverter, from the command line.
struct ConverterOptions {
  double g_max_uS = kFusionGMaxUs;
  std::size_t most_inputs = 0, most_outputs = 0;

  FusionConverter converter() const {
    return {Conductance::from_uS(g_max_uS), most_inputs, most_outputs};
  }
};

struct ExportOptions {
  db::RowId run = 0;
  std::string network;
  std::string format = "npz";
  std::filesystem::path output;
  std::filesystem::path header;
  int sweep = 0;
  ConverterOptions converter;
  bool force = false;
};

struct ImportOptions {
  std::filesystem::path csv;
  std::filesystem::path plan;
  std::vector<std::string> assignments;
  ConverterOptions converter;
};

/// The layers of a Fusion CSV: of a network, or of a run's targets or of one of its sweeps.
Result<std::vector<FusionLayer>> layers_of(const Session& session, const ExportOptions& options) {
  const FusionConverter converter = options.converter.converter();
  if (!options.network.empty()) {
    PCM_ASSIGN(const Network network, load_plan_network(options.network));
    return fusion_layers(network, converter);
  }
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  if (options.sweep == 0) {
    PCM_ASSIGN(const db::RunRow run, store.run(options.run));
    PCM_ASSIGN(const Network network, network_of(store, run));
    return fusion_layers(network, converter);
  }
  PCM_ASSIGN(const auto measured, find_measured_run(store, options.run, options.sweep));
  PCM_ASSIGN(const Network network, network_of(store, measured.run));
  PCM_ASSIGN(
      const auto magnitudes,
      measured_magnitudes(store, measured, measured.network.readings.front(), weights_of(network)));
  return fusion_layers(network, converter, magnitudes);
}

Result<void> write_fusion(const Session& session, const ExportOptions& options, OutputFile& file) {
  PCM_ASSIGN(auto layers, layers_of(session, options));
  if (!options.header.empty()) {
    PCM_ASSIGN(const auto other, read_fusion_csv(options.header));
    PCM_TRY(take_header(layers, other, options.header.string()));
  }
  return write_fusion_csv(file, layers);
}

Result<void> write_devices(const Session& session, const ExportOptions& options, OutputFile& file) {
  PCM_ASSIGN(db::RunStore store, db::RunStore::open_read_only(session.database));
  const std::optional<int> sweep =
      options.sweep == 0 ? std::nullopt : std::optional<int>(options.sweep);
  PCM_ASSIGN(const auto measured, find_measured_run(store, options.run, sweep));
  if (options.format == "npz") return write_device_npz(store, measured, file);
  if (options.format == "hdf5") return write_device_hdf5(store, measured, file);
  return write_device_csv(store, measured, file);
}

Result<void> export_run(const Session& session, const ExportOptions& options) {
  PCM_ASSIGN(OutputFile file, OutputFile::create(options.output, options.force));
  PCM_TRY(options.format == "fusion" ? write_fusion(session, options, file)
                                     : write_devices(session, options, file));
  const auto bytes = static_cast<std::int64_t>(file.size());
  PCM_TRY(file.finish());
  if (session.json) {
    fmt::print("{}\n",
               nlohmann::json{
                   {"file", options.output.string()}, {"format", options.format}, {"bytes", bytes}}
                   .dump());
  } else if (!session.quiet) {
    fmt::print("{} ({})\n", options.output.string(), bytes_text(bytes));
  }
  return {};
}

/// Root mean square of the difference over that of the reference.
double relative_difference(const std::vector<float>& values, const std::vector<float>& reference) {
  double difference = 0, power = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double d = static_cast<double>(values[i]) - static_cast<double>(reference[i]);
    difference += d * d;
    power += static_cast<double>(reference[i]) * static_cast<double>(reference[i]);
  }
  return power > 0 ? std::sqrt(difference / power) : 0;
}

Result<void> import_fusion(const Session& session, const ImportOptions& options) {
  PCM_ASSIGN(const Plan plan, load_plan(options.plan, app_plan_schema(), options.assignments));
  PCM_ASSIGN(const Network network, load_plan_network(plan.section("network")));
  PCM_ASSIGN(const auto layers, read_fusion_csv(options.csv));
  PCM_ASSIGN(const auto weights,
             fusion_weights(network, layers, options.converter.converter(), options.csv.string()));
  const ParameterValues& section = plan.section("images");
  PCM_ASSIGN(const Dataset images,
             load_plan_images(section, network, Split::Test,
                              static_cast<std::size_t>(section.integer("limit"))));
  PCM_ASSIGN(InferenceEngine engine, InferenceEngine::create(network, fastest_precision()));
  PCM_ASSIGN(const std::int64_t software, engine.count_correct(images));
  engine.set_weights(weights);
  PCM_ASSIGN(const std::int64_t correct, engine.count_correct(images));
  const double difference = relative_difference(weights, weights_of(network).values);
  const auto percent = [&](std::int64_t count) {
    return 100.0 * static_cast<double>(count) / static_cast<double>(images.count());
  };
  if (session.json) {
    fmt::print("{}\n", nlohmann::json{{"file", options.csv.string()},
                                      {"network", network.name},
                                      {"layers", layers.size()},
                                      {"weights", weights.size()},
                                      {"relative_weight_error", difference},
                                      {"images", images.count()},
                                      {"precision", to_string(fastest_precision())},
                                      {"correct", correct},
                                      {"software_correct", software}}
                           .dump(2));
    return {};
  }
  fmt::print("network      {}, {} layers in {}\n", network.name, layers.size(),
             options.csv.string());
  fmt::print("weights      {} off by {:.3f} % (root mean square, of that of the weights)\n",
             grouped(static_cast<std::int64_t>(weights.size())), 100 * difference);
  fmt::print(
      "accuracy     {:.2f} % with these conductances, {:.2f} % with the network's own weights\n",
      percent(correct), percent(software));
  fmt::print("             {} images, {}\n", grouped(static_cast<std::int64_t>(images.count())),
             to_string(fastest_precision()));
  return {};
}

void add_converter(CLI::App& command, ConverterOptions& options) {
  command
      .add_option("--g-max-uS", options.g_max_uS,
                  "fusion: conductance of the largest weight of a row; as in aihwkit's converter")
      ->check(CLI::Range(kFusionLeastGMaxUs, kFusionGMaxUs))
      ->capture_default_str();
  command
      .add_option(
          "--tile-inputs", options.most_inputs,
          "fusion: max_input_size of aihwkit's mapping; layers with more inputs are several "
          "tiles; 0 = one tile each")
      ->check(CLI::Range(std::size_t{0}, std::size_t{1000000}));
  command.add_option("--tile-outputs", options.most_outputs, "fusion: likewise max_output_size")
      ->check(CLI::Range(std::size_t{0}, std::size_t{1000000}));
}

}  // namespace

void add_export(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "export",
      "Writes conductances and where their devices are: NPZ, HDF5, CSV, or aihwkit's Fusion CSV");
  auto options = std::make_shared<ExportOptions>();
  auto* run = command->add_option("RUN", options->run, "number of the run, see `pcmlab runs`");
  auto* network = command->add_option("--network", options->network,
                                      "fusion: the targets of an ONNX file or built-in network");
  run->excludes(network);
  command->add_option("--format", options->format, "npz, hdf5, csv or fusion")
      ->check(CLI::IsMember({"npz", "hdf5", "csv", "fusion"}))
      ->capture_default_str();
  command->add_option("-o,--output", options->output, "file to write")->required();
  auto* sweep = command
                    ->add_option("--sweep", options->sweep,
                                 "this sweep alone, the first is 1; fusion: instead of the targets")
                    ->check(CLI::PositiveNumber);
  sweep->excludes(network);
  command->add_option("--header-of", options->header,
                      "fusion: ids, classes and names as in this file of fusion_export()");
  add_converter(*command, options->converter);
  command->add_flag("--force", options->force, "replace the file if there is one");
  command->callback([&session, options, run, network] {
    if (run->count() == 0 && network->count() == 0) {
      throw CLI::RequiredError("RUN (or --network)");
    }
    if (network->count() > 0 && options->format != "fusion") {
      throw CLI::ValidationError("--network",
                                 "a network alone has no devices: say --format fusion");
    }
    session.end(export_run(session, *options));
  });
}

void add_import_fusion(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "import-fusion",
      "Accuracy with the conductances of a Fusion CSV, on a plan's network and images");
  auto options = std::make_shared<ImportOptions>();
  command->add_option("CSV", options->csv, "conductances as aihwkit exchanges them")->required();
  command->add_option("PLAN", options->plan, "plan file that names network and images")->required();
  add_plan_assignments(*command, options->assignments);
  add_converter(*command, options->converter);
  command->callback([&session, options] { session.end(import_fusion(session, *options)); });
}

}  // namespace pcmlab::app
