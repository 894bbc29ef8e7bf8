// SPDX-License-Identifier: Apache-2.0
#include "app/train_session.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "app/console.h"
#include "experiments/engine/inputs.h"
#include "experiments/engine/plan.h"
#include "experiments/network/augmentation.h"
#include "experiments/network/inference.h"
#include "experiments/network/training/atomic_file.h"
#include "experiments/network/training/evaluation.h"
#include "experiments/network/training/topologies.h"
#include "experiments/network/training/torch_gradients.h"
#include "experiments/network/training/training.h"

namespace pcmlab::app {
namespace {

using nlohmann::json;
using training::Checkpoint;
using training::EpochResult;
using training::NoisyAccuracy;
using training::TrainingProgress;
using training::Verification;

std::string percent(double part) { return fmt::format("{:.2f} %", 100 * part); }

// ---- inputs ------------------------------------------------------------------------------------

/// Images as a network takes them. The plan's section [images] says the rest.
Result<Dataset> load_images(const ParameterValues& values, const Network& network, Split split) {
  const std::vector<ParameterTable> tables = plan_sections();
  const auto table = std::find_if(tables.begin(), tables.end(),
                                  [](const ParameterTable& t) { return t.name == "images"; });
  ParameterValues section(table->parameters);
  section.set("set", values.text("images"));
  section.set("folder", values.text("folder"));
  const auto limit = values.integer(split == Split::Train ? "train_limit" : "test_limit");
  return load_plan_images(section, network, split, static_cast<std::size_t>(limit));
}

Result<std::optional<training::NoiseModel>> parse_model(const std::string& text,
                                                        const std::string& source) {
  if (text.empty()) return std::nullopt;
  PCM_ASSIGN(auto model, training::parse_noise_model(text, source));
  return model;
}

Result<Network> initial_network(const ParameterValues& values) {
  if (const std::string& from = values.text("from"); !from.empty()) return load_plan_network(from);
  const std::string& images = values.text("images");
  const bool grey = images == "mnist" || images == "fashion-mnist";
  training::TopologySettings settings;
  // The ResNet is made for what the CIFARs have; grey images are padded and repeated for it.
  settings.input =
      grey && values.text("network") != "resnet32" ? ValueShape{1, 28, 28} : ValueShape{3, 32, 32};
  settings.classes = images == "cifar-100" ? 100 : 10;
  settings.hidden = static_cast<int>(values.integer("hidden"));
  return training::make_network(values.text("network"), settings,
                                static_cast<std::uint64_t>(values.integer("seed")));
}

/// One training at a time in a folder.
class FolderLock {
 public:
  static Result<FolderLock> take(const std::filesystem::path& folder) {
    const std::filesystem::path file = folder / "lock";
    constexpr int kMode = 0644;
    const int fd = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, kMode);
    if (fd < 0) {
      return fail(ErrorCode::Io, fmt::format("cannot write into {}", folder.string()),
                  "check that you may write there");
    }
    FolderLock lock(fd);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
      return fail(ErrorCode::Busy, fmt::format("another training works in {}", folder.string()),
                  "wait for it, or choose another folder with --out");
    }
    return lock;
  }
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock() {
    if (fd_ >= 0) close(fd_);
  }

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

Result<Checkpoint> fresh_state(const TrainOptions& options, const ParameterValues& values) {
  if (const auto there = training::checkpoints_in(options.out); !there.empty()) {
    return fail(ErrorCode::Busy,
                fmt::format("there is a training in {} already ({})", options.out.string(),
                            there.front().filename().string()),
                "go on with --resume, or choose another folder with --out");
  }
  Checkpoint state;
  PCM_ASSIGN(state.network, initial_network(values));
  state.network.metadata[training::kSettingsKey] = training::settings_as_toml(values);
  state.network.metadata[kCropPixelsKey] = fmt::format("{}", values.integer("crop_pixels"));
  state.settings = training::settings_as_toml(values);
  if (const std::string& file = values.text("noise_model"); !file.empty()) {
    PCM_ASSIGN(state.noise_model, training::read_noise_model(file));
    PCM_TRY(parse_model(state.noise_model, file));
  }
  state.momentum.assign(training::Trainable(state.network).value_count(), 0.0f);
  return state;
}

// ---- what a person sees ------------------------------------------------------------------------

/// Progress on standard error: a line that is rewritten on a terminal, one a minute elsewhere.
class TrainingConsole {
 public:
  explicit TrainingConsole(bool quiet) : quiet_(quiet), terminal_(isatty(STDERR_FILENO) == 1) {}

