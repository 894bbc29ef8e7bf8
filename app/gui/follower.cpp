// SPDX-License-Identifier: Apache-2.0
#include "app/gui/follower.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <string>
#include <utility>

namespace pcmlab::gui {
namespace {

/// A connection and what was seen over it last.
class Watch {
 public:
  explicit Watch(std::filesystem::path file) : file_(std::move(file)) {}

  /// \return nothing if nothing has changed. \param certainly  reads the runs in any case.
  Result<std::shared_ptr<const Snapshot>> look(bool certainly) {
    if (!store_) {
      PCM_ASSIGN(store_, db::RunStore::open_read_only(file_));
      version_ = -1;
    }
    PCM_ASSIGN(const std::int64_t version, store_->database().query_integer("PRAGMA data_version"));
    if (version == version_ && !(certainly && running_)) return nullptr;
    PCM_ASSIGN(auto snapshot, read());
    version_ = version;
    return snapshot;
  }
  void forget() { store_.reset(); }

 private:
  Result<std::shared_ptr<const Snapshot>> read() {
    auto snapshot = std::make_shared<Snapshot>();
    PCM_ASSIGN(auto rows, store_->runs());
    running_ = false;
    for (db::RunRow& row : rows) {
      FollowedRun& run = snapshot->runs.emplace_back();
      run.row = std::move(row);
      if (run.row.state != db::RunState::Running) continue;
      running_ = true;
      PCM_ASSIGN(run.progress, store_->progress(run.row.id));
    }
    PCM_ASSIGN(db::Statement notes,
               store_->database().prepare("SELECT run_id, count(*) FROM run_note GROUP BY run_id"));
    while (true) {
      PCM_ASSIGN(const bool more, notes.step());
      if (!more) break;
      const auto run = std::find_if(
          snapshot->runs.begin(), snapshot->runs.end(),
          [&](const FollowedRun& candidate) { return candidate.row.id == notes.integer(0); });
      if (run != snapshot->runs.end()) run->notes = notes.integer(1);
    }
    snapshot->number = ++snapshots_;
    return snapshot;
  }

  std::filesystem::path file_;
  std::optional<db::RunStore> store_;
  std::int64_t version_ = -1;
  std::int64_t snapshots_ = 0;
  bool running_ = false;
};

}  // namespace

const FollowedRun* Snapshot::find(db::RowId run) const {
  const auto found = std::find_if(runs.begin(), runs.end(), [&](const FollowedRun& candidate) {
    return candidate.row.id == run;
  });
  return found == runs.end() ? nullptr : &*found;
}

Follower::Follower(std::filesystem::path file, Tell tell, std::chrono::milliseconds interval)
    : file_(std::move(file)),
      tell_(std::make_shared<Tell>(std::move(tell))),
      here_(std::make_unique<QObject>()) {
  thread_ = std::jthread([this, interval](const std::stop_token& stop) { follow(stop, interval); });
}

Follower::~Follower() {
  thread_.request_stop();
  thread_.join();
}

void Follower::follow(const std::stop_token& stop, std::chrono::milliseconds interval) {
  constexpr int kLooksBetweenReads = 10;
  Watch watch(file_);
  std::string told_error;
  std::mutex mutex;
  std::condition_variable_any pause;
  for (int looks = 0; !stop.stop_requested(); ++looks) {
    auto found = watch.look(looks % kLooksBetweenReads == 0);
    if (!found) watch.forget();
    const std::string error = found ? std::string() : found.error().message;
    if ((found && *found != nullptr) || (!found && error != told_error)) {
      QMetaObject::invokeMethod(
          here_.get(), [tell = tell_, found] { (*tell)(found); }, Qt::QueuedConnection);
    }
    told_error = error;
    std::unique_lock lock(mutex);
    pause.wait_for(lock, stop, interval, [] { return false; });
  }
}

}  // namespace pcmlab::gui
