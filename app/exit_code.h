// SPDX-License-Identifier: Apache-2.0
/// \file
/// How a command ended, for scripts. The table of README.md.
#pragma once

#include "protocol/error.h"

namespace pcmlab::app {

enum ExitCode : int {
  kDone = 0,
  kInternal = 1,
  kUsage = 2,     ///< the command line
  kBadInput = 3,  ///< plan, network, images, or they do not fit the board
  kBoard = 4,
  kStore = 5,  ///< database, disk, output files
  kStopped = 6,
  kCheckFailed = 7,  ///< selftest or doctor found something
};

constexpr ExitCode exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::NotFound:
    case ErrorCode::BadPlan:
    case ErrorCode::BadFile:
    case ErrorCode::BadNetwork:
    case ErrorCode::DoesNotFit:
      return kBadInput;
    case ErrorCode::Timeout:
    case ErrorCode::Disconnected:
    case ErrorCode::BadFrame:
    case ErrorCode::Refused:
    case ErrorCode::DuplicateBatch:
    case ErrorCode::LimitExceeded:
    case ErrorCode::Unsupported:
    case ErrorCode::Incompatible:
      return kBoard;
    case ErrorCode::Database:
    case ErrorCode::DatabaseNewer:
    case ErrorCode::DiskFull:
    case ErrorCode::Io:
    case ErrorCode::Busy:
      return kStore;
    case ErrorCode::Stopped:
      return kStopped;
    case ErrorCode::Internal:
      return kInternal;
  }
  return kInternal;
}

}  // namespace pcmlab::app
