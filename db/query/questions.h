// SPDX-License-Identifier: Apache-2.0
/// \file
/// Questions that a lab asks of its results, by name. Constant data.
#pragma once

#include <span>
#include <string_view>

namespace pcmlab::db {

struct QuestionParameter {
  std::string_view name;
  std::string_view help;
};

struct Question {
  std::string_view name;
  std::string_view help;
  std::span<const QuestionParameter> parameters;
  std::string_view sql;  ///< its :parameters are NULL where nothing is said
};

std::span<const Question> questions();
/// nullptr: there is none of this name.
const Question* find_question(std::string_view name);

}  // namespace pcmlab::db
