// SPDX-License-Identifier: Apache-2.0
#include "app/gui/runner.h"

#include <QCoreApplication>
#include <QDateTime>
#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QProcess>
#include <QSaveFile>
#include <QStandardPaths>
#include <QUuid>
#include <algorithm>
#include <utility>

#include "app/gui/format.h"

namespace pcmlab::gui {
namespace {

constexpr int kBetweenLooks_ms = 250;
/// In which the follower finds a run whose process is over already.
constexpr qint64 kGrace_ms = 2000;

/// Ended or a zombie: it was nobody's child here.
bool is_gone(qint64 pid) {
  QFile stat(QString("/proc/%1/stat").arg(pid));
  if (!stat.open(QIODevice::ReadOnly)) return true;
  const QString state = QString::fromLatin1(stat.readAll()).section(')', -1).trimmed();
  return state.startsWith('Z') || state.startsWith('X');
}

/// The last lines of what a process said, and its advice apart.
Error error_of(const QString& file) {
  constexpr int kMostLines = 6;
  QFile words(file);
  QString said;
  if (words.open(QIODevice::ReadOnly)) said = QString::fromUtf8(words.readAll()).trimmed();
  QStringList lines = said.split('\n', Qt::SkipEmptyParts);
  while (lines.size() > kMostLines) lines.removeFirst();
  Error error{ErrorCode::Io, {}, {}};
  for (const QString& line : lines) {
    const QString advice = line.section("what to do: ", 1);
    if (!advice.isEmpty()) {
      error.advice = advice.toStdString();
    } else {
      if (!error.message.empty()) error.message += '\n';
      error.message += line.trimmed().toStdString();
    }
  }
  if (error.message.empty()) error.message = "pcmlab ended without a word";
  if (error.advice.empty()) error.advice = "what it said is in " + file.toStdString();
  return error;
}

}  // namespace

std::filesystem::path runner_program() {
  const QString beside = QCoreApplication::applicationDirPath();
  for (const QString& place : {beside + "/pcmlab", beside + "/../pcmlab"}) {
    const QFileInfo file(place);
    if (file.isFile() && file.isExecutable()) return file.canonicalFilePath().toStdString();
  }
  return QStandardPaths::findExecutable("pcmlab").toStdString();
}

Result<QString> keep_plan(const std::string& words) {
  const QString cache = QStandardPaths::writableLocation(QStandardPaths::CacheLocation) + "/plans";
  QDir().mkpath(cache);
  const QString file =
      QString("%1/%2.toml")
          .arg(cache, QDateTime::currentDateTime().toString("yyyyMMdd-HHmmss-zzz"));
  QSaveFile out(file);
  if (!out.open(QIODevice::WriteOnly) ||
      out.write(words.data(), static_cast<qint64>(words.size())) < 0 || !out.commit()) {
    return fail(ErrorCode::Io, "keeping the plan as " + file.toStdString(),
                "is there room, and may you write there?");
  }
  return file;
}

Runner::Runner() : program_(runner_program()) {
  ticks_.setInterval(kBetweenLooks_ms);
  QObject::connect(&ticks_, &QTimer::timeout, &ticks_, [this] { look_at_processes(); });
}

bool Runner::is_starting() const {
  return std::any_of(starting_.begin(), starting_.end(),
                     [](const Starting& each) { return each.work == Work::Run; });
}

void Runner::forget_queue() {
  starting_.remove_if([](const Starting& each) { return each.work == Work::Queue; });
}

Result<void> Runner::start_queue(const QStringList& arguments,
                                 std::function<void(const Error&)> failed) {
  return start(Work::Queue, arguments, std::nullopt, {}, {{}, std::move(failed)});
}

Result<void> Runner::start(const QStringList& arguments, std::optional<db::RowId> of,
                           const std::filesystem::path& folder, Tell tell) {
  return start(Work::Run, arguments, of, folder, std::move(tell));
}

Result<void> Runner::start(Work work, const QStringList& arguments, std::optional<db::RowId> of,
                           const std::filesystem::path& folder, Tell tell) {
  if (program_.empty()) {
    return fail(ErrorCode::NotFound,
                "starting pcmlab: it is neither beside this program nor on the PATH",
                "install both: cmake --install build/release");
  }
  const QString cache = QStandardPaths::writableLocation(QStandardPaths::CacheLocation) + "/runs";
  QDir().mkpath(cache);
  const QString words = QString("%1/%2-%3.txt")
                            .arg(cache, QDateTime::currentDateTime().toString("yyyyMMdd-HHmmss"),
                                 QUuid::createUuid().toString(QUuid::WithoutBraces).left(8));
  QProcess process;
  process.setProgram(QString::fromStdString(program_.string()));
  process.setArguments(arguments);
  process.setWorkingDirectory(QString::fromStdString(folder.string()));
  process.setStandardInputFile(QProcess::nullDevice());
  process.setStandardOutputFile(words);
  process.setStandardErrorFile(words, QIODevice::Append);
  const std::string since_utc =
      QDateTime::currentDateTimeUtc().toString(Qt::ISODateWithMs).toStdString();
  qint64 pid = 0;
  if (!process.startDetached(&pid)) {
    return fail(ErrorCode::Io,
                "starting " + program_.string() + ": " + process.errorString().toStdString(),
                "is it a program, and is there room in " + cache.toStdString() + "?");
  }
  starting_.push_back({work, pid, of, since_utc, words, std::move(tell), {}});
  ticks_.start();
  return {};
}

void Runner::look(const Snapshot& snapshot) {
  for (auto at = starting_.begin(); at != starting_.end();) {
    const auto run =
        std::find_if(snapshot.runs.begin(), snapshot.runs.end(), [&](const FollowedRun& candidate) {
          // Numbers of processes come again. A queue may go on with any run.
          const bool same = at->work == Work::Queue ? candidate.row.state == db::RunState::Running
                            : at->of                ? candidate.row.id == *at->of
                                                    : candidate.row.started_utc >= at->since_utc;
          return candidate.row.pid == at->pid && same;
        });
    if (run == snapshot.runs.end()) {
      ++at;
      continue;
    }
    const auto began = at->tell.began;
    at = starting_.erase(at);
    if (began) began(run->row.id);
  }
}

void Runner::look_at_processes() {
  for (auto at = starting_.begin(); at != starting_.end();) {
    if (!at->gone.isValid()) {
      if (is_gone(at->pid)) at->gone.start();
      ++at;
    } else if (!at->gone.hasExpired(kGrace_ms)) {
      ++at;
    } else {
      const Error error = error_of(at->words);
      const auto failed = at->tell.failed;
      at = starting_.erase(at);
      if (failed) failed(error);
    }
  }
  if (starting_.empty()) ticks_.stop();
}

}  // namespace pcmlab::gui
