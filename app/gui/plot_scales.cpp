// SPDX-License-Identifier: Apache-2.0
#include "app/gui/plot_scales.h"

#include <qwt_plot.h>
#include <qwt_scale_draw.h>
#include <qwt_scale_engine.h>
#include <qwt_transform.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "app/gui/format.h"
#include "app/gui/plot_content.h"
#include "app/plot_layout.h"

namespace pcmlab::gui {
namespace {

class TimeEngine : public QwtLogScaleEngine {
 public:
  /// At least a decade and a half, so that one reading has an axis too.
  void autoScale(int, double& low_s, double& high_s, double& step) const override {
    constexpr double kMargin = 1.25, kLeastSpan = 30;
    low_s = std::max(low_s, 1e-9);
    high_s = std::max(high_s, low_s);
    const double span = high_s / low_s * kMargin * kMargin;
    const double margin = kMargin * (span < kLeastSpan ? std::sqrt(kLeastSpan / span) : 1);
    low_s /= margin;
    high_s *= margin;
    step = 0;
  }
  QwtScaleDiv divideScale(double x1, double x2, int, int, double) const override {
    QList<double> ticks;
    const double low = std::min(x1, x2);
    const double high = std::max(x1, x2);
    if (low > 0 && high > low) {
      for (const app::TimeTick& tick : app::time_ticks(low, high)) ticks.append(tick.at_s);
    }
    return QwtScaleDiv(x1, x2, {}, {}, ticks);
  }
};

class TimeDraw : public QwtScaleDraw {
 public:
  QwtText label(double value) const override { return duration_text(value); }
};

class NumberDraw : public QwtScaleDraw {
 public:
  QwtText label(double value) const override { return number_text(value, 3); }
};

class ProbitTransform : public QwtTransform {
 public:
  double transform(double percent) const override { return probit(percent); }
  double invTransform(double deviations) const override { return percent_of_probit(deviations); }
  double bounded(double percent) const override { return std::clamp(percent, 1e-4, 100 - 1e-4); }
  QwtTransform* copy() const override { return new ProbitTransform; }
};

class ProbitEngine : public QwtLinearScaleEngine {
 public:
  ProbitEngine() { setTransformation(new ProbitTransform); }
  void autoScale(int, double& x1, double& x2, double& step) const override {
    x1 = 0.05;
    x2 = 99.95;
    step = 0;
  }
  QwtScaleDiv divideScale(double x1, double x2, int, int, double) const override {
    constexpr std::array kTicks{0.01, 0.1, 1.0, 10.0, 30.0, 50.0, 70.0, 90.0, 99.0, 99.9, 99.99};
    QList<double> ticks;
    for (const double tick : kTicks) {
      if (tick >= std::min(x1, x2) && tick <= std::max(x1, x2)) ticks.append(tick);
    }
    return QwtScaleDiv(x1, x2, {}, {}, ticks);
  }
};

}  // namespace

double percent_of_probit(double deviations) {
  return 50 * std::erfc(-deviations / std::numbers::sqrt2);
}

double probit(double percent) {
  // Newton's method on the distribution, from a start that is good in the tails.
  const double p = std::clamp(percent, 1e-4, 100 - 1e-4) / 100;
  const double tail = std::sqrt(-2 * std::log(std::min(p, 1 - p)));
  double x = tail - (2.30753 + 0.27061 * tail) / (1 + 0.99229 * tail + 0.04481 * tail * tail);
  if (p < 0.5) x = -x;
  for (int i = 0; i < 3; ++i) {
    const double density = std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    x -= (percent_of_probit(x) / 100 - p) / density;
  }
  return x;
}

void set_scale(QwtPlot& plot, int axis, Scale scale) {
  switch (scale) {
    case Scale::Linear:
      plot.setAxisScaleEngine(axis, new QwtLinearScaleEngine);
      plot.setAxisScaleDraw(axis, new NumberDraw);
      return;
    case Scale::Log:
      plot.setAxisScaleEngine(axis, new QwtLogScaleEngine);
      plot.setAxisScaleDraw(axis, new NumberDraw);
      return;
    case Scale::Time:
      plot.setAxisScaleEngine(axis, new TimeEngine);
      plot.setAxisScaleDraw(axis, new TimeDraw);
      return;
    case Scale::Probit:
      plot.setAxisScaleEngine(axis, new ProbitEngine);
      plot.setAxisScaleDraw(axis, new NumberDraw);
      return;
  }
}

}  // namespace pcmlab::gui
