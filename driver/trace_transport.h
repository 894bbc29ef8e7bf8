// SPDX-License-Identifier: Apache-2.0
/// \file
/// Any Transport, and a line for a person about every request that passes over it. Used by one
/// thread; owns the other.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "driver/transport.h"

namespace pcmlab {

class TraceTransport final : public Transport {
 public:
  /// \param tell  gets each request before it is sent: "Program, 4096 devices, batch 17: 160.00 to
  /// 312.40 uA for 400 ns"
  TraceTransport(std::unique_ptr<Transport> inner, std::function<void(const std::string&)> tell);

  Result<void> send(std::span<const std::byte> bytes, Deadline deadline) override;
  Result<void> receive(std::vector<std::byte>& into, Deadline deadline) override {
    return inner_->receive(into, deadline);
  }
  Result<void> reopen(Deadline deadline) override;
  std::string description() const override { return inner_->description(); }

 private:
  std::unique_ptr<Transport> inner_;
  std::function<void(const std::string&)> tell_;
};

}  // namespace pcmlab
