// SPDX-License-Identifier: Apache-2.0
/// \file
/// The twin of a PCM chip: an array of devices that answer pulses and reads as real ones do.
/// Model and sources: pcm_parameters.h, chip_model.h. A chip is used by one thread at a time; it
/// spreads its work over a few threads of its own, and what it answers depends on the seed and the
/// calls alone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "mock_device/chip_faults.h"
#include "mock_device/chip_model.h"
#include "mock_device/temperature_profile.h"
#include "protocol/device_address.h"
#include "protocol/messages.h"
#include "protocol/quantities.h"

namespace pcmlab::mock {

class PcmChip {
 public:
  /// \param model    checked by check(); its shape is only a proposal, `shape` counts
  /// \param threads  worker threads; 0 = one per core. The results do not depend on it.
  PcmChip(const ChipModel& model, ArrayShape shape, std::uint64_t seed, unsigned threads);
  /// A chip of the model's formulas alone.
  PcmChip(const PcmParameters& parameters, ArrayShape shape, std::uint64_t seed, unsigned threads);
  PcmChip(PcmChip&&) noexcept;
  PcmChip& operator=(PcmChip&&) noexcept;
  ~PcmChip();

  /// Breaks what the plan names, for good. Addresses outside the array are ignored.
  void plant(const ChipFaults& faults);

  /// The chip's temperature from now on, by chip time. 300 K unless set.
  void set_temperature(TemperatureProfile profile);
  const TemperatureProfile& temperature() const;
  Temperature temperature_at(BoardTime time) const;

  ArrayShape shape() const;
  const PcmParameters& parameters() const;

  /// How long a device keeps the chip busy: reading, or one pulse of this width.
  Duration read_time(std::uint8_t samples) const;
  Duration pulse_time(Duration width) const;

  /// Reads the devices one after another from `start` on; sums[i] = sum of `samples` ADC codes.
  void read(std::span<const DeviceAddress> addresses, std::uint8_t samples, Voltage read_voltage,
            BoardTime start, std::span<std::uint16_t> sums);

  /// One pulse a device, one after another from `start` on; amplitude 0 takes no pulse and no time.
  void program(std::span<const DeviceAddress> addresses,
               std::span<const std::uint16_t> amplitudes_10nA, Duration width, BoardTime start);

  /// The whole sequence for each device in turn.
  void initialise(std::span<const DeviceAddress> addresses, std::span<const wire::Pulse> sequence,
                  BoardTime start);

  /// Sums of ADC codes of the on-chip reference resistors, in the order of
  /// PcmParameters::references_uS().
  void read_references(std::uint8_t samples, BoardTime start, std::span<std::uint16_t> sums);

  /// Pulses sent to a device since the chip was made, whether or not it is there to take them.
  std::uint32_t pulses_of(DeviceAddress address) const;

  /// Bytes of state that each device takes.
  static std::size_t bytes_per_device();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pcmlab::mock
