// SPDX-License-Identifier: Apache-2.0
/// \file
/// What a run has put onto the chip and read from it, gathered for export. Used by one thread.
#pragma once

#include <optional>
#include <vector>

#include "db/run_store.h"
#include "experiments/exchange/output_file.h"
#include "experiments/network/network.h"
#include "experiments/retention/programmed_network.h"

namespace pcmlab {

/// What the last step that programmed weights left: of all fillings of the array.
struct MeasuredRun {
  db::RunRow run;
  ProgrammedNetwork network;  ///< its readings are those asked for
  std::vector<int> numbers;   ///< of the readings, in order of time from 1
  std::vector<DeviceAddress> addresses;
  std::vector<float> targets_uS;
};

/// \param sweep  this one alone; none = all.
/// Errors: NotFound (no such run or sweep, nothing programmed), those of the store.
Result<MeasuredRun> find_measured_run(db::RunStore& store, db::RowId run, std::optional<int> sweep);

/// The network of a run, from the database; layers that the run did not program are digital.
/// Errors: those of the store and of parse_network().
Result<Network> network_of(db::RunStore& store, const db::RunRow& run);

/// |W| by weight from one reading, in units of the network's weights: of each pair the device of
/// the weight's sign alone (that of a zero weight gives 0). Errors: those of the store.
Result<std::vector<float>> measured_magnitudes(db::RunStore& store, const MeasuredRun& measured,
                                               const NetworkReading& reading,
                                               const WeightSet& weights);

/// A line a device: layer, weight, row, column, polarity, word_line, bit_line, weight_per_uS,
/// target_uS, verdict, iterations, pulses, and the conductance of each sweep. Holds 24 bytes a
/// device and 4 more for each sweep in memory. Errors: those of the store and of OutputFile.
Result<void> write_device_csv(db::RunStore& store, const MeasuredRun& measured, OutputFile& file);

/// The same as arrays by device, with the layers and sweeps as arrays of their own; measured_uS is
/// [sweep][device]. Holds one array in memory at a time. Errors: as above.
Result<void> write_device_npz(db::RunStore& store, const MeasuredRun& measured, OutputFile& file);

/// The same and more as HDF5: also code sums, ages, drift fits, accuracies, events, and where all
/// of it comes from. Holds 40 bytes a device in memory, however many sweeps there are. Errors: as
/// above.
Result<void> write_device_hdf5(db::RunStore& store, const MeasuredRun& measured, OutputFile& file);

}  // namespace pcmlab
