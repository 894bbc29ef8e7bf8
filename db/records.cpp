// SPDX-License-Identifier: Apache-2.0
#include "db/records.h"

namespace pcmlab::db {

std::string_view to_string(RunState state) {
  switch (state) {
    case RunState::Running:
      return "running";
    case RunState::Complete:
      return "complete";
    case RunState::Stopped:
      return "stopped";
    case RunState::Failed:
      return "failed";
    case RunState::Interrupted:
      return "interrupted";
  }
  return "unknown";
}

std::string_view to_string(BatchKind kind) {
  switch (kind) {
    case BatchKind::Reset:
      return "reset";
    case BatchKind::Staircase:
      return "staircase";
    case BatchKind::Program:
      return "program";
  }
  return "unknown";
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::Reset:
      return "reset";
    case Verdict::Converged:
      return "converged";
    case Verdict::MaxIterations:
      return "out of iterations";
    case Verdict::StuckLow:
      return "stuck low";
    case Verdict::StuckHigh:
      return "stuck high";
  }
  return "unknown";
}

std::string_view to_string(DriftClass of) {
  switch (of) {
    case DriftClass::TooFewPoints:
      return "too few points";
    case DriftClass::Drifting:
      return "drifting";
    case DriftClass::Stuck:
      return "stuck";
    case DriftClass::Noisy:
      return "noisy";
    case DriftClass::Backwards:
      return "drifting backwards";
  }
  return "unknown";
}

std::string_view to_string(RunCommand command) {
  switch (command) {
    case RunCommand::Pause:
      return "pause";
    case RunCommand::Continue:
      return "continue";
    case RunCommand::Stop:
      return "stop";
    case RunCommand::Abort:
      return "abort";
  }
  return "";
}

std::string_view to_string(QueueState state) {
  switch (state) {
    case QueueState::Waiting:
      return "waiting";
    case QueueState::Running:
      return "running";
    case QueueState::Done:
      return "done";
    case QueueState::Failed:
      return "failed";
    case QueueState::Stopped:
      return "stopped";
  }
  return "";
}

std::string_view to_string(GapCause cause) {
  switch (cause) {
    case GapCause::Process:
      return "process";
    case GapCause::Pause:
      return "pause";
    case GapCause::Board:
      return "board";
    case GapCause::Suspend:
      return "suspend";
    case GapCause::ClockStep:
      return "clock";
  }
  return "";
}

}  // namespace pcmlab::db
