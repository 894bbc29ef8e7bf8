// SPDX-License-Identifier: Apache-2.0
#include "driver/recording_transport.h"

#include <utility>

namespace pcmlab {

RecordingTransport::RecordingTransport(std::unique_ptr<Transport> inner,
                                       std::unique_ptr<RecordingWriter> writer)
    : inner_(std::move(inner)), writer_(std::move(writer)) {}

Result<void> RecordingTransport::record_now(RecordKind kind, std::span<const std::byte> bytes) {
  PCM_TRY(writer_->record(kind, bytes));
  return writer_->flush();
}

tl::unexpected<Error> RecordingTransport::failed(RecordKind kind, Error error) {
  Result<void> recorded = writer_->record(kind, error);
  if (recorded) recorded = writer_->flush();
  if (recorded) return tl::unexpected<Error>(std::move(error));
  recorded.error().message += "; it was to record: " + error.message;
  return tl::unexpected<Error>(std::move(recorded).error());
}

Result<void> RecordingTransport::send(std::span<const std::byte> bytes, Deadline deadline) {
  // On file before it is on its way: no pulse goes out that the recording does not know.
  PCM_TRY(record_now(RecordKind::ToBoard, bytes));
  Result<void> sent = inner_->send(bytes, deadline);
  if (!sent) return failed(RecordKind::SendFailed, std::move(sent).error());
  return {};
}

Result<void> RecordingTransport::receive(std::vector<std::byte>& into, Deadline deadline) {
  const std::size_t before = into.size();
  Result<void> received = inner_->receive(into, deadline);
  if (!received) return failed(RecordKind::ReceiveFailed, std::move(received).error());
  return record_now(RecordKind::FromBoard, std::span(into).subspan(before));
}

Result<void> RecordingTransport::reopen(Deadline deadline) {
  Result<void> opened = inner_->reopen(deadline);
  if (!opened) return failed(RecordKind::ReopenFailed, std::move(opened).error());
  return record_now(RecordKind::Reopened, {});
}

}  // namespace pcmlab
