// SPDX-License-Identifier: Apache-2.0
#include "app/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <initializer_list>
#include <iterator>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

#include "app/gnuplot.h"
#include "app/plot_layout.h"
#include "app/plot_text.h"

namespace pcmlab::app {
namespace {

// Okabe and Ito's palette, told apart with any kind of colour vision; markers differ too.
constexpr std::array<std::string_view, 6> kSeriesColours = {"#D55E00", "#0072B2", "#009E73",
                                                            "#CC79A7", "#E69F00", "#56B4E9"};
constexpr std::array<int, 6> kSeriesMarkers = {5, 7, 9, 13, 11, 15};
// Viridis without its yellow end: an order that survives greyscale printing.
constexpr std::array<std::array<double, 3>, 5> kBandColours = {
    {{94, 190, 95}, {33, 150, 135}, {44, 113, 142}, {64, 70, 136}, {68, 1, 84}}};
constexpr std::string_view kInk = "#222222";
constexpr std::string_view kQuietInk = "#666666";
constexpr std::string_view kGrid = "#E4E4E4";

constexpr double kWidth_px = 1600;
constexpr double kHeight_px = 700;
constexpr double kPanelTop_px = 142;
constexpr double kPanelBottom_px = 592;
constexpr double kPanelHeight_px = kPanelBottom_px - kPanelTop_px;
constexpr double kLabelLine_px = 20;
constexpr std::size_t kLabelColumns = 20;

/// One panel's axes and where they stand on the page.
struct Panel {
  double left_px = 0;
  double right_px = 0;
  double x_low = 0;
  double x_high = 0;
  double y_low = 0;
  double y_high = 0;
  bool y_logarithmic = false;

  /// Height of a value as a fraction of the panel.
  double height_of(double y) const {
    return y_logarithmic ? std::log(y / y_low) / std::log(y_high / y_low)
                         : (y - y_low) / (y_high - y_low);
  }
};

/// How gnuplot is asked for one kind of file; the sizes make all kinds look the same.
struct Terminal {
  std::string_view extension;
  std::string_view settings;
  double marker_scale;
};
constexpr std::array<Terminal, 3> kTerminals = {{
    {".png", R"(pngcairo size 1600,700 background rgb "white" font "DejaVu Sans,12")", 1.0},
    {".svg", R"(svg size 1600,700 background rgb "white" font "DejaVu Sans,12" fontscale 1.333)",
     0.78},
    {".pdf", R"(pdfcairo size 10in,4.375in font "DejaVu Sans,12" fontscale 0.45 lw 0.9)", 0.42},
}};

bool on_log_axis(double value) { return std::isfinite(value) && value > 0; }

/// The points that can be drawn, by time.
std::vector<std::size_t> points_by_time(const std::vector<double>& after_s,
                                        const std::vector<double>& values,
                                        bool (*can_draw)(double)) {
  std::vector<std::size_t> points;
  for (std::size_t i = 0; i < after_s.size(); ++i) {
    if (on_log_axis(after_s[i]) && can_draw(values[i])) {
      points.push_back(i);
    }
  }
  std::stable_sort(points.begin(), points.end(),
                   [&](std::size_t a, std::size_t b) { return after_s[a] < after_s[b]; });
  return points;
}

AccuracySeries drawable(const AccuracySeries& series) {
  AccuracySeries kept{series.label, {}, {}, {}};
  for (const std::size_t i : points_by_time(
           series.after_s, series.percent, [](double percent) { return std::isfinite(percent); })) {
    kept.after_s.push_back(series.after_s[i]);
    kept.percent.push_back(series.percent[i]);
    const double deviation = series.deviation_percent[i];
    kept.deviation_percent.push_back(std::isfinite(deviation) ? std::max(deviation, 0.0) : 0);
  }
  return kept;
}

DriftBand drawable(const DriftBand& band) {
  DriftBand kept{band.label, {}, {}, {}, {}, band.exponent};
  for (const std::size_t i : points_by_time(band.after_s, band.median_uS, on_log_axis)) {
    const double median_uS = band.median_uS[i];
    kept.after_s.push_back(band.after_s[i]);
    kept.median_uS.push_back(median_uS);
    kept.low_uS.push_back(std::isfinite(band.low_uS[i]) ? band.low_uS[i] : median_uS);
    kept.high_uS.push_back(std::isfinite(band.high_uS[i]) ? band.high_uS[i] : median_uS);
  }
  return kept;
}

/// What is left of a plot once everything that cannot be drawn is gone.
Result<RetentionPlot> drawable(const RetentionPlot& plot) {
  RetentionPlot kept{plot.title, plot.subtitle, {}, plot.software_percent, {}};
  for (const AccuracySeries& series : plot.accuracy) {
    if (series.percent.size() != series.after_s.size() ||
        series.deviation_percent.size() != series.after_s.size()) {
      return fail(
          ErrorCode::Internal,
          fmt::format("accuracy series \"{}\" has {} times, {} accuracies and {} deviations",
                      series.label, series.after_s.size(), series.percent.size(),
                      series.deviation_percent.size()));
    }
    AccuracySeries points = drawable(series);
    if (!points.after_s.empty()) {
      kept.accuracy.push_back(std::move(points));
    }
  }
  for (const DriftBand& band : plot.drift) {
    const std::size_t count = band.after_s.size();
    if (band.median_uS.size() != count || band.low_uS.size() != count ||
        band.high_uS.size() != count) {
      return fail(
          ErrorCode::Internal,
          fmt::format("drift band \"{}\" has {} times, {} medians, {} low and {} high values",
                      band.label, count, band.median_uS.size(), band.low_uS.size(),
                      band.high_uS.size()));
    }
    DriftBand points = drawable(band);
    if (!points.after_s.empty()) {
      kept.drift.push_back(std::move(points));
    }
  }
  if (kept.software_percent && !std::isfinite(*kept.software_percent)) {
    kept.software_percent.reset();
  }
  if (kept.accuracy.empty() && kept.drift.empty()) {
    return fail(ErrorCode::NotFound, "the plot has no point to draw",
                "measure at least one sweep first");
  }
  return kept;
}

class Script {
 public:
  explicit Script(double marker_scale) : marker_scale_(marker_scale) {}

