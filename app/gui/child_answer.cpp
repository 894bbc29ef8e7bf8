// SPDX-License-Identifier: Apache-2.0
#include "app/gui/child_answer.h"

#include <nlohmann/json.hpp>
#include <utility>

namespace pcmlab::gui {

ChildAnswer::ChildAnswer() {
  QObject::connect(&process_, qOverload<int, QProcess::ExitStatus>(&QProcess::finished), &process_,
                   [this] { finish(); });
  QObject::connect(&process_, &QProcess::errorOccurred, &process_,
                   [this](QProcess::ProcessError error) {
                     if (error == QProcess::FailedToStart) finish();
                   });
}

ChildAnswer::~ChildAnswer() {
  process_.disconnect();
  process_.kill();
  process_.waitForFinished();
}

void ChildAnswer::ask(const std::filesystem::path& program, const QStringList& arguments,
                      Answer answer, const std::filesystem::path& folder) {
  if (is_asking()) {
    answer_ = nullptr;
    process_.kill();
    process_.waitForFinished();
  }
  if (program.empty()) {
    return answer(fail(ErrorCode::NotFound,
                       "asking pcmlab: it is neither beside this program nor on the PATH",
                       "install both: cmake --install build/release"));
  }
  answer_ = std::move(answer);
  stopped_ = false;
  process_.setWorkingDirectory(QString::fromStdString(folder.string()));
  process_.start(QString::fromStdString(program.string()), arguments + QStringList{"--json"});
}

void ChildAnswer::stop() {
  if (!is_asking()) return;
  stopped_ = true;
  process_.terminate();
}

void ChildAnswer::finish() {
  if (!answer_) return;
  const Answer answer = std::exchange(answer_, nullptr);
  if (stopped_) return answer(fail(ErrorCode::Stopped, "stopped"));
  auto json = nlohmann::json::parse(process_.readAllStandardOutput().toStdString(), nullptr, false);
  if (!json.is_discarded()) return answer(std::move(json));
  QString said = QString::fromUtf8(process_.readAllStandardError()).trimmed();
  if (said.isEmpty()) said = process_.errorString();
  const QString advice = said.section("what to do: ", 1).trimmed();
  answer(fail(ErrorCode::Io, said.section("what to do: ", 0, 0).trimmed().toStdString(),
              advice.toStdString()));
}

}  // namespace pcmlab::gui
