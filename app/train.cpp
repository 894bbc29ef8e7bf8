// SPDX-License-Identifier: Apache-2.0
/// \file
/// `pcmlab-train`, which trains networks for the chip. Optional: it needs libtorch.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <map>

#include "app/build_info.h"
#include "app/console.h"
#include "app/exit_code.h"
#include "app/stop_on_signal.h"
#include "app/train_session.h"

namespace pcmlab::app {
namespace {

using training::training_parameters;

std::string option_name(const std::string& parameter) {
  std::string name = "--" + parameter;
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

/// One option for each training parameter; values that are given end up in `given`.
void add_parameters(CLI::App& app, std::map<std::string, ParameterValue>& given) {
  for (const Parameter& parameter : training_parameters()) {
    const std::string name = option_name(parameter.name);
    const auto keep = [&given, key = parameter.name](ParameterValue value) {
      given[key] = std::move(value);
    };
    CLI::Option* option = nullptr;
    if (const auto* on = std::get_if<bool>(&parameter.default_value)) {
      option = app.add_flag_function(
          fmt::format("{},!--no-{}", name, name.substr(2)),
          [keep](std::int64_t count) { keep(count > 0); }, parameter.help);
      option->default_str(*on ? "true" : "false");
    } else if (const auto* integer = std::get_if<std::int64_t>(&parameter.default_value)) {
      option = app.add_option_function<std::int64_t>(
          name, [keep](const std::int64_t& value) { keep(value); }, parameter.help);
      option->check(CLI::Range(static_cast<std::int64_t>(parameter.minimum),
                               static_cast<std::int64_t>(parameter.maximum)));
      option->default_str(fmt::format("{}", *integer));
      option->type_name("N");
    } else if (const auto* real = std::get_if<double>(&parameter.default_value)) {
      option = app.add_option_function<double>(
          name, [keep](const double& value) { keep(value); }, parameter.help);
      option->check(CLI::Range(parameter.minimum, parameter.maximum));
      option->default_str(fmt::format("{}", *real));
      option->type_name("X");
    } else {
      option = app.add_option_function<std::string>(
          name, [keep](const std::string& value) { keep(value); }, parameter.help);
      if (!parameter.choices.empty()) option->check(CLI::IsMember(parameter.choices));
      option->default_str(std::get<std::string>(parameter.default_value));
      option->type_name("NAME");
    }
    option->group("Training");
  }
}

int run(int argc, char** argv) {
  TrainOptions options;
  CLI::App app(
      "Trains networks that stand the noise of the chip, writes them as ONNX for `pcmlab run`, and "
      "compares what noise does to them.",
      "pcmlab-train");
  app.set_version_flag("--version", fmt::format("pcmlab-train {} ({})", kVersion, kGitRevision));
  app.add_option("--out", options.out, "folder for checkpoints, log.jsonl and network.onnx")
      ->type_name("FOLDER");
  app.add_flag("--resume", options.resume, "go on with the training in that folder");
  app.add_option("--threads", options.threads, "0 = one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_flag("--quiet", options.quiet, "no progress, only results and errors");
  app.add_option("--evaluate", options.evaluate,
                 "no training: accuracy of these networks, built in or ONNX files")
      ->type_name("FILE...");
  app.add_option("--evaluate-noise", options.etas,
                 "accuracy with Gaussian weight noise of so much, over max|w| of each layer: "
                 "0.02,0.038,0.06; after a training, or with --evaluate")
      ->delimiter(',')
      ->check(CLI::Range(0.0, 10.0))
      ->type_name("ETA,...");
  app.add_option("--evaluate-noise-model", options.evaluated_model,
                 "the same with a measured noise model")
      ->type_name("FILE");
  app.add_option("--draws", options.draws, "how often each noise is drawn")
      ->check(CLI::Range(1, 10000))
      ->capture_default_str();
  app.add_flag("--json", options.json, "results as JSON on standard output");
  app.add_option("--csv", options.csv, "results as CSV into this file too")->type_name("FILE");
  add_parameters(app, options.given);
  app.footer(
      "Exit codes: 0 done, 1 a bug, 2 wrong command line, 3 bad input (network, images, noise "
      "model, a training that diverged), 5 disk, 6 stopped.");
  try {
    app.parse(argc, argv);
    if (options.out.empty() == options.evaluate.empty()) {
      throw CLI::ValidationError("give either --out FOLDER to train or --evaluate FILE...");
    }
    if (options.resume && !options.given.empty()) {
      throw CLI::ValidationError(
          fmt::format("{} belongs to the training in the folder: --resume takes it from there",
                      option_name(options.given.begin()->first)));
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  options.program = argv[0];
  const StopOnSignal stop(
      "stopping after this step; once more to leave at once (checkpoints are safe)");
  const Result<void> result = options.evaluate.empty() ? train_and_export(options, stop.token())
                                                       : evaluate_files(options, stop.token());
  if (result) return kDone;
  print_error(result.error());
  return exit_code(result.error().code);
}

}  // namespace
}  // namespace pcmlab::app

int main(int argc, char** argv) {
  try {
    return pcmlab::app::run(argc, argv);
  } catch (const std::exception& error) {
    pcmlab::app::print_error({pcmlab::ErrorCode::Internal,
                              fmt::format("unexpected: {}", error.what()),
                              "this is a bug in pcmlab; please report it with the command line"});
    return pcmlab::app::kInternal;
  }
}
