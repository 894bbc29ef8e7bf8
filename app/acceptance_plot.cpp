// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <iterator>
#include <span>

#include "app/acceptance.h"
#include "app/gnuplot.h"
#include "app/plot_layout.h"
#include "app/plot_text.h"

namespace pcmlab::app {
namespace {

constexpr std::string_view kOurs = "#0072B2";
constexpr std::string_view kPublished = "#222222";

/// Panels of one page, four in a row, each published curve in black and ours in colour.
class Page {
 public:
  Page() {
    line("set encoding utf8");
    line(
        R"(set terminal pngcairo size 1920,1000 background rgb "white" font "DejaVu Sans,11" noenhanced)");
    line("unset key");
    line(R"(set border 3 lw 1.2 lc rgb "#999999")");
    line(R"(set grid lt 1 lw 1 lc rgb "#E4E4E4")");
    line("set tics nomirror");
    line("set multiplot");
  }

  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }

  void words(double x, double y, std::string_view text, double size, bool bold,
             std::string_view colour = kPublished) {
    line(R"(set label {} at screen {:.4f}, screen {:.4f} font "DejaVu Sans{},{}" tc rgb "{}")",
         gnuplot_string(text), x, y, bold ? ":Bold" : "", size, colour);
  }

  void data(std::string_view name, std::initializer_list<std::span<const double>> columns) {
    line("${} << END", name);
    for (std::size_t row = 0; row < columns.begin()->size(); ++row) {
      for (const std::span<const double> column : columns) {
        fmt::format_to(std::back_inserter(text_), "{:.9g} ", column[row]);
      }
      text_ += '\n';
    }
    line("END");
  }

  /// The next panel: its frame, heading and axis titles; what it shows comes by plot().
  void panel(std::string_view heading, std::string_view x, std::string_view y, bool log_x,
             bool log_y) {
    constexpr double kWidth = 0.25, kHeight = 0.445, kTop = 0.9;
    const int column = panels_ % 4, row = panels_ / 4;
    ++panels_;
    const double left = column * kWidth + 0.042, right = (column + 1) * kWidth - 0.012;
    const double top = kTop - row * kHeight - 0.05, bottom = kTop - (row + 1) * kHeight + 0.07;
    line("set lmargin at screen {:.4f}\nset rmargin at screen {:.4f}", left, right);
    line("set tmargin at screen {:.4f}\nset bmargin at screen {:.4f}", top, bottom);
    line("{}\n{}", log_x ? "set logscale x 10" : "unset logscale x",
         log_y ? "set logscale y 10" : "unset logscale y");
    line("set xtics autofreq\nset format \"%g\"");
    line("set xlabel {} offset 0,0.3\nset ylabel {} offset 0.5,0", gnuplot_string(x),
         gnuplot_string(y));
    line("set xrange [*:*]\nset yrange [*:*]");
    words(left, top + 0.028, heading, 12.5, true);
  }

  void plot(std::string_view what) {
    line("plot {}", what);
    line("unset label");
  }

  std::string finish() {
    line("unset multiplot");
    return std::move(text_);
  }

 private:
  std::string text_;
  int panels_ = 0;
};

std::vector<double> means(const std::vector<Moments>& points) {
  std::vector<double> values;
  for (const Moments& point : points) values.push_back(point.mean);
  return values;
}

std::vector<double> edges(const std::vector<Moments>& points, double deviations) {
  std::vector<double> values;
  for (const Moments& point : points) {
    values.push_back(std::max(0.0, point.mean + deviations * point.deviation));
  }
  return values;
}

/// Published line, our points.
std::string published_and_ours(std::string_view name) {
  return fmt::format(
      R"(${0} using 1:3 with lines lw 2 lc rgb "{1}", ${0} using 1:2 with points pt 7 ps 1.3 lc rgb "{2}")",
      name, kPublished, kOurs);
}

/// Our mean as a line in a band of one standard deviation.
std::string band(std::string_view name) {
  return fmt::format(
      R"(${0} using 1:3:4 with filledcurves fc rgb "{1}" fs transparent solid 0.18 noborder, ${0} using 1:2 with lines lw 2.5 lc rgb "{1}")",
      name, kOurs);
}

std::string page_of(const Acceptance& acceptance, const PublishedChip& published) {
  const AcceptanceCurves& c = acceptance.curves;
  Page page;
  page.words(0.012, 0.965,
             fmt::format("Mock chip {}, seed {}", acceptance.chip.name, acceptance.seed), 18, true);
  page.words(
      0.012, 0.925,
      fmt::format("{} devices a level; {} of {} figures within their tolerance. Published: {}",
                  grouped(static_cast<double>(acceptance.devices_per_level)),
                  acceptance.rows.size() - acceptance.failed(), acceptance.rows.size(),
                  published.source),
      11.5, false, "#666666");

  const bool spread_published = !c.published_spread_uS.empty();
  page.data("spread",
            {c.level_uS, c.spread_uS, spread_published ? c.published_spread_uS : c.spread_uS});
  page.panel(fmt::format("Spread, {:.4g} s after programming", published.spread_age_s),
             "target (µS)", "standard deviation (µS)", false, false);
  page.line("set yrange [0:*]");
  const std::string tolerance = fmt::format(
      R"($spread using 1:($3*0.85):($3*1.15) with filledcurves fc rgb "#BBBBBB" fs transparent solid 0.4 noborder, {})",
      published_and_ours("spread"));
  page.plot(spread_published
                ? tolerance
                : fmt::format(R"($spread using 1:2 with points pt 7 ps 1.3 lc rgb "{}")", kOurs));

  page.data("drift", {c.level_uS, c.drift_mean, c.published_drift_mean});
  page.data("drift_spread", {c.level_uS, c.drift_spread, c.published_drift_spread});
  page.panel("Drift exponent: mean (dots), spread (rings)", "target (µS)", "ν", false, false);
  page.line("set yrange [0:0.12]");
  page.plot(fmt::format(
      R"({}, $drift_spread using 1:3 with lines dt (8,6) lw 2 lc rgb "{}", $drift_spread using 1:2 with points pt 6 ps 1.3 lw 2 lc rgb "{}")",
      published_and_ours("drift"), kPublished, kOurs));

  page.data("noise", {c.noise_at_uS, c.noise, c.published_noise});
  page.panel(fmt::format("Read noise, {:.4g} s after the last pulse", published.spread_age_s),
             "conductance (µS)", "relative standard deviation", true, true);
  page.plot(published_and_ours("noise"));

  std::vector<double> slope;
  const std::size_t middle = c.spectrum.frequency_Hz.size() / 3;
  for (const double frequency_Hz : c.spectrum.frequency_Hz) {
    slope.push_back(
        c.spectrum.density_per_Hz[middle] *
        std::pow(frequency_Hz / c.spectrum.frequency_Hz[middle], -published.noise_exponent));
  }
  page.data("spectrum", {c.spectrum.frequency_Hz, c.spectrum.density_per_Hz, slope});
  page.panel(fmt::format("Noise spectrum: β = {:.2f}", c.noise_exponent), "frequency (Hz)",
             "density (1/Hz)", true, true);
  page.plot(published_and_ours("spectrum"));

  std::vector<double> pulses;
  for (std::size_t i = 0; i < c.accumulation.size(); ++i) {
    pulses.push_back(static_cast<double>(i + 1));
  }
  page.data("accumulation",
            {pulses, means(c.accumulation), edges(c.accumulation, -1), edges(c.accumulation, 1)});
  page.panel("Partial SET, 90 µA for 50 ns", "pulses after a RESET", "conductance (µS)", false,
             false);
  page.line("set yrange [0:*]");
  std::string accumulation = band("accumulation");
  if (spread_published) {
    std::vector<double> at, mean, deviation;
    for (const PublishedAccumulation& point : kPublishedAccumulation) {
      at.push_back(point.pulses);
      mean.push_back(point.mean_uS);
      deviation.push_back(point.deviation_uS);
    }
    page.data("published_accumulation", {at, mean, deviation});
    accumulation += fmt::format(
        R"(, $published_accumulation using 1:2:3 with yerrorbars pt 7 ps 1 lw 2 lc rgb "{}")",
        kPublished);
  }
  page.plot(accumulation);

  page.data("programming", {c.amplitude_uA, means(c.programming), edges(c.programming, -1),
                            edges(c.programming, 1)});
  page.panel("One pulse of 1 µs after a RESET", "amplitude (µA)", "conductance (µS)", false, false);
  page.line("set yrange [0:*]");
  page.plot(band("programming"));

  page.data("retention", {c.retention_s, c.retention, c.published_retention});
  page.panel(fmt::format("Retention of {:.4g} µS", published.g_max_uS / 2),
             "time since the last pulse",
             fmt::format("mean over that at {:.0f} s", published.reference_age_s), true, false);
  page.line("set yrange [0.4:1]");
  std::string ticks;
  for (const TimeTick& tick : time_ticks(c.retention_s.front(), c.retention_s.back())) {
    fmt::format_to(std::back_inserter(ticks), "{}{} {:.9g}", ticks.empty() ? "" : ", ",
                   gnuplot_string(tick.label), tick.at_s);
  }
  page.line("set xtics ({})", ticks);
  page.plot(published_and_ours("retention"));

  page.words(0.79, 0.36, "black", 11.5, true);
  page.words(0.84, 0.36, "published", 11.5, false);
  page.words(0.79, 0.32, "blue", 11.5, true, kOurs);
  page.words(0.84, 0.32, "measured here, through pulses, noise,", 11.5, false);
  page.words(0.84, 0.29, "ADC codes and the wire protocol", 11.5, false);
  page.words(0.79, 0.25, "bands", 11.5, true, "#666666");
  page.words(0.84, 0.25, "grey: tolerance; blue: one standard", 11.5, false);
  page.words(0.84, 0.22, "deviation of the devices", 11.5, false);
  page.line(
      "set origin 0.9,0\nset size 0.05,0.05\nunset border\nunset tics\nunset xlabel\nunset ylabel");
  page.line("set lmargin at screen 0.98\nset rmargin at screen 0.99");
  page.line("set tmargin at screen 0.02\nset bmargin at screen 0.01");
  page.line("unset logscale\nset xrange [0:1]\nset yrange [0:1]");
  page.plot("-1 with lines");
  return page.finish();
}

}  // namespace

Result<void> write_acceptance_plot(const Acceptance& acceptance, const PublishedChip& published,
                                   const std::filesystem::path& file) {
  PCM_ASSIGN(const std::string picture, run_gnuplot(page_of(acceptance, published)));
  return write_picture(file, picture);
}

}  // namespace pcmlab::app
