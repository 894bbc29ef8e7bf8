// SPDX-License-Identifier: Apache-2.0
/// \file
/// Any Transport, and a recording of what passes over it. Used by one thread; owns both.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "driver/recording.h"
#include "driver/transport.h"

namespace pcmlab {

/// Passes every call on and records it: bytes, and how a call failed.
///
/// What was sent is in the file before anybody waits for an answer, and an answer before it is
/// handed on. When that fails, the call fails with the writer's DiskFull or Io, and so does every
/// later one: nothing passes unrecorded.
class RecordingTransport final : public Transport {
 public:
  RecordingTransport(std::unique_ptr<Transport> inner, std::unique_ptr<RecordingWriter> writer);

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override;
  Result<void> receive(std::vector<std::byte>& into, Deadline deadline) override;
  Result<void> reopen(Deadline deadline) override;
  std::string description() const override { return inner_->description(); }

 private:
  Result<void> record_now(RecordKind kind, std::span<const std::byte> bytes);
  /// Records a failed call. \return its error, and that of the recording if there is one too.
  tl::unexpected<Error> failed(RecordKind kind, Error error);

  std::unique_ptr<Transport> inner_;
  std::unique_ptr<RecordingWriter> writer_;
};

}  // namespace pcmlab
