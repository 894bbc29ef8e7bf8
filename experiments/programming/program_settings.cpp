// SPDX-License-Identifier: Apache-2.0
#include "experiments/programming/program_settings.h"

namespace pcmlab {

ProgramSettings program_settings(const ParameterValues& values) {
  ProgramSettings settings;
  settings.reset_amplitude = Current::from_uA(values.real("reset_amplitude_uA"));
  settings.reset_width = Duration(values.integer("reset_width_ns"));
  for (const double amplitude_uA : values.reals("staircase_uA")) {
    settings.staircase.push_back(Current::from_uA(amplitude_uA));
  }
  settings.staircase_width = Duration(values.integer("staircase_width_ns"));
  settings.tolerance_uS = values.real("tolerance_uS");
  settings.gain_uA_per_uS = values.real("gain_uA_per_uS");
  settings.start_amplitude = Current::from_uA(values.real("start_amplitude_uA"));
  settings.min_amplitude = Current::from_uA(values.real("min_amplitude_uA"));
  settings.max_amplitude = Current::from_uA(values.real("max_amplitude_uA"));
  settings.pulse_width = Duration(values.integer("pulse_width_ns"));
  settings.max_iterations = static_cast<int>(values.integer("max_iterations"));
  settings.give_up_after = static_cast<int>(values.integer("give_up_after"));
  settings.read.samples = static_cast<std::uint8_t>(values.integer("verify_samples"));
  settings.read.read_voltage = Voltage::from_mV(values.real("read_voltage_mV"));
  settings.verify_delay = from_seconds(values.real("verify_delay_s"));
  settings.aim_age = from_seconds(values.real("aim_age_s"));
  settings.aim_drift_exponent = values.real("aim_drift_exponent");
  settings.block_devices = static_cast<std::size_t>(values.integer("block_devices"));
  return settings;
}

std::vector<Parameter> program_parameters() {
  return {
      real("tolerance_uS", "uS", 0.25, 0.01, 10, "converged within this of the target [M]"),
      integer("max_iterations", "", 55, 1, 250, "verify reads a device at most [M]"),
      integer("verify_samples", "samples", 5, 1, 255, "reads averaged by a verify [M]"),
      real("read_voltage_mV", "mV", 200, 10, 400, "read voltage [P]"),
      real("verify_delay_s", "s", 0.5, 0, 3600,
           "at least so long after its pulses a pass is verified [E]; with 10 s (and aim_age_s = "
           "300) devices are older when they are read and drift less from sweep to sweep, but 55 "
           "passes wait for nine minutes"),
      real("aim_age_s", "s", 40, 0, 1e9,
           "age at which a device is to hold its target: it is verified against the target plus "
           "the drift expected until then; 0 = the target itself, as in the paper [E]"),
      real("aim_drift_exponent", "", 0.05, 0, 0.2, "drift expected for that [P, C]"),
      real("gain_uA_per_uS", "uA/uS", 1.5, 0.01, 100,
           "change of amplitude for each uS above the target [E]"),
      real("start_amplitude_uA", "uA", 80, 0, 650, "amplitude before the first change [E]"),
      real("min_amplitude_uA", "uA", 80, 0, 650, "lowest amplitude of the loop [M]"),
      real("max_amplitude_uA", "uA", 400, 0, 650, "highest amplitude of the loop [M]"),
      integer("pulse_width_ns", "ns", 400, 50, 1e6, "width of the loop's pulses [S]"),
      real("reset_amplitude_uA", "uA", 450, 0, 650, "RESET amplitude [P]"),
      integer("reset_width_ns", "ns", 50, 50, 1e6, "RESET width [P]"),
      reals("staircase_uA", "uA", {160, 140, 120, 100, 80, 60}, 0, 650,
            "amplitudes after the RESET that bring a device to high conductance [P]"),
      integer("staircase_width_ns", "ns", 1000, 50, 1e6, "width of each of them [M]"),
      integer("give_up_after", "verifies", 10, 0, 250,
              "a device that stays at an amplitude limit so often is stuck; 0 = never give up "
              "[E]"),
      integer("block_devices", "devices", 0, 0, 1e9,
              "devices programmed to the end before the next are begun; 0 = the whole array "
              "pass by pass [P]"),
  };
}

}  // namespace pcmlab
