// SPDX-License-Identifier: Apache-2.0
/// \file
/// How much of the wall time of a job the chip was at work: what a driver is good for.
#pragma once

#include <cstddef>
#include <string>

#include "driver/board.h"
#include "mock_device/board_thread.h"

namespace pcmlab {

constexpr ArrayShape kWholeArray{512, 2048};

struct BusyShare {
  double busy_s = 0;  ///< by the board's count
  double wall_s = 0;
};

/// The board's clock is the wall's; 125 us each way and 40 MB/s, as high speed leaves of 480
/// Mbit/s.
mock::BoardPace high_speed_in_real_time();

/// One read of all devices, five samples each.
Result<BusyShare> busy_share_of_a_read(Board& board);

/// One pulse of the paper's width for every device.
Result<BusyShare> busy_share_of_pulses(Board& board);

/// Program-and-verify of so many devices with the paper's settings, but reads follow pulses at
/// once: otherwise most of the wall time is a wait that the plan asks for. Every second device has
/// a target, from 1 to 25 uS. \param database  the file that the run is stored in
Result<BusyShare> busy_share_of_a_programming(Board& board, std::size_t devices,
                                              const std::string& database);

}  // namespace pcmlab
