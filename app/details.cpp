// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "app/commands.h"
#include "app/console.h"

namespace pcmlab::app {
namespace {

/// The step whose accuracies are looked at: the run's last one.
Result<std::optional<db::RowId>> accuracy_step(db::RunStore& store, const RunSummary& summary) {
  PCM_ASSIGN(const auto steps, store.steps(summary.run.id));
  std::optional<db::RowId> last;
  for (const db::StepRow& step : steps) {
    if (step.experiment == "accuracy") last = step.id;
  }
  return last;
}

std::string optional_text(const std::optional<double>& value) {
  return value ? fmt::format("{:.3f}", *value) : "-";
}

}  // namespace

Result<std::string> confusion_text(db::RunStore& store, const RunSummary& summary) {
  std::string out;
  if (summary.sweeps.empty()) return out;
  const SweepFigures& last = summary.sweeps.back();
  for (const std::string& condition : summary.conditions) {
    const auto row = last.accuracies.find(condition);
    if (row == last.accuracies.end()) continue;
    PCM_ASSIGN(const auto matrix, store.confusion(row->second.id));
    if (!matrix) continue;
    const auto classes = static_cast<std::size_t>(matrix->classes);
    std::vector<std::string> header{"class"};
    for (std::size_t c = 0; c < classes; ++c) header.push_back(fmt::format("{}", c));
    Table table(std::move(header));
    for (std::size_t label = 0; label < classes; ++label) {
      std::vector<std::string> line{fmt::format("{}", label)};
      for (std::size_t c = 0; c < classes; ++c) {
        line.push_back(fmt::format("{}", matrix->counts[label * classes + c]));
      }
      table.add(std::move(line));
    }
    out += fmt::format("\nImages of each class (down) and what they were taken for, {}, {}\n{}",
                       duration_text(last.sweep.after_s), condition_name(condition), table.text());
  }
  return out;
}

Result<std::string> layers_text(db::RunStore& store, const RunSummary& summary) {
  PCM_ASSIGN(const auto step, accuracy_step(store, summary));
  if (!step || summary.sweeps.empty() || !summary.programming) return std::string();
  PCM_ASSIGN(const auto states, store.layer_states(*step));
  PCM_ASSIGN(const auto layers, store.layers(summary.programming->step));
  Table table({"layer", "GDC factor", "error of max|W|", "with GDC", "of rms", "with GDC",
               "activation shift", "variance ratio"});
  const SweepFigures& last = summary.sweeps.back();
  for (const db::LayerStateRow& state : states) {
    if (state.sweep != last.sweep.id) continue;
    table.add({layers.at(static_cast<std::size_t>(state.layer)).name,
               fmt::format("{:.4f}", state.gdc_factor),
               fmt::format("{:.2f} %", 100 * state.weight_error_of_max),
               fmt::format("{:.2f} %", 100 * state.gdc_weight_error_of_max),
               fmt::format("{:.1f} %", 100 * state.weight_error_of_rms),
               fmt::format("{:.1f} %", 100 * state.gdc_weight_error_of_rms),
               optional_text(state.activation_mean_shift),
               optional_text(state.activation_variance_ratio)});
  }
  return fmt::format(
      "\nLayers {} after programming: rms weight errors, and values in front of batch norms\n{}",
      duration_text(last.sweep.after_s), table.text());
}

Result<void> add_confusion(db::RunStore& store, const RunSummary& summary,
                           nlohmann::ordered_json& json) {
  json["confusion"] = nlohmann::ordered_json::array();
  for (const SweepFigures& sweep : summary.sweeps) {
    for (const auto& [condition, row] : sweep.accuracies) {
      PCM_ASSIGN(const auto matrix, store.confusion(row.id));
      if (!matrix) continue;
      json["confusion"].push_back({{"after_s", sweep.sweep.after_s},
                                   {"repeat", sweep.sweep.repeat},
                                   {"condition", condition},
                                   {"classes", matrix->classes},
                                   {"counts", matrix->counts}});
    }
  }
  return {};
}

Result<void> add_layers(db::RunStore& store, const RunSummary& summary,
                        nlohmann::ordered_json& json) {
  const auto optional = [](const std::optional<double>& value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
  };
  json["layers"] = nlohmann::ordered_json::array();
  PCM_ASSIGN(const auto step, accuracy_step(store, summary));
  if (!step || !summary.programming) return {};
  PCM_ASSIGN(const auto states, store.layer_states(*step));
  PCM_ASSIGN(const auto layers, store.layers(summary.programming->step));
  for (const SweepFigures& sweep : summary.sweeps) {
    for (const db::LayerStateRow& state : states) {
      if (state.sweep != sweep.sweep.id) continue;
      json["layers"].push_back(
          {{"after_s", sweep.sweep.after_s},
           {"repeat", sweep.sweep.repeat},
           {"layer", layers.at(static_cast<std::size_t>(state.layer)).name},
           {"gdc_factor", state.gdc_factor},
           {"weight_error_of_max", state.weight_error_of_max},
           {"weight_error_of_rms", state.weight_error_of_rms},
           {"gdc_weight_error_of_max", state.gdc_weight_error_of_max},
           {"gdc_weight_error_of_rms", state.gdc_weight_error_of_rms},
           {"activation_mean_shift", optional(state.activation_mean_shift)},
           {"activation_variance_ratio", optional(state.activation_variance_ratio)}});
    }
  }
  return {};
}

}  // namespace pcmlab::app
