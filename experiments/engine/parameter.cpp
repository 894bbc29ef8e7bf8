// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/parameter.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace pcmlab {

Parameter real(std::string name, std::string unit, double value, double minimum, double maximum,
               std::string help) {
  return {std::move(name), std::move(unit), value, minimum, maximum, {}, std::move(help)};
}
Parameter integer(std::string name, std::string unit, std::int64_t value, double minimum,
                  double maximum, std::string help) {
  return {std::move(name), std::move(unit), value, minimum, maximum, {}, std::move(help)};
}
Parameter boolean(std::string name, bool value, std::string help) {
  return {std::move(name), "", value, 0, 1, {}, std::move(help)};
}
Parameter text(std::string name, std::string value, std::string help,
               std::vector<std::string> choices) {
  return {std::move(name), "", std::move(value), 0, 0, std::move(choices), std::move(help)};
}
Parameter reals(std::string name, std::string unit, std::vector<double> values, double minimum,
                double maximum, std::string help) {
  return {std::move(name), std::move(unit), std::move(values), minimum, maximum, {},
          std::move(help)};
}
Parameter texts(std::string name, std::vector<std::string> values, std::string help,
                std::vector<std::string> choices) {
  return {std::move(name), "", std::move(values), 0, 0, std::move(choices), std::move(help)};
}

std::string type_name(const Parameter& parameter) {
  static constexpr std::string_view kNames[] = {"boolean", "integer",       "real",
                                                "text",    "list of reals", "list of texts"};
  return std::string(kNames[parameter.default_value.index()]);
}

std::string to_toml(const ParameterValue& value) {
  struct Print {
    std::string operator()(bool v) const { return v ? "true" : "false"; }
    std::string operator()(std::int64_t v) const { return fmt::format("{}", v); }
    std::string operator()(double v) const { return fmt::format("{}", v); }
    std::string operator()(const std::string& v) const {
      std::string quoted = "\"";
      for (const char c : v) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c;
      }
      return quoted + '"';
    }
    std::string operator()(const std::vector<double>& v) const {
      return fmt::format("[{}]", fmt::join(v, ", "));
    }
    std::string operator()(const std::vector<std::string>& v) const {
      return v.empty() ? "[]" : fmt::format("[\"{}\"]", fmt::join(v, "\", \""));
    }
  };
  return std::visit(Print{}, value);
}

std::string range_text(const Parameter& parameter) {
  if (!parameter.choices.empty()) return fmt::format("{}", fmt::join(parameter.choices, " | "));
  const bool number = std::holds_alternative<double>(parameter.default_value) ||
                      std::holds_alternative<std::int64_t>(parameter.default_value) ||
                      std::holds_alternative<std::vector<double>>(parameter.default_value);
  if (!number) return {};
  return fmt::format("{} .. {}{}{}", parameter.minimum, parameter.maximum,
                     parameter.unit.empty() ? "" : " ", parameter.unit);
}

ParameterValues::ParameterValues(std::span<const Parameter> table) {
  for (const Parameter& parameter : table) values_[parameter.name] = parameter.default_value;
}

std::string ParameterValues::to_json() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const auto& [name, value] : values_) {
    std::visit([&json, &key = name](const auto& v) { json[key] = v; }, value);
  }
  return json.dump();
}

std::vector<std::string> ParameterValues::keep_defaults_of(const std::string& json) {
  const auto earlier = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  std::vector<std::string> changed;
  for (auto& [name, value] : values_) {
    if (is_given(name) || !earlier.is_object() || !earlier.contains(name)) continue;
    std::visit(
        [&, &key = name](auto& now) {
          using Type = std::decay_t<decltype(now)>;
          try {
            auto then = earlier.at(key).template get<Type>();
            if (then == now) return;
            now = std::move(then);
          } catch (const nlohmann::json::exception&) {
            return;  // it was of another type then
          }
          changed.push_back(fmt::format("{} = {}", key, to_toml(ParameterValue(now))));
        },
        value);
  }
  return changed;
}

std::string nearest_name(std::string_view wrong, std::span<const std::string> known) {
  std::string best;
  std::size_t best_distance = 1 + wrong.size() / 2;  // farther than this is another word
  for (const std::string& name : known) {
    // Levenshtein distance, one row at a time.
    std::vector<std::size_t> row(name.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= wrong.size(); ++i) {
      std::size_t diagonal = row[0];
      row[0] = i;
      for (std::size_t j = 1; j <= name.size(); ++j) {
        const std::size_t replaced = diagonal + (wrong[i - 1] == name[j - 1] ? 0 : 1);
        diagonal = row[j];
        row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
      }
    }
    if (row.back() < best_distance) {
      best_distance = row.back();
      best = name;
    }
  }
  return best;
}

}  // namespace pcmlab
