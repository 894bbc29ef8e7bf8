// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/images/resize.h"

#include <algorithm>
#include <cmath>

namespace pcmlab {
namespace {

constexpr int kFractionalBits = 32 - 8 - 2;

std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

/// The nearest whole number, halves upwards.
std::int32_t whole(double number) { return static_cast<std::int32_t>(std::floor(number + 0.5)); }

/// Which pixels of the old line make one of the new, and by how much.
struct Taps {
  int first = 0;
  std::vector<std::int32_t> weights;
};

/// The taps of new pixels [from, from + count) of a line that goes from `old_size` to `new_size`.
std::vector<Taps> taps_of(int old_size, int new_size, int from, int count) {
  const double scale = static_cast<double>(old_size) / new_size;
  const double support = std::max(scale, 1.0);
  std::vector<Taps> line(index_of(count));
  for (int i = 0; i < count; ++i) {
    const double centre = (from + i + 0.5) * scale;
    const int first = std::max(whole(centre - support), 0);
    const int end = std::min(whole(centre + support), old_size);
    std::vector<double> weights;
    double sum = 0;
    for (int x = first; x < end; ++x) {
      weights.push_back(std::max(1.0 - std::abs((x - centre + 0.5) / support), 0.0));
      sum += weights.back();
    }
    Taps& taps = line[index_of(i)];
    taps.first = first;
    for (const double weight : weights) {
      taps.weights.push_back(whole(weight / sum * (1 << kFractionalBits)));
    }
  }
  return line;
}

std::uint8_t rounded(std::int32_t sum) {
  return static_cast<std::uint8_t>(
      std::clamp((sum + (1 << (kFractionalBits - 1))) >> kFractionalBits, 0, 255));
}

/// Where the cut begins: Python's round(), half to even.
int margin(int whole, int part) { return static_cast<int>(std::nearbyint((whole - part) / 2.0)); }

}  // namespace

void resize_and_crop(const RgbImage& image, const FolderLayout& layout,
                     std::span<std::uint8_t> to) {
  const int shorter = std::min(image.width, image.height);
  const auto scaled = [&](int side) {
    return side == shorter ? layout.shorter_side
                           : static_cast<int>(std::int64_t{layout.shorter_side} * side / shorter);
  };
  const int new_width = scaled(image.width), new_height = scaled(image.height);
  const auto columns =
      taps_of(image.width, new_width, margin(new_width, layout.width), layout.width);
  const auto rows =
      taps_of(image.height, new_height, margin(new_height, layout.height), layout.height);

  // Each row that is needed becomes as wide as the new image, in three planes.
  const int top = rows.front().first;
  const int bottom = rows.back().first + static_cast<int>(rows.back().weights.size());
  const std::size_t width = columns.size(), height = rows.size();
  const std::size_t narrow_plane = index_of(bottom - top) * width;
  std::vector<std::uint8_t> narrow(3 * narrow_plane);
  for (int row = top; row < bottom; ++row) {
    const std::uint8_t* line = image.pixels.data() + index_of(row) * index_of(image.width) * 3;
    std::uint8_t* out = narrow.data() + index_of(row - top) * width;
    for (std::size_t column = 0; column < width; ++column, ++out) {
      const Taps& taps = columns[column];
      const std::uint8_t* pixel = line + index_of(taps.first) * 3;
      std::int32_t red = 0, green = 0, blue = 0;
      for (const std::int32_t weight : taps.weights) {
        red += weight * pixel[0];
        green += weight * pixel[1];
        blue += weight * pixel[2];
        pixel += 3;
      }
      out[0] = rounded(red);
      out[narrow_plane] = rounded(green);
      out[2 * narrow_plane] = rounded(blue);
    }
  }
  std::vector<std::int32_t> sums(width);
  for (std::size_t channel = 0; channel < 3; ++channel) {
    for (std::size_t row = 0; row < height; ++row) {
      const Taps& taps = rows[row];
      const std::uint8_t* from =
          narrow.data() + channel * narrow_plane + index_of(taps.first - top) * width;
      std::fill(sums.begin(), sums.end(), 0);
      for (const std::int32_t weight : taps.weights) {
        for (std::size_t column = 0; column < width; ++column) {
          sums[column] += weight * from[column];
        }
        from += width;
      }
      std::uint8_t* out = to.data() + (channel * height + row) * width;
      for (std::size_t column = 0; column < width; ++column) out[column] = rounded(sums[column]);
    }
  }
}

}  // namespace pcmlab
