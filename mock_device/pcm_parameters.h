// SPDX-License-Identifier: Apache-2.0
/// \file
/// Every constant of the PCM model, in one place, with unit, default and source. Plain values.
///
/// Sources. P: a primary text or source code that implements it (Sebastian 2017, arXiv 1706.00511;
/// Nandakumar 2018 JAP and ICECS 2019; Joshi 2020; aihwkit). E: our engineering default, no
/// literature behind it. M: known from the literature, not checked against the text.
///
/// The model, for a device of conductance G0 (what it has t_c after its last pulse):
///   drift        G(t) = G0 (t / t_c)^-nu, t since the last pulse
///   temperature  times exp(-(Ea(G0) / k) (1/T - 1/T0)), Ea = Ea_reset (1 - G0 / G_s)
///   read         times 1 + Q_s n(t), n: 1/f^beta noise that starts anew at each pulse
///   plug         G0 = G_r + (G_s - G_r) (1 - x)^1.5, x: 0 crystalline .. 1 the plug fills the cell
/// and the pulses as described at their parameters. Where a chip has been measured, its tables
/// (chip_model.h) stand in for the formulas of steps, melting, drift and noise.
#pragma once

#include <array>
#include <span>
#include <string_view>

namespace pcmlab::mock {

struct PcmParameters {
  // Range of conductance
  double set_conductance_uS = 40.0;
  double set_conductance_spread = 0.08;
  double reset_conductance_uS = 0.1;
  double reset_conductance_spread = 0.10;
  double state_exponent = 1.5;
  double spatial_spread = 0.02;

  // Melting pulse, I > I_m: x = m (1 + s1 xi) + s2 xi' + max(0, x_old - m) exp(-w / quench_time),
  // m = (I^2 - I_m^2) / (I_f^2 - I_m^2).
  double melt_onset_uA = 150.0;
  double melt_full_uA = 345.0;
  double melt_current_spread = 0.05;
  double melt_cycle_spread = 0.04;
  double melt_state_noise = 0.01;
  double quench_time_ns = 100.0;

  // Crystallising pulse, onset < I <= I_m, once per set_step_width: memory P <- P exp(-1/2.6), then
  // dG = (a G + b + c P) + (d G + e + f P) xi, scaled (I - onset) / full, tapered towards I_m; xi
  // is drawn once a pulse, and the spread of n steps is n^power times that of one. The fit was made
  // below 12 uS; above, the mean step stays at the floor times (1 - G / G_s).
  double set_onset_uA = 50.0;
  double set_full_uA = 40.0;
  double set_step_width_ns = 50.0;
  double set_memory_steps = 2.6;
  double set_mean_slope = -0.084;
  double set_mean_uS = 0.880;
  double set_mean_memory_uS = 1.40;
  double set_mean_floor_uS = 1.5;
  double set_spread_slope = 0.091;
  double set_spread_uS = 0.260;
  double set_spread_memory_uS = 2.15;
  double set_spread_power = 0.0;

  // Drift exponent, drawn at each pulse; g = G0 / reference_conductance.
  double drift_reference_time_s = 20.0;
  double reference_conductance_uS = 25.0;
  double drift_mean_slope = -0.0155;
  double drift_mean = 0.0244;
  double drift_mean_min = 0.049;
  double drift_mean_max = 0.1;
  double drift_spread_slope = -0.0125;
  double drift_spread = -0.0059;
  double drift_spread_min = 0.008;
  double drift_spread_max = 0.045;

  // 1/f noise: Q_s = min(a / g^b, max); one Ornstein-Uhlenbeck term per decade of correlation time.
  double noise_amplitude = 0.0088;
  double noise_power = 0.65;
  double noise_max = 0.2;
  double noise_exponent = 1.21;
  double noise_read_time_s = 250e-9;
  double noise_reference_time_s = 25.0;

  // Temperature
  double reference_temperature_K = 300.0;
  double activation_energy_eV = 0.25;

  // Read disturb: each sample above the onset crystallises so much of the plug.
  double disturb_onset_mV = 300.0;
  double disturb_per_V = 0.01;

  // Wear: a device that has melted N of its N_e times has lost (N / N_e)^power of its range, from
  // one end, and is stuck at the other at last.
  double endurance_cycles = 3e8;
  double endurance_spread = 0.5;
  double wear_power = 2.0;
  double wear_stuck_high_share = 0.5;

  // ADC and read circuit
  double adc_step_uS = 0.2;
  double adc_noise_lsb = 0.25;
  double adc_offset_lsb = 0.0;
  double bit_line_offset_lsb = 0.25;
  double sample_time_ns = 1000.0;
  double pulse_overhead_ns = 100.0;
  double reference_1_uS = 2.0;
  double reference_2_uS = 10.0;
  double reference_3_uS = 25.0;
  double reference_4_uS = 45.0;

  // Yield, fractions of all devices and lines
  double stuck_low_fraction = 0.005;
  double stuck_high_fraction = 0.001;
  double limited_range_fraction = 0.003;
  double limited_range_factor = 0.4;
  double bad_word_line_fraction = 0.0;
  double bad_bit_line_fraction = 0.0;

  /// The on-chip reference resistors.
  std::array<double, 4> references_uS() const {
    return {reference_1_uS, reference_2_uS, reference_3_uS, reference_4_uS};
  }

  bool operator==(const PcmParameters&) const = default;
};

struct PcmParameterInfo {
  std::string_view name;
  std::string_view unit;    ///< "" for a pure number
  std::string_view source;  ///< tag and text, see above
  std::string_view help;
  double PcmParameters::*member;
  double minimum;
  double maximum;
};

/// All parameters, in the order of the struct.
std::span<const PcmParameterInfo> pcm_parameter_table();

}  // namespace pcmlab::mock
