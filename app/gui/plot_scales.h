// SPDX-License-Identifier: Apache-2.0
/// \file
/// Axes that Qwt does not have: time in units that people use, and probabilities. GUI thread.
#pragma once

class QwtPlot;

namespace pcmlab::gui {

enum class Scale;

/// Gives an axis of a plot its scale engine and its labels.
void set_scale(QwtPlot& plot, int axis, Scale scale);

/// The standard normal quantile of a probability in percent, kept within 1e-4 .. 100 - 1e-4, and
/// its inverse.
double probit(double percent);
double percent_of_probit(double deviations);

}  // namespace pcmlab::gui
