// SPDX-License-Identifier: Apache-2.0
/// \file
/// A FaultyBoard behind a loopback, one thread. After a planned disconnect the cable is in again.
#pragma once

#include <memory>
#include <vector>

#include "driver/loopback_transport.h"
#include "mock_device/faulty_board.h"

namespace pcmlab::testing {

/// \param board  outlives the transport
inline std::unique_ptr<Transport> loopback_to(mock::FaultyBoard& board,
                                              const std::shared_ptr<LoopbackCable>& cable) {
  LoopbackEnd end;
  end.take = [&board](std::span<const std::byte> bytes) { board.receive(bytes); };
  end.give = [&board, cable](std::vector<std::byte>& into) {
    while (into.empty() && board.work()) board.take_output(into);
    if (!board.unplugged()) return;
    cable->unplug();
    cable->replug();
  };
  end.disconnected = [&board] { board.connection_lost(); };
  return std::make_unique<LoopbackTransport>(std::move(end), cable);
}

}  // namespace pcmlab::testing
