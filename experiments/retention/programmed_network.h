// SPDX-License-Identifier: Apache-2.0
/// \file
/// Where a run has the network's weights, and when they were read: one programming, or several
/// fillings of an array that does not hold them all at once. Plain values, read from the store.
#pragma once

#include <vector>

#include "db/run_store.h"
#include "protocol/error.h"

namespace pcmlab {

/// All weights of the network, read the same time after their programming.
struct NetworkReading {
  std::vector<db::SweepRow> sweeps;  ///< one of each filling, in the order of the weights

  double after_s() const { return sweeps.front().after_s; }  ///< of the first filling
  double sum_uS() const;                                     ///< of all devices
};

/// What the last step that programmed weights left.
struct ProgrammedNetwork {
  std::vector<db::LayerRow> layers;
  std::vector<db::ProgrammingRow> fillings;  ///< complete ones, in the order of the weights
  std::vector<NetworkReading> readings;      ///< of which every filling has a complete sweep
};

/// Errors: those of the store.
Result<ProgrammedNetwork> programmed_network(db::RunStore& store, db::RowId run);

/// The same; of a run that programmed no weights what its last programming left, if that was read:
/// without layers. Errors: those of the store.
Result<ProgrammedNetwork> programmed_devices(db::RunStore& store, db::RowId run);

/// Where the devices are: those of the first filling, then those of the second, ...
Result<std::vector<DeviceAddress>> addresses(db::RunStore& store, const ProgrammedNetwork& network);

/// How the devices ended, likewise. Errors: those of the store.
Result<db::ProgrammingResult> programming_result(db::RunStore& store,
                                                 const ProgrammedNetwork& network);

/// Conductances of a reading by device of the network, 2 * weight + polarity, uS.
Result<std::vector<float>> conductances_uS(db::RunStore& store, const NetworkReading& reading);

/// Conductances as the verify reads saw them last, likewise; of a RESET device, which is not
/// verified, its target 0. Errors: those of the store.
Result<std::vector<float>> verified_uS(db::RunStore& store, const ProgrammedNetwork& network);

/// Targets, likewise.
Result<std::vector<float>> targets_uS(db::RunStore& store, const ProgrammedNetwork& network);

}  // namespace pcmlab