  void step(const TrainingProgress& p) {
    using std::chrono::steady_clock;
    const auto now = steady_clock::now();
    const auto pause = terminal_ ? std::chrono::milliseconds(500) : std::chrono::minutes(1);
    if (quiet_ || now - last_ < pause) return;
    last_ = now;
    const std::string text =
        fmt::format("epoch {}/{} step {}/{}  loss {:.4f}  train {}  {:.0f} images/s  {} left",
                    p.epoch, p.epochs, p.step, p.steps, p.loss, percent(p.train_accuracy),
                    p.images_per_s, duration_text(p.remaining_s));
    if (terminal_) {
      fmt::print(stderr, "\r\033[K{}", text);
      (void)std::fflush(stderr);
      shown_ = true;
    } else {
      line(text);
    }
  }

  void epoch(const EpochResult& e, std::int64_t epochs) {
    if (quiet_) return;
    line(fmt::format("epoch {}/{}  loss {:.4f}  train {}  test {}  {:.0f} images/s  {}", e.epoch,
                     epochs, e.loss, percent(e.train_accuracy), percent(e.test_accuracy),
                     e.images_per_s, duration_text(e.seconds)));
  }

  void message(const std::string& text) {
    if (!quiet_) line(text);
  }

 private:
  void line(const std::string& text) {
    fmt::print(stderr, "{}{}\n", shown_ ? "\r\033[K" : "", text);
    shown_ = false;
  }

