// SPDX-License-Identifier: Apache-2.0
/// \file
/// Named, documented settings: what a plan may say, with unit, default, range and help. The plan's
/// checker, `pcmlab describe` and the desktop's forms are all made from these tables. Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

using ParameterValue = std::variant<bool, std::int64_t, double, std::string, std::vector<double>,
                                    std::vector<std::string>>;

/// One setting. The alternative that `default_value` holds is the setting's type.
struct Parameter {
  std::string name;  ///< ends in its unit: "tolerance_uS"
  std::string unit;  ///< "" for a pure number or text
  ParameterValue default_value;
  double minimum = 0;  ///< of numbers, and of each number of a list
  double maximum = 0;
  std::vector<std::string> choices;  ///< of texts, and of each text of a list; empty = any text
  std::string help;                  ///< one sentence; the source of the default in brackets
};

Parameter real(std::string name, std::string unit, double value, double minimum, double maximum,
               std::string help);
Parameter integer(std::string name, std::string unit, std::int64_t value, double minimum,
                  double maximum, std::string help);
Parameter boolean(std::string name, bool value, std::string help);
Parameter text(std::string name, std::string value, std::string help,
               std::vector<std::string> choices = {});
Parameter reals(std::string name, std::string unit, std::vector<double> values, double minimum,
                double maximum, std::string help);
Parameter texts(std::string name, std::vector<std::string> values, std::string help,
                std::vector<std::string> choices = {});

/// "real", "integer", "boolean", "text", "list of reals", "list of texts".
std::string type_name(const Parameter& parameter);
/// As it would stand in a plan: 0.25, "auto", [1, 2].
std::string to_toml(const ParameterValue& value);
/// "0 .. 10 uS", "auto | float32", or "".
std::string range_text(const Parameter& parameter);

/// A value for every parameter of a table. Asking for a name or type that the table does not have
/// is a bug, not an error.
class ParameterValues {
 public:
  ParameterValues() = default;
  /// All defaults.
  explicit ParameterValues(std::span<const Parameter> table);

  void set(const std::string& name, ParameterValue value) {
    values_[name] = std::move(value);
    given_.insert(name);
  }
  /// Whether somebody has said so, rather than the default.
  bool is_given(const std::string& name) const { return given_.contains(name); }

  double real(const std::string& name) const { return std::get<double>(values_.at(name)); }
  std::int64_t integer(const std::string& name) const {
    return std::get<std::int64_t>(values_.at(name));
  }
  bool boolean(const std::string& name) const { return std::get<bool>(values_.at(name)); }
  const std::string& text(const std::string& name) const {
    return std::get<std::string>(values_.at(name));
  }
  const std::vector<double>& reals(const std::string& name) const {
    return std::get<std::vector<double>>(values_.at(name));
  }

  const std::vector<std::string>& texts(const std::string& name) const {
    return std::get<std::vector<std::string>>(values_.at(name));
  }

  const std::map<std::string, ParameterValue>& all() const { return values_; }
  std::string to_json() const;
  /// Gives what nobody has said the values of an earlier to_json(), whose defaults may have been
  /// others. \return what has changed, as it would stand in a plan: "verify_delay_s = 10"
  std::vector<std::string> keep_defaults_of(const std::string& json);

 private:
  std::map<std::string, ParameterValue> values_;
  std::set<std::string> given_;
};

/// The name among `known` that `wrong` was probably meant to be; empty when none is near.
std::string nearest_name(std::string_view wrong, std::span<const std::string> known);

}  // namespace pcmlab
