// SPDX-License-Identifier: Apache-2.0
/// \file
/// The one error type and `Result<T>`. An error's text says what was tried, on what, what
/// happened, and what to do next. Plain values.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace pcmlab {

enum class ErrorCode {
  // Board and wire
  Timeout,         ///< no answer before the deadline
  Disconnected,    ///< the board is gone; nothing works until reopen()
  BadFrame,        ///< bytes that are not the protocol
  Refused,         ///< the board or the driver said no: address, state, unknown request
  DuplicateBatch,  ///< a batch of pulses whose number the board has seen
  LimitExceeded,   ///< beyond amplitude, width, pulse count or temperature limits
  Unsupported,     ///< a capability that is not there
  Incompatible,    ///< another board, firmware or protocol version than expected
  // Files and input
  NotFound,
  BadPlan,
  BadFile,     ///< truncated, corrupt or of another format
  BadNetwork,  ///< a network that cannot be run
  DoesNotFit,  ///< more devices than the array has
  // Store
  Database,
  DatabaseNewer,  ///< written by a newer program
  DiskFull,
  Io,
  // Run
  Busy,     ///< held by another process
  Stopped,  ///< somebody asked for it
  Internal  ///< a bug in pcmlab
};

constexpr std::string_view to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::Timeout:
      return "timeout";
    case ErrorCode::Disconnected:
      return "disconnected";
    case ErrorCode::BadFrame:
      return "bad frame";
    case ErrorCode::Refused:
      return "refused";
    case ErrorCode::DuplicateBatch:
      return "duplicate batch";
    case ErrorCode::LimitExceeded:
      return "limit exceeded";
    case ErrorCode::Unsupported:
      return "unsupported";
    case ErrorCode::Incompatible:
      return "incompatible";
    case ErrorCode::NotFound:
      return "not found";
    case ErrorCode::BadPlan:
      return "bad plan";
    case ErrorCode::BadFile:
      return "bad file";
    case ErrorCode::BadNetwork:
      return "bad network";
    case ErrorCode::DoesNotFit:
      return "does not fit";
    case ErrorCode::Database:
      return "database";
    case ErrorCode::DatabaseNewer:
      return "database is newer";
    case ErrorCode::DiskFull:
      return "disk full";
    case ErrorCode::Io:
      return "input/output";
    case ErrorCode::Busy:
      return "busy";
    case ErrorCode::Stopped:
      return "stopped";
    case ErrorCode::Internal:
      return "internal";
  }
  return "unknown";
}

struct Error {
  ErrorCode code = ErrorCode::Internal;
  std::string message;  ///< what was tried, on what, what happened
  std::string advice;   ///< what to do next; may be empty

  /// The same error seen from further up: "doing X: what happened".
  Error during(std::string_view doing) const {
    return {code, std::string(doing) + ": " + message, advice};
  }
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string advice = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(advice)});
}

}  // namespace pcmlab

#define PCM_JOIN_(a, b) a##b
#define PCM_JOIN(a, b) PCM_JOIN_(a, b)

/// Evaluates a Result; on an error returns it from the enclosing function.
#define PCM_TRY(...) PCM_TRY_(PCM_JOIN(pcm_result_, __COUNTER__), __VA_ARGS__)
#define PCM_TRY_(result, ...)                                            \
  do {                                                                   \
    if (auto result = (__VA_ARGS__); !result) {                          \
      return tl::unexpected<::pcmlab::Error>(std::move(result).error()); \
    }                                                                    \
  } while (false)

/// `PCM_ASSIGN(auto x, f())`: x is f()'s value; on an error returns it from the enclosing function.
#define PCM_ASSIGN(declaration, ...) \
  PCM_ASSIGN_(PCM_JOIN(pcm_result_, __COUNTER__), declaration, __VA_ARGS__)
#define PCM_ASSIGN_(result, declaration, ...)                          \
  auto result = (__VA_ARGS__);                                         \
  if (!result) {                                                       \
    return tl::unexpected<::pcmlab::Error>(std::move(result).error()); \
  }                                                                    \
  declaration = std::move(result).value()
