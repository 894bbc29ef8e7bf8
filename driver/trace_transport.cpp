// SPDX-License-Identifier: Apache-2.0
#include "driver/trace_transport.h"

#include <utility>

#include "driver/request_difference.h"

namespace pcmlab {

TraceTransport::TraceTransport(std::unique_ptr<Transport> inner,
                               std::function<void(const std::string&)> tell)
    : inner_(std::move(inner)), tell_(std::move(tell)) {}

Result<void> TraceTransport::send(std::span<const std::byte> bytes, Deadline deadline) {
  const std::string settings = request_settings(bytes);
  tell_(describe_request(bytes) + (settings.empty() ? "" : ": " + settings));
  return inner_->send(bytes, deadline);
}

Result<void> TraceTransport::reopen(Deadline deadline) {
  tell_("connects again");
  return inner_->reopen(deadline);
}

}  // namespace pcmlab
