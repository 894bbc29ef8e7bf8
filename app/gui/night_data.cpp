// SPDX-License-Identifier: Apache-2.0
#include "app/gui/night_data.h"

#include <QByteArray>
#include <QDateTime>
#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QStringList>
#include <algorithm>
#include <cmath>
#include <iterator>

#include "app/board.h"
#include "app/gui/format.h"
#include "app/gui/plan_text.h"
#include "app/gui/run_times.h"
#include "app/plan_schema.h"
#include "experiments/retention/read_schedule.h"

namespace pcmlab::gui {
namespace {

/// Of those that are over.
constexpr std::size_t kMostOver = 8;
constexpr std::size_t kMostLogLines = 500;

QByteArray content_of(const QString& file) {
  QFile in(file);
  return in.open(QIODevice::ReadOnly) ? in.readAll() : QByteArray();
}

bool works_off_a_queue(const QString& process) {
  const QList<QByteArray> words = content_of(process + "/cmdline").split('\0');
  const int queue = words.indexOf("queue");
  return queue > 0 && words.value(queue + 1) == "run" &&
         QFileInfo(QString::fromUtf8(words.front())).fileName() == "pcmlab";
}

bool has_open(const QString& process, const QString& file) {
  const QDir descriptors(process + "/fd");
  const QStringList all = descriptors.entryList(QDir::Files | QDir::System);
  return std::any_of(all.begin(), all.end(), [&](const QString& each) {
    return QFile::symLinkTarget(descriptors.filePath(each)) == file;
  });
}

/// Of what a process wrote to the file of its standard error.
QString last_words(const QString& process) {
  constexpr qint64 kTail = 2000;
  const QString file = QFile::symLinkTarget(process + "/fd/2");
  if (!QFileInfo(file).isFile()) return {};
  QFile in(file);
  if (!in.open(QIODevice::ReadOnly)) return {};
  in.seek(std::max<qint64>(0, in.size() - kTail));
  const QString said = QString::fromUtf8(in.readAll()).trimmed();
  const int begin = said.lastIndexOf("pcmlab: ");
  return begin < 0 ? QString() : said.mid(begin + 8);
}

void describe(QueueLine& line) {
  QStringList steps;
  for (const std::string& step : steps_of(line.entry.plan_text)) steps << text(step);
  line.steps = steps.join(", ");
  const auto plan = parse_plan(line.entry.plan_text, "plan", app::app_plan_schema());
  if (!plan) {
    line.detail = text(plan.error().message);
    return;
  }
  line.board_kind = plan->section("board").text("kind");
  const bool is_mock = line.board_kind == "mock";
  const std::string& serial = plan->section(is_mock ? "mock" : "board").text("serial");
  line.board = text(line.board_kind);
  if (!serial.empty()) line.board += ' ' + text(serial);
  line.detail = text(app::describe_board(*plan));
}

Result<std::vector<QueueLine>> read_queue(db::RunStore& store) {
  PCM_ASSIGN(std::vector<db::QueueEntry> entries, store.queue());
  const auto over = static_cast<std::size_t>(
      std::count_if(entries.begin(), entries.end(),
                    [](const db::QueueEntry& entry) { return !entry.ended_utc.empty(); }));
  if (over > kMostOver) {
    entries.erase(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(over - kMostOver));
  }
  std::vector<QueueLine> lines;
  for (db::QueueEntry& entry : entries) {
    QueueLine& line = lines.emplace_back();
    line.entry = std::move(entry);
    describe(line);
    if (line.entry.state != db::QueueState::Running || !line.entry.run) continue;
    PCM_ASSIGN(const db::RunRow run, store.run(*line.entry.run));
    line.at_work = run.state == db::RunState::Running;
    line.run_began_utc = run.started_utc;
  }
  return lines;
}

std::string later(const std::string& utc, double by_s) {
  QDateTime time = QDateTime::fromString(text(utc), Qt::ISODateWithMs);
  time.setTimeSpec(Qt::UTC);
  return time.addMSecs(std::llround(1e3 * by_s)).toString(Qt::ISODateWithMs).toStdString();
}

/// When the newest programming of the run was over, by the clock; empty if nobody knows.
Result<std::string> programming_ended_utc(db::RunStore& store, db::RowId run) {
  PCM_ASSIGN(auto last,
             store.database().prepare(
                 "SELECT outcome.utc, outcome.last_tick_ns, programming.end_tick_ns"
                 " FROM pulse_batch_outcome AS outcome"
                 " JOIN pulse_batch ON pulse_batch.id = pulse_batch_id"
                 " JOIN programming ON programming.id = programming_id"
                 " WHERE programming_id = (SELECT max(id) FROM programming WHERE run_id = ?)"
                 " ORDER BY batch DESC LIMIT 1"));
  PCM_ASSIGN(const bool found, last.bind(run).step());
  if (!found || last.is_null(2)) return std::string();
  return later(last.text(0), static_cast<double>(last.integer(2) - last.integer(1)) * 1e-9);
}

/// Of the retention step at work, else of the first that has not begun.
Result<std::vector<ComingRead>> coming_reads(db::RunStore& store, const db::RunRow& run) {
  std::vector<ComingRead> reads;
  if (run.state == db::RunState::Complete) return reads;
  PCM_ASSIGN(const std::vector<double> next_s, next_reads_s(store, run.id));
  const auto plan = parse_plan(run.plan_text, "plan", app::app_plan_schema());
  if (!next_s.empty()) {
    std::string ended_utc;
    if (plan && !app::is_simulated(*plan)) {
      PCM_ASSIGN(ended_utc, programming_ended_utc(store, run.id));
    }
    for (const double after_s : next_s) {
      reads.push_back({after_s, ended_utc.empty() ? ended_utc : later(ended_utc, after_s)});
    }
    return reads;
  }
  if (!plan) return reads;
  PCM_ASSIGN(const auto begun, store.steps(run.id));
  for (std::size_t i = begun.size(); i < plan->steps.size(); ++i) {
    const PlanStep& step = plan->steps[i];
    if (step.experiment != "retention") continue;
    for (const double after_s :
         time_points_s(step.values.reals("times_s"), step.values.real("first_s"),
                       step.values.real("last_s"), static_cast<int>(step.values.integer("points")),
                       step.values.text("spacing") == "linear" ? Spacing::Linear : Spacing::Log)) {
      reads.push_back({after_s, {}});
    }
    break;
  }
  return reads;
}

QString session_text(const db::SessionRow& session, const char* did) {
  return QString("process %1 on %2 %3").arg(session.pid).arg(text(session.host), did);
}

Result<void> read_log(db::RunStore& store, db::RowId run, Night& night) {
  PCM_ASSIGN(const auto events, store.events(run));
  PCM_ASSIGN(const auto sessions, store.sessions(run));
  PCM_ASSIGN(const auto commands, store.commands(run));
  PCM_ASSIGN(const auto steps, store.steps(run));
  std::vector<LogLine>& log = night.log;
  for (const db::SessionRow& session : sessions) {
    const bool first = &session == &sessions.front();
    log.push_back({session.began_utc, "process",
                   session_text(session, first ? "began the run" : "went on with the run")});
    if (session.ended_utc.empty()) continue;
    const QString how = session_text(session, "ended: ") + text(db::to_string(session.state));
    log.push_back({session.ended_utc, "process", how});
  }
  for (const db::StepRow& step : steps) {
    const std::string begun_utc = QDateTime::fromMSecsSinceEpoch(step.begun_utc_ns / 1'000'000)
                                      .toUTC()
                                      .toString(Qt::ISODateWithMs)
                                      .toStdString();
    log.push_back({begun_utc, "step",
                   QString("step %1, %2, began").arg(step.ordinal + 1).arg(text(step.experiment))});
  }
  for (const db::EventRow& event : events) {
    log.push_back({event.utc, text(event.kind), text(event.text)});
  }
  for (const db::CommandRow& command : commands) {
    const QString by = text(command.requested_by);
    log.push_back({command.requested_utc, "asked",
                   QString("%1, by %2%3")
                       .arg(text(db::to_string(command.command)), by,
                            command.taken_utc.empty() ? ", not seen by the runner" : "")});
  }
  // UTC texts sort as their times do. Of one moment, what is added later above is later.
  std::reverse(log.begin(), log.end());
  std::stable_sort(log.begin(), log.end(),
                   [](const LogLine& a, const LogLine& b) { return a.utc > b.utc; });
  if (log.size() > kMostLogLines) {
    night.log_left_out = log.size() - kMostLogLines;
    log.resize(kMostLogLines);
  }
  return {};
}

}  // namespace

std::optional<QueueProcess> queue_process(const std::filesystem::path& database) {
  const QString file = QFileInfo(text(database.string())).canonicalFilePath();
  if (file.isEmpty()) return std::nullopt;
  const QDir processes("/proc");
  for (const QString& name : processes.entryList(QDir::Dirs | QDir::NoDotAndDotDot)) {
    bool is_number = false;
    const qlonglong pid = name.toLongLong(&is_number);
    const QString process = processes.filePath(name);
    if (!is_number || !works_off_a_queue(process) || !has_open(process, file)) continue;
    return QueueProcess{pid, content_of(process + "/cgroup").contains("pcmlab-queue.service"),
                        last_words(process)};
  }
  return std::nullopt;
}

QString QueueLine::state() const {
  if (entry.state == db::QueueState::Running) return at_work ? "running" : "to go on";
  return text(db::to_string(entry.state));
}

Result<Night> read_night(db::RunStore& store, std::optional<db::RowId> run) {
  Night night;
  PCM_ASSIGN(night.queue, read_queue(store));
  night.process = queue_process(store.database().file());
  if (!run) return night;
  PCM_ASSIGN(night.run, store.run(*run));
  PCM_ASSIGN(night.reads, coming_reads(store, *night.run));
  PCM_TRY(read_log(store, *run, night));
  return night;
}

}  // namespace pcmlab::gui
