// SPDX-License-Identifier: Apache-2.0
/// \file
/// The board that a plan asks for in [board]: the mock or a replay, recorded or not; as a Board,
/// or as the bare bytes to it and back.
/// Functions without state; who opens a board owns it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "driver/board.h"
#include "driver/recovering_board.h"
#include "driver/transport.h"
#include "experiments/engine/plan.h"
#include "protocol/error.h"

namespace pcmlab::app {

enum class Purpose {
  Run,    ///< with [board] record the conversation is recorded
  Check,  ///< makes no file; says whether Run could make it
  Resume  ///< records nothing; a simulated board is new and has the planned faults of its chip
          ///< alone
};

/// The way to the board, on which nothing was said yet.
/// \param plan  with the sections [board], [mock] and [faults]
/// Errors: BadPlan ([board] contradicts itself), those of mock_transport(), UsbTransport::open(),
/// load_recording() and RecordingWriter::create().
Result<std::unique_ptr<Transport>> open_transport(const Plan& plan, Purpose purpose);

/// A board over open_transport() that goes on after interruptions and waits for a cable to be put
/// in again.
/// \param tell  gets what happens to the board without becoming an error; may be empty
/// \param stop  ends the waiting for a board
/// \param earlier  what another process left on it
/// Errors: also those of TestBoard::open().
Result<std::unique_ptr<Board>> open_board(const Plan& plan, Purpose purpose,
                                          std::function<void(const BoardEvent&)> tell = {},
                                          std::stop_token stop = {},
                                          std::optional<EarlierWork> earlier = {});

/// The mock board of the plan instead of the board that it names, for a rehearsal; of planned
/// faults it has those of the chip. \param tell  gets every request in words. Errors: those of
/// open_board().
Result<std::unique_ptr<Board>> open_rehearsal(const Plan& plan,
                                              std::function<void(const std::string&)> tell);

/// Whether the plan's board ends with the process, so that its chip must be replayed when another
/// process goes on.
bool is_simulated(const Plan& plan);

/// For provenance and lists. Of a replay also what had been recorded, where the file tells.
std::string describe_board(const Plan& plan);

}  // namespace pcmlab::app
