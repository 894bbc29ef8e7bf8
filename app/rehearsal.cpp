// SPDX-License-Identifier: Apache-2.0
#include "app/rehearsal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "app/board.h"
#include "app/build_info.h"
#include "app/console.h"
#include "app/stop_on_signal.h"
#include "experiments/engine/engine.h"

namespace pcmlab::app {
namespace {

/// A database that goes with its owner.
class PassingDatabase {
 public:
  static Result<PassingDatabase> make() {
    std::string name = (std::filesystem::temp_directory_path() / "pcmlab-dry-run-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      return fail(ErrorCode::Io, fmt::format("cannot make a folder {}", name),
                  "set TMPDIR to a place where you may write");
    }
    return PassingDatabase(name);
  }
  PassingDatabase(PassingDatabase&& other) noexcept : folder_(std::move(other.folder_)) {
    other.folder_.clear();
  }
  PassingDatabase& operator=(PassingDatabase&&) = delete;
  ~PassingDatabase() {
    std::error_code ignored;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
  }

  std::filesystem::path file() const { return folder_ / "run.db"; }

 private:
  explicit PassingDatabase(std::filesystem::path folder) : folder_(std::move(folder)) {}

  std::filesystem::path folder_;
};

/// What the run says stands among the requests.
class Trace : public ConsoleObserver {
 public:
  explicit Trace(bool quiet) : ConsoleObserver(quiet) {}

  void request(const std::string& text) { fmt::print("{:>8}  {}\n", ++requests_, text); }
  std::int64_t requests() const { return requests_; }

  void step_started(std::size_t number, std::size_t count, std::string_view experiment) override {
    fmt::print("# step {} of {}: {}\n", number, count, experiment);
  }
  void step_finished(std::string_view /*experiment*/, double /*wall_s*/) override {}
  void message(const std::string& text) override { fmt::print("# {}\n", text); }

 private:
  std::int64_t requests_ = 0;
};

}  // namespace

Result<void> rehearse(const Plan& plan, bool quiet) {
  const StopOnSignal signals;
  Plan steps = plan;
  std::erase_if(steps.steps,
                [](const PlanStep& step) { return !find_experiment(step.experiment)->uses_board; });
  PCM_ASSIGN(const PassingDatabase database, PassingDatabase::make());
  PCM_ASSIGN(db::RunStore store, db::RunStore::open(database.file()));
  Trace trace(quiet);
  PCM_ASSIGN(const auto board,
             open_rehearsal(plan, [&trace](const std::string& text) { trace.request(text); }));
  PCM_ASSIGN(const RunInputs inputs, load_inputs(steps));
  PCM_TRY(predict(plan, inputs, board->information()));
  const RunResult result =
      run_plan(steps, inputs, *board, store, trace, {kVersion, kGitRevision, "dry run"},
               {signals.token(), signals.abort_token()});
  PCM_TRY(result.outcome);
  fmt::print("# {} requests; nothing was sent to a board, nothing is kept\n",
             grouped(trace.requests()));
  return {};
}

}  // namespace pcmlab::app
