// SPDX-License-Identifier: Apache-2.0
/// \file
/// The mock board for those who have no other: its section of a plan, and a Board over loopback.
#pragma once

#include <memory>

#include "driver/board.h"
#include "driver/transport.h"
#include "experiments/engine/plan.h"
#include "mock_device/faulty_board.h"
#include "protocol/error.h"

namespace pcmlab::app {

/// [mock]: serial, seed, chip, array, temperature, threads, and every constant of the PCM model.
ParameterTable mock_section();

enum class PlannedFaults { All, OfTheChip };

/// A mock chip on a mock board, which goes wrong as planned.
/// \param faults  values of faults_section()
/// \param virtual_time  whether the board's clock moves by its work and AdvanceTime alone
/// Errors: those of load_chip() and fault_plan().
Result<std::unique_ptr<mock::FaultyBoard>> mock_board(const ParameterValues& mock,
                                                      const ParameterValues& faults,
                                                      bool virtual_time,
                                                      PlannedFaults planned = PlannedFaults::All);

/// Such a board behind a loopback; it lives as long as the Transport. After a
/// planned disconnect reopen() succeeds. Errors: those of mock_board().
Result<std::unique_ptr<Transport>> mock_transport(const ParameterValues& mock,
                                                  const ParameterValues& faults,
                                                  PlannedFaults planned = PlannedFaults::All);

/// A Board over it. Errors: also those of TestBoard::open().
Result<std::unique_ptr<Board>> open_mock(const ParameterValues& mock,
                                         const ParameterValues& faults);

/// "mock board MOCK0001 over loopback, chip joshi-2020 with seed 1; planned faults: ...", for
/// provenance and lists.
std::string describe_mock(const ParameterValues& mock, const ParameterValues& faults,
                          std::string_view line = "loopback");

}  // namespace pcmlab::app
