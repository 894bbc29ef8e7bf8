// SPDX-License-Identifier: Apache-2.0
/// \file
/// Whether this machine is fit for a night's run: what is wrong with it and how to mend it. Looks
/// and changes nothing. Plain values; used by one thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pcmlab::app {

enum class Verdict { Ok, Warning, Problem, NotApplicable };
std::string_view to_string(Verdict verdict);

struct Finding {
  std::string check;
  Verdict verdict = Verdict::Ok;
  std::string found;
  std::string mend;  ///< for a warning or a problem: what to do
};

/// What is looked at. A test puts a folder of its own in the place of `/`.
struct Surroundings {
  std::filesystem::path root = "/";
  std::filesystem::path database;  ///< of the results; need not exist
  std::string user;
  unsigned uid = 0;
  std::vector<std::string> groups;  ///< of this process
  /// Whether this user may read and write the file or folder.
  std::function<bool(const std::filesystem::path&)> may_write;
  /// Bytes that this user may still write on the disk of a folder; none: unknown.
  std::function<std::optional<std::uint64_t>(const std::filesystem::path&)> free_bytes;
  /// What the kernel says of its clock; none: it does not say.
  std::function<std::optional<bool>()> clock_is_synchronised;
};

/// This machine, this user, and the database named.
Surroundings this_machine(const std::filesystem::path& database);

/// All checks, in the order in which a person would make them.
std::vector<Finding> examine(const Surroundings& surroundings);

/// Aligned lines; what to do stands under each warning and problem.
std::string findings_text(const std::vector<Finding>& findings);

}  // namespace pcmlab::app
