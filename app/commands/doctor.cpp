// SPDX-License-Identifier: Apache-2.0
#include "app/doctor.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/commands.h"

namespace pcmlab::app {
namespace {

void report(Session& session, const std::filesystem::path& root) {
  Surroundings surroundings = this_machine(session.database);
  surroundings.root = root;
  const std::vector<Finding> findings = examine(surroundings);
  if (std::any_of(findings.begin(), findings.end(),
                  [](const Finding& finding) { return finding.verdict == Verdict::Problem; })) {
    session.exit_code = kCheckFailed;
  }
  if (!session.json) {
    fmt::print("{}", findings_text(findings));
    return;
  }
  auto json = nlohmann::ordered_json::array();
  for (const Finding& finding : findings) {
    json.push_back({{"check", finding.check},
                    {"verdict", to_string(finding.verdict)},
                    {"found", finding.found},
                    {"mend", finding.mend}});
  }
  fmt::print("{}\n", json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

}  // namespace

void add_doctor(CLI::App& app, Session& session) {
  auto* command = app.add_subcommand(
      "doctor", "Whether this machine is fit for a night's run, and how to mend it");
  const auto root = std::make_shared<std::filesystem::path>("/");
  command->add_option("--root", *root, "looks at another root folder")
      ->check(CLI::ExistingDirectory)
      ->group("");
  command->callback([&session, root] { report(session, *root); });
}

}  // namespace pcmlab::app