  bool quiet_;
  bool terminal_;
  bool shown_ = false;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

std::string trained_text(const NoisyAccuracy& result) {
  return result.trained_with ? fmt::format("{}", *result.trained_with) : "-";
}

json as_json(const NoisyAccuracy& result) {
  json object{
      {"network", result.network}, {"noise", result.noise},           {"eta", result.eta},
      {"accuracy", result.mean()}, {"deviation", result.deviation()}, {"draws", result.draws}};
  if (result.trained_with) object["trained_with_eta"] = *result.trained_with;
  return object;
}

Result<void> write_csv(const TrainOptions& options, const std::vector<NoisyAccuracy>& results) {
  if (options.csv.empty()) return {};
  std::string text = "network,trained_with_eta,noise,eta,draws,accuracy,deviation\n";
  for (const NoisyAccuracy& r : results) {
    std::string name = r.network;
    std::replace(name.begin(), name.end(), ',', ';');
    text += fmt::format("{},{},{},{},{},{:.6f},{:.6f}\n", name,
                        r.trained_with ? fmt::format("{}", *r.trained_with) : "", r.noise, r.eta,
                        r.draws.size(), r.mean(), r.deviation());
  }
  return training::replace_file(options.csv, text);
}

void print_table(const std::vector<NoisyAccuracy>& results) {
  Table table({"network", "trained with eta", "noise", "draws", "accuracy", "deviation"});
  for (const NoisyAccuracy& r : results) {
    table.add({r.network, trained_text(r), r.noise, fmt::format("{}", r.draws.size()),
               percent(r.mean()), r.draws.size() > 1 ? percent(r.deviation()) : "-"});
  }
  fmt::print("{}", table.text());
}

Result<training::EvaluationSettings> evaluation_settings(const TrainOptions& options) {
  training::EvaluationSettings settings;
  settings.etas = options.etas;
  settings.draws = options.draws;
  if (!options.evaluated_model.empty()) {
    PCM_ASSIGN(const std::string text, training::read_noise_model(options.evaluated_model));
    PCM_ASSIGN(settings.model, parse_model(text, options.evaluated_model.string()));
  }
  return settings;
}

json as_json(const Verification& v) {
  json object{{"images_compared", v.compared},
              {"largest_logit", v.largest_logit},
              {"float32_difference", v.float32_difference},
              {"float32_accuracy", v.float32_accuracy}};
  if (v.bfloat16_accuracy) {
    object["bfloat16_difference"] = v.bfloat16_difference;
    object["bfloat16_accuracy"] = *v.bfloat16_accuracy;
  }
  return object;
}

void print_verification(const std::filesystem::path& file, const Verification& v) {
  fmt::print("{}: accuracy {} in float32", file.string(), percent(v.float32_accuracy));
  if (v.bfloat16_accuracy) fmt::print(", {} in bfloat16", percent(*v.bfloat16_accuracy));
  fmt::print("\nread back: logits up to {:.3g} differ by {:.2g} at most", v.largest_logit,
             v.float32_difference);
  if (v.bfloat16_accuracy) fmt::print(", by {:.2g} in bfloat16", v.bfloat16_difference);
  fmt::print(" ({} images)\n", v.compared);
}

Result<Precision> precision_of(const ParameterValues& values) {
  const std::string& name = values.text("precision");
  if (name == "float32") return Precision::Float32;
  const Precision fastest = fastest_precision();
  if (name == "bfloat16" && fastest != Precision::Bfloat16) {
    return fail(ErrorCode::Unsupported, "this CPU has no instructions for bfloat16",
                "train with --precision float32");
  }
  return fastest;
}

std::string how_to_resume(const TrainOptions& options) {
  return fmt::format("go on with: {} --out {} --resume", options.program, options.out.string());
}

/// Says which newer checkpoints were passed over.
Result<Checkpoint> found_state(const TrainOptions& options, TrainingConsole& console) {
  PCM_ASSIGN(training::FoundCheckpoint found, training::newest_checkpoint(options.out));
  for (const Error& error : found.damaged) {
    fmt::print(stderr, "pcmlab-train: {}\n", error.message);
  }
  const Checkpoint& state = found.checkpoint;
  console.message(fmt::format("going on from {}: epoch {}, step {}", found.file.string(),
                              state.epoch + 1, state.step));
  return std::move(found.checkpoint);
}

}  // namespace

Result<void> train_and_export(const TrainOptions& options, const std::stop_token& stop) {
  TrainingConsole console(options.quiet);
  std::error_code status;
  if (!options.resume) std::filesystem::create_directories(options.out, status);
  if (!std::filesystem::is_directory(options.out, status)) {
    return fail(ErrorCode::NotFound, fmt::format("there is no folder {}", options.out.string()),
                "check --out");
  }
  PCM_ASSIGN(const FolderLock lock, FolderLock::take(options.out));
  Checkpoint state;
  ParameterValues values(training::training_parameters());
  for (const auto& [name, value] : options.given) values.set(name, value);
  if (options.resume) {
    PCM_ASSIGN(state, found_state(options, console));
    PCM_ASSIGN(values, training::settings_from_toml(state.settings, "the checkpoint"));
  }
  PCM_ASSIGN(const training::EvaluationSettings evaluation, evaluation_settings(options));
  PCM_ASSIGN(const Precision precision, precision_of(values));
  if (!options.resume) {
    PCM_ASSIGN(state, fresh_state(options, values));
  }
  PCM_ASSIGN(Dataset train_set, load_images(values, state.network, Split::Train));
  PCM_ASSIGN(const Dataset test_set, load_images(values, state.network, Split::Test));
  int threads = options.threads;
  if (options.resume) {
    if (state.data != train_set.description) {
      return fail(ErrorCode::BadFile,
                  fmt::format("the training images are not those that the training began with: "
                              "now {}, then {}",
                              train_set.description, state.data),
                  "bring those back, or start a new training with --from");
    }
    if (threads == 0) threads = state.threads;
    if (threads != state.threads) {
      fmt::print(stderr, "pcmlab-train: {} threads instead of {}: last digits will differ\n",
                 threads, state.threads);
    }
  } else {
    state.data = train_set.description;
    if (threads == 0) threads = static_cast<int>(std::thread::hardware_concurrency());
    state.threads = threads;
  }
  const training::TrainingSettings settings = training::settings_of(values);
  training::WeightNoise noise{settings.noise, std::nullopt};
  PCM_ASSIGN(noise.model, parse_model(state.noise_model, "the training's noise model"));

  const training::TrainingImages images(std::move(train_set),
                                        {settings.crop_pixels, settings.flip});
  PCM_ASSIGN(const auto engine, training::torch_gradients(state.network, precision, threads));
  console.message(fmt::format(
      "{}: {} weights, {} images, {}, {} threads", state.network.name,
      grouped(static_cast<std::int64_t>(training::Trainable(state.network).analog_count())),
      grouped(static_cast<std::int64_t>(images.set().count())), to_string(precision), threads));
  const training::TrainingInputs inputs{settings, noise, images, test_set, *engine, options.out};
  training::TrainingObserver observer;
  observer.step_done = [&](const TrainingProgress& p) { console.step(p); };
  observer.epoch_done = [&](const EpochResult& e) { console.epoch(e, settings.epochs); };
  if (auto result = training::train(inputs, state, observer, stop); !result) {
    Error error = std::move(result).error();
    if (error.code != ErrorCode::BadNetwork && !training::checkpoints_in(options.out).empty()) {
      error.advice += (error.advice.empty() ? "" : "; then ") + how_to_resume(options);
    }
    return tl::unexpected<Error>(std::move(error));
  }

  const std::filesystem::path file = options.out / "network.onnx";
  PCM_ASSIGN(const Verification verified,
             training::write_verified(state.network, file, *engine, test_set));
  std::vector<NoisyAccuracy> results;
  if (!evaluation.etas.empty() || evaluation.model) {
    PCM_ASSIGN(results, training::evaluate_noise(state.network, test_set, evaluation, {}, stop));
  }
  PCM_TRY(write_csv(options, results));
  if (options.json) {
    json epochs = json::array();
    for (const EpochResult& e : state.history) {
      epochs.push_back(json::parse(training::epoch_as_json(e)));
    }
    json all = json::array();
    for (const NoisyAccuracy& result : results) all.push_back(as_json(result));
    fmt::print("{}\n", json{{"network", file.string()},
                            {"epochs", epochs},
                            {"verification", as_json(verified)},
                            {"evaluation", all}}
                           .dump(2));
  } else {
    print_verification(file, verified);
    if (!results.empty()) print_table(results);
  }
  return {};
}

Result<void> evaluate_files(const TrainOptions& options, const std::stop_token& stop) {
  ParameterValues values(training::training_parameters());
  for (const auto& [name, value] : options.given) values.set(name, value);
  PCM_ASSIGN(training::EvaluationSettings evaluation, evaluation_settings(options));
  evaluation.seed = static_cast<std::uint64_t>(values.integer("seed"));
  PCM_ASSIGN(evaluation.precision, precision_of(values));
  TrainingConsole console(options.quiet);
  const auto tell = [&](const NoisyAccuracy& r) {
    console.message(fmt::format("{}, noise {}: {}", r.network, r.noise, percent(r.mean())));
  };
  std::vector<NoisyAccuracy> results;
  for (const std::string& name : options.evaluate) {
    PCM_ASSIGN(Network network, load_plan_network(name));
    network.name = name;
    PCM_ASSIGN(const Dataset test_set, load_images(values, network, Split::Test));
    PCM_ASSIGN(auto of_network,
               training::evaluate_noise(network, test_set, evaluation, tell, stop));
    std::move(of_network.begin(), of_network.end(), std::back_inserter(results));
  }
  PCM_TRY(write_csv(options, results));
  if (options.json) {
    json all = json::array();
    for (const NoisyAccuracy& result : results) all.push_back(as_json(result));
    fmt::print("{}\n", json{{"evaluation", all}}.dump(2));
  } else {
    print_table(results);
  }
  return {};
}

}  // namespace pcmlab::app
