// SPDX-License-Identifier: Apache-2.0
#include "app/gui/reading_thread.h"

#include <QCoreApplication>
#include <algorithm>
#include <exception>

namespace pcmlab::gui {

ReadingThread::ReadingThread() : here_(std::make_unique<QObject>()) {
  thread_ = std::jthread([this](const std::stop_token& done) { work(done); });
}

ReadingThread::~ReadingThread() {
  {
    const std::scoped_lock lock(mutex_);
    at_work_stop_.request_stop();
    jobs_.clear();
  }
  thread_.request_stop();
  thread_.join();
}

void ReadingThread::open(const std::filesystem::path& file) {
  const std::scoped_lock lock(mutex_);
  jobs_.clear();
  at_work_stop_.request_stop();
  newest_.clear();
  file_ = file;
  reopen_ = true;
}

bool ReadingThread::is_asked_by(const QObject* asker) const { return newest_.contains(asker); }

void ReadingThread::post(QObject* asker, Job job) {
  const std::uint64_t ticket = ++tickets_;
  newest_[asker] = {asker, ticket};
  const std::scoped_lock lock(mutex_);
  std::erase_if(jobs_, [&](const Waiting& waiting) { return waiting.asker == asker; });
  if (at_work_ == asker) at_work_stop_.request_stop();
  jobs_.push_back({asker, ticket, {}, std::move(job)});
  wake_.notify_one();
}

void ReadingThread::deliver(const QObject* asker, std::uint64_t ticket,
                            const std::function<void()>& answer) {
  const auto newest = newest_.find(asker);
  if (newest == newest_.end() || newest->second.second != ticket) return;
  const bool alive = !newest->second.first.isNull();
  newest_.erase(newest);
  if (alive) answer();
}

Result<db::RunStore*> ReadingThread::store() {
  std::filesystem::path file;
  {
    const std::scoped_lock lock(mutex_);
    if (reopen_) store_.reset();
    reopen_ = false;
    file = file_;
  }
  if (!store_) {
    PCM_ASSIGN(store_, db::RunStore::open_read_only(file));
  }
  return &*store_;
}

void ReadingThread::work(const std::stop_token& done) {
  while (true) {
    Waiting waiting{};
    {
      std::unique_lock lock(mutex_);
      at_work_ = nullptr;
      if (!wake_.wait(lock, done, [&] { return !jobs_.empty(); })) return;
      waiting = std::move(jobs_.front());
      jobs_.pop_front();
      at_work_ = waiting.asker;
      at_work_stop_ = waiting.stop;
    }
    std::function<void()> answer;
    try {
      answer = waiting.job(store(), waiting.stop.get_token());
    } catch (const std::exception& exception) {
      answer = waiting.job(
          fail(ErrorCode::Internal, std::string("reading the database: ") + exception.what(),
               "this is a bug; the run and its data are not touched"),
          waiting.stop.get_token());
    }
    QMetaObject::invokeMethod(
        here_.get(),
        [this, asker = waiting.asker, ticket = waiting.ticket, answer = std::move(answer)] {
          deliver(asker, ticket, answer);
        },
        Qt::QueuedConnection);
  }
}

}  // namespace pcmlab::gui