  template <class... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
    text_ += '\n';
  }

  /// A block of numbers that plot commands read as $name; the columns have one length.
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

  void text(double x_px, double y_px, std::string_view words, double size, std::string_view colour,
            bool bold = false, std::string_view adjust = "left") {
    if (words.empty()) {
      return;
    }
    line(R"(set label {} at screen {:.6g}, screen {:.6g} {} font "DejaVu Sans{},{}" tc rgb "{}")",
         gnuplot_string(words), x_px / kWidth_px, 1 - y_px / kHeight_px, adjust,
         bold ? ":Bold" : "", size, colour);
  }

  /// What "points" must be asked for to have markers of this size, in the PNG's measure.
  double marker(double size) const { return size * marker_scale_; }

  const std::string& str() const { return text_; }

 private:
  double marker_scale_;
  std::string text_;
};

std::string band_colour(std::size_t index, std::size_t count) {
  const double place = count < 2 ? 2.0
                                 : static_cast<double>(index) * (kBandColours.size() - 1) /
                                       static_cast<double>(count - 1);
  const auto below = std::min(static_cast<std::size_t>(place), kBandColours.size() - 2);
  const double part = place - static_cast<double>(below);
  std::string colour = "#";
  for (std::size_t channel = 0; channel < 3; ++channel) {
    const double value =
        kBandColours[below][channel] * (1 - part) + kBandColours[below + 1][channel] * part;
    fmt::format_to(std::back_inserter(colour), "{:02X}", static_cast<int>(std::lround(value)));
  }
  return colour;
}

/// Frame, time axis and heading; the caller sets the y ticks and plots.
void begin_panel(Script& script, const Panel& panel, std::string_view heading,
                 std::string_view remark) {
  script.line("set lmargin at screen {:.6g}", panel.left_px / kWidth_px);
  script.line("set rmargin at screen {:.6g}", panel.right_px / kWidth_px);
  script.line("set tmargin at screen {:.6g}", 1 - kPanelTop_px / kHeight_px);
  script.line("set bmargin at screen {:.6g}", 1 - kPanelBottom_px / kHeight_px);
  script.line("set xrange [{:.9g}:{:.9g}]", panel.x_low, panel.x_high);
  script.line("set yrange [{:.9g}:{:.9g}]", panel.y_low, panel.y_high);
  script.line("set logscale x 10");
  script.line("{} logscale y", panel.y_logarithmic ? "set" : "unset");

  std::string ticks;
  for (const TimeTick& tick : time_ticks(panel.x_low, panel.x_high)) {
    fmt::format_to(std::back_inserter(ticks), "{}{} {:.9g}", ticks.empty() ? "" : ", ",
                   gnuplot_string(tick.label), tick.at_s);
    if (tick.at_s >= 60) {
      const double part = std::log(tick.at_s / panel.x_low) / std::log(panel.x_high / panel.x_low);
      script.text(panel.left_px + part * (panel.right_px - panel.left_px), kPanelBottom_px + 42,
                  grouped(tick.at_s) + " s", 9.5, kQuietInk, false, "center");
    }
  }
  script.line("set xtics ({}) scale 0.6", ticks);
  script.text((panel.left_px + panel.right_px) / 2, kPanelBottom_px + 72, "Time since programming",
              12, kInk, false, "center");
  script.text(panel.left_px, kPanelTop_px - 28, heading, 13, kInk, true);
  if (!remark.empty()) {
    script.text(panel.right_px, kPanelTop_px - 27, remark, 11, kQuietInk, false, "right");
  }
}

/// The curve labels, then the plot command itself.
void end_panel(Script& script, const Panel& panel, std::vector<CurveLabel> labels,
               const std::string& plots) {
  std::stable_sort(labels.begin(), labels.end(),
                   [](const CurveLabel& a, const CurveLabel& b) { return a.height > b.height; });
  spread(labels, kLabelLine_px / kPanelHeight_px);
  for (const CurveLabel& label : labels) {
    const double middle_px = kPanelBottom_px - label.height * kPanelHeight_px;
    const double first_px =
        middle_px - (static_cast<double>(label.lines.size()) - 1) / 2 * kLabelLine_px;
    for (std::size_t i = 0; i < label.lines.size(); ++i) {
      script.text(panel.right_px + 14, first_px + static_cast<double>(i) * kLabelLine_px,
                  label.lines[i], 11.5, label.colour, i + 1 == label.lines.size());
    }
  }
  script.line("plot {}", plots);
  script.line("unset label");
}

/// "93.6 → 92.1 %"; one number where the curve has one point.
std::string first_to_last(const std::vector<double>& percent) {
  return percent.size() < 2 ? fmt::format("{:.1f} %", percent.front())
                            : fmt::format("{:.1f} → {:.1f} %", percent.front(), percent.back());
}

void accuracy_panel(Script& script, const RetentionPlot& plot, Panel panel) {
  const auto [low, high, step] = accuracy_axis(plot);
  panel.y_low = low;
  panel.y_high = high;
  begin_panel(script, panel, "Accuracy (%)", "");
  script.line("set ytics {:.9g},{:.9g} format \"%g\" scale 0.6", low, step);

  std::vector<CurveLabel> labels;
  std::string plots;
  if (plot.software_percent) {
    fmt::format_to(std::back_inserter(plots), "{:.9g} with lines lw 2 dt (12,8) lc rgb \"{}\"",
                   *plot.software_percent, kQuietInk);
    labels.push_back({{"Software", fmt::format("{:.1f} %", *plot.software_percent)},
                      std::string(kQuietInk),
                      panel.height_of(*plot.software_percent)});
  }
  double marker_size = 1.6;  // shrinks, so that a curve on top of another does not hide it
  for (std::size_t i = 0; i < plot.accuracy.size(); ++i) {
    const AccuracySeries& series = plot.accuracy[i];
    const std::string_view colour = kSeriesColours[i % kSeriesColours.size()];
    const std::string name = fmt::format("accuracy{}", i);
    script.data(name, {series.after_s, series.percent, series.deviation_percent});
    fmt::format_to(std::back_inserter(plots),
                   "{0}${1} using 1:2 with lines lw 2.5 lc rgb \"{2}\""
                   ", ${1} using 1:($3 > 0 ? $2 : NaN):3 with yerrorbars pt 0 lw 1.5 lc rgb \"{2}\""
                   ", ${1} using 1:2 with points pt {3} ps {4:.2f} lc rgb \"{2}\"",
                   plots.empty() ? "" : ", ", name, colour,
                   kSeriesMarkers[i % kSeriesMarkers.size()], script.marker(marker_size));
    marker_size = std::max(marker_size * 0.75, 0.7);
    std::vector<std::string> lines = wrapped(series.label, kLabelColumns, 3);
    lines.push_back(first_to_last(series.percent));
    labels.push_back(
        {std::move(lines), std::string(colour), panel.height_of(series.percent.back())});
  }
  end_panel(script, panel, std::move(labels), plots);
}

void drift_panel(Script& script, const RetentionPlot& plot, Panel panel) {
  double low_uS = std::numeric_limits<double>::infinity();
  double median_low_uS = low_uS;
  double high_uS = 0;
  for (const DriftBand& band : plot.drift) {
    for (std::size_t i = 0; i < band.after_s.size(); ++i) {
      median_low_uS = std::min(median_low_uS, band.median_uS[i]);
      if (band.low_uS[i] > 0) {
        low_uS = std::min(low_uS, band.low_uS[i]);
      }
      high_uS = std::max({high_uS, band.high_uS[i], band.median_uS[i]});
    }
  }
  constexpr double kMargin = 1.15;
  // Percentiles that noise brought near zero must not squeeze the rest.
  low_uS = std::min(std::max(low_uS, median_low_uS / 4), median_low_uS);
  panel.y_low = low_uS / kMargin;
  panel.y_high = high_uS * kMargin;
  panel.y_logarithmic = true;
  begin_panel(script, panel, "Conductance (µS)", "median and 10–90 % of the devices");

  std::string ticks;
  for (const double at_uS : conductance_ticks(panel.y_low, panel.y_high)) {
    fmt::format_to(std::back_inserter(ticks), "{}\"{:.6g}\" {:.6g}", ticks.empty() ? "" : ", ",
                   at_uS, at_uS);
  }
  script.line("set ytics ({}) scale 0.6", ticks);

  std::vector<CurveLabel> labels;
  std::string bands;
  std::string medians;
  for (std::size_t i = 0; i < plot.drift.size(); ++i) {
    const DriftBand& band = plot.drift[i];
    std::vector<double> low = band.low_uS;
    for (double& g_uS : low) {
      g_uS = std::max(g_uS, panel.y_low);
    }
    const std::string colour = band_colour(i, plot.drift.size());
    const std::string name = fmt::format("drift{}", i);
    script.data(name, {band.after_s, band.median_uS, low, band.high_uS});
    const bool alone = band.after_s.size() == 1;
    fmt::format_to(
        std::back_inserter(bands), "{0}${1} using {2}", i == 0 ? "" : ", ", name,
        alone ? fmt::format("1:2:3:4 with yerrorbars pt 0 lw 2 lc rgb \"{}\"", colour)
              : fmt::format("1:3:4 with filledcurves fc rgb \"{}\" fs transparent solid 0.18 "
                            "noborder",
                            colour));
    fmt::format_to(std::back_inserter(medians),
                   ", ${0} using 1:2 with lines lw 2.5 lc rgb \"{1}\""
                   ", ${0} using 1:2 with points pt 7 ps {2:.2f} lc rgb \"{1}\"",
                   name, colour, script.marker(0.9));
    std::vector<std::string> lines;
    lines.push_back(shortened(one_line(band.label), kLabelColumns));
    if (band.exponent && std::isfinite(*band.exponent)) {
      lines.push_back(fmt::format("ν = {:.3f}", *band.exponent));
    }
    labels.push_back({std::move(lines), colour, panel.height_of(band.median_uS.back())});
  }
  end_panel(script, panel, std::move(labels), bands + medians);
}

/// The whole gnuplot script; the picture comes out on standard output.
std::string script_of(const RetentionPlot& plot, const Terminal& terminal) {
  Script script(terminal.marker_scale);
  script.line("set encoding utf8");
  script.line("set terminal {} noenhanced", terminal.settings);
  script.line("unset key");
  script.line("set border 3 lw 1.2 lc rgb \"#999999\"");
  script.line("set grid xtics ytics lt 1 lw 1 lc rgb \"{}\"", kGrid);
  script.line("set xtics nomirror textcolor rgb \"{}\" font \"DejaVu Sans,11.5\"", kInk);
  script.line("set ytics nomirror textcolor rgb \"{}\" font \"DejaVu Sans,11.5\"", kInk);
  script.line("set multiplot");

  const auto [low_s, high_s] = time_range(plot);
  constexpr double kLeft_px = 78;
  constexpr double kAccuracyLabels_px = 192;
  constexpr double kDriftLabels_px = 122;
  const bool both = !plot.accuracy.empty() && !plot.drift.empty();
  const double middle_px = 815;
  script.text(kLeft_px - 40, 34, shortened(one_line(plot.title), 95), 18, kInk, true);
  script.text(kLeft_px - 40, 68, shortened(one_line(plot.subtitle), 160), 11.5, kQuietInk);
  if (!plot.accuracy.empty()) {
    accuracy_panel(
        script, plot,
        {kLeft_px, (both ? middle_px - 18 : kWidth_px - 10) - kAccuracyLabels_px, low_s, high_s});
  }
  if (!plot.drift.empty()) {
    drift_panel(
        script, plot,
        {both ? middle_px + 52 : kLeft_px, kWidth_px - 10 - kDriftLabels_px, low_s, high_s});
  }
  script.line("unset multiplot");
  return script.str();
}

/// gnuplot writes "DejaVu Sans:Bold" as if it were the name of a font; SVG has a weight of its own.
void name_svg_fonts(std::string& svg) {
  constexpr std::string_view kBold = "font-family=\"DejaVu Sans:Bold\"";
  constexpr std::string_view kRegular = "font-family=\"DejaVu Sans\"";
  const auto replace = [&](std::string_view from, std::string_view to) {
    for (std::size_t at = svg.find(from); at != std::string::npos;
         at = svg.find(from, at + to.size())) {
      svg.replace(at, from.size(), to);
    }
  };
  replace(kBold, "font-family=\"DejaVu Sans, sans-serif\" font-weight=\"bold\"");
  replace(kRegular, "font-family=\"DejaVu Sans, sans-serif\"");
}

}  // namespace

Result<void> write_plot(const RetentionPlot& plot, const std::filesystem::path& file) {
  const std::string extension = file.extension().string();
  const auto terminal =
      std::find_if(kTerminals.begin(), kTerminals.end(),
                   [&](const Terminal& known) { return known.extension == extension; });
  if (terminal == kTerminals.end()) {
    return fail(ErrorCode::Unsupported,
                fmt::format("cannot draw {}: \"{}\" is no picture format of pcmlab", file.string(),
                            extension),
                "end the file name in .png, .svg or .pdf");
  }
  PCM_ASSIGN(const RetentionPlot points, drawable(plot));
  PCM_ASSIGN(std::string picture, run_gnuplot(script_of(points, *terminal)));
  if (extension == ".svg") {
    name_svg_fonts(picture);
  }
  return write_picture(file, picture);
}

}  // namespace pcmlab::app
