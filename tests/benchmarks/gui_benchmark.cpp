// SPDX-License-Identifier: Apache-2.0
// Drawing the map of 1,048,576 devices as ArrayView does at every repaint, whole and zoomed, on a
// canvas of a full HD screen. A frame may take 16 ms. The peer is Qt's own scaling of a picture
// with one pixel a device, which shows no device rather than the mean or the worst of several.
#include <benchmark/benchmark.h>

#include <QPainter>
#include <random>

#include "app/gui/array_map.h"

namespace pcmlab::gui {
namespace {

constexpr QSize kCanvas(1660, 860);
constexpr QRgb kGround = 0xffffffff;

ArrayMap full_array() {
  ArrayMap map;
  map.shape = {512, 2048};
  std::mt19937 random(1);
  std::uniform_real_distribution<float> g_uS(0, 25);
  map.values.resize(map.shape.device_count());
  for (float& value : map.values) value = g_uS(random);
  set_levels(map);
  return map;
}

/// Argument: bit lines that are shown, and a quarter as many word lines.
void draws_the_array(benchmark::State& state) {
  const ArrayMap map = full_array();
  const auto extent = static_cast<double>(state.range(0));
  const QRectF view(17.3, 5.1, extent, extent / 4);
  for (auto _ : state) {
    QImage picture = draw_array(map, view.intersected({0, 0, 2048, 512}), kCanvas, kGround);
    benchmark::DoNotOptimize(picture.bits());
  }
}
BENCHMARK(draws_the_array)->Arg(2048)->Arg(1024)->Arg(64)->Unit(benchmark::kMillisecond);

void qt_scales_a_picture(benchmark::State& state) {
  const QImage whole = draw_array(full_array(), {0, 0, 2048, 512}, {2048, 512}, kGround);
  QImage picture(kCanvas, QImage::Format_RGB32);
  for (auto _ : state) {
    QPainter painter(&picture);
    painter.drawImage(picture.rect(), whole);
    painter.end();
    benchmark::DoNotOptimize(picture.bits());
  }
}
BENCHMARK(qt_scales_a_picture)->Unit(benchmark::kMillisecond);

void finds_the_colours(benchmark::State& state) {
  ArrayMap map = full_array();
  for (auto _ : state) {
    set_levels(map);
    benchmark::DoNotOptimize(map.levels.data());
  }
}
BENCHMARK(finds_the_colours)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pcmlab::gui

BENCHMARK_MAIN();
