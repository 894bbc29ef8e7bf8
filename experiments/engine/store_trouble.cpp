// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/store_trouble.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace pcmlab {
namespace {

/// In a few words, for the gap.
std::string_view kind_of(const Error& trouble) {
  switch (trouble.code) {
    case ErrorCode::DiskFull:
      return "the disk was full";
    case ErrorCode::Busy:
      return "the database was held by another process";
    default:
      return "the database could not be read or written";
  }
}

std::string advice_for(const Error& trouble, const std::string& file) {
  if (trouble.code == ErrorCode::DiskFull) {
    return fmt::format("the disk of {} is full: free some space", file);
  }
  std::string advice = trouble.advice;
  if (advice.ends_with('.')) advice.pop_back();
  return fmt::format("{}. {}", trouble.message, advice);
}

}  // namespace

StoreTrouble::StoreTrouble(db::RunStore& store, db::RowId run, RunControl& control,
                           RunObserver& observer, Host host)
    : store_(store), run_(run), control_(control), observer_(observer), host_(std::move(host)) {
  store_.set_patience({[this](const Error& trouble) { return wait(trouble); }, [this] { over(); }});
}

StoreTrouble::~StoreTrouble() { store_.set_patience({}); }

Result<void> StoreTrouble::wait(const Error& trouble) {
  const std::string what(kind_of(trouble));
  if (what_.empty()) {
    since_utc_ns_ = host_.clocks().utc_ns;
    next_wait_ = host_.first_wait;
  }
  if (what != what_) {
    observer_.held_up(fmt::format(
        "{}; the run waits, nothing is lost, and it goes on by itself; to leave: Ctrl-C, and later "
        "pcmlab resume {}",
        advice_for(trouble, store_.database().file()), run_));
    what_ = what;
  }
  const auto time = std::exchange(next_wait_, std::min(2 * next_wait_, host_.longest_wait));
  return control_.hold(time, "waiting: " + what);
}

void StoreTrouble::over() {
  const std::string what = std::exchange(what_, "");
  if (what.empty()) return;
  const double waited_s = static_cast<double>(host_.clocks().utc_ns - since_utc_ns_) * 1e-9;
  observer_.message(fmt::format("going on after {:.0f} s: the database can be written again",
                                std::max(0.0, waited_s)));
  const Result<void> noted =
      store_.add_gap(run_, db::GapCause::Pause, since_utc_ns_, "paused by itself: " + what);
  if (!noted) observer_.message("not in the database: " + noted.error().message);
  observer_.went_on();
}

}  // namespace pcmlab
