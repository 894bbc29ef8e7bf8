// SPDX-License-Identifier: Apache-2.0
#include "app/gui/colour_map.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>

namespace pcmlab::gui {
namespace {

struct LabColour {
  double lightness, a, b;
};

struct Stop {
  double at, lightness, chroma, hue_degrees;
};

double encoded(double linear) {
  const double c = std::clamp(linear, 0.0, 1.0);
  return c <= 0.0031308 ? 12.92 * c : 1.055 * std::pow(c, 1 / 2.4) - 0.055;
}

double decoded(int channel) {
  const double c = channel / 255.0;
  return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
}

QRgb rgb_of(const LabColour& lab) {
  const double l = std::pow(lab.lightness + 0.3963377774 * lab.a + 0.2158037573 * lab.b, 3);
  const double m = std::pow(lab.lightness - 0.1055613458 * lab.a - 0.0638541728 * lab.b, 3);
  const double s = std::pow(lab.lightness - 0.0894841775 * lab.a - 1.2914855480 * lab.b, 3);
  const auto channel = [](double linear) {
    return static_cast<int>(std::lround(255 * encoded(linear)));
  };
  return qRgb(channel(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
              channel(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
              channel(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s));
}

LabColour lab_of(const Stop& stop) {
  const double hue = stop.hue_degrees * std::numbers::pi / 180;
  return {stop.lightness, stop.chroma * std::cos(hue), stop.chroma * std::sin(hue)};
}

ColourMap map_through(std::span<const Stop> stops) {
  ColourMap map{};
  for (std::size_t i = 0; i < map.size(); ++i) {
    const double at = static_cast<double>(i) / static_cast<double>(map.size() - 1);
    std::size_t next = 1;
    while (next + 1 < stops.size() && stops[next].at < at) ++next;
    const LabColour from = lab_of(stops[next - 1]);
    const LabColour to = lab_of(stops[next]);
    const double share = (at - stops[next - 1].at) / (stops[next].at - stops[next - 1].at);
    map[i] = rgb_of({std::lerp(from.lightness, to.lightness, share), std::lerp(from.a, to.a, share),
                     std::lerp(from.b, to.b, share)});
  }
  return map;
}

}  // namespace

const ColourMap& sequential_map() {
  static constexpr std::array<Stop, 5> kStops{{{0.0, 0.24, 0.09, 275},
                                               {0.25, 0.4125, 0.12, 262},
                                               {0.5, 0.585, 0.10, 215},
                                               {0.75, 0.7575, 0.13, 155},
                                               {1.0, 0.93, 0.15, 105}}};
  static const ColourMap kMap = map_through(kStops);
  return kMap;
}

const ColourMap& diverging_map() {
  static constexpr std::array<Stop, 5> kStops{{{0.0, 0.38, 0.12, 262},
                                               {0.25, 0.665, 0.11, 245},
                                               {0.5, 0.95, 0.005, 90},
                                               {0.75, 0.665, 0.14, 42},
                                               {1.0, 0.38, 0.13, 27}}};
  static const ColourMap kMap = map_through(kStops);
  return kMap;
}

QRgb colour_of(const ColourMap& map, double share) {
  const double at = std::clamp(share, 0.0, 1.0) * static_cast<double>(map.size() - 1);
  return map[static_cast<std::size_t>(std::lround(at))];
}

double lightness(QRgb colour) {
  const double r = decoded(qRed(colour));
  const double g = decoded(qGreen(colour));
  const double b = decoded(qBlue(colour));
  return 0.2104542553 * std::cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b) +
         0.7936177850 * std::cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b) -
         0.0040720468 * std::cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
}

}  // namespace pcmlab::gui
