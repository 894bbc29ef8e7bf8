// SPDX-License-Identifier: Apache-2.0
// An image is cut into tiles of 4x4 outputs, each from 6x6 inputs. Eight tiles go through together:
//   1. inputs d of each tile and channel to V = B^T d B (36 "points");
//   2. per point, M = V U, a matrix product over the channels, U = G g G^T being the weights g;
//   3. outputs A^T M A, bias, summand, ReLU.
// One AVX-512 register holds 16 channels of one pixel or point. B, G and A are those of Lavin and
// Gray for the points 0, +-1, +-2 and infinity. Sums are kept in float32 at either precision.
#include "experiments/network/winograd.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <vector>

#if defined(__x86_64__)
// GCC 12 takes the undefined operands of its own intrinsics for mistakes (GCC bug 105593).
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

// In float32 none of the bfloat16 instructions is used.
#define PCM_AVX512 __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16")))
#define PCM_AVX512_INLINE PCM_AVX512 __attribute__((always_inline)) inline
#endif

namespace pcmlab {
namespace {

constexpr std::size_t kLine = 64;
constexpr int kLanes = 16;
constexpr int kTile = 4;     ///< outputs a side
constexpr int kWindow = 6;   ///< inputs a side
constexpr int kHalf = 3;     ///< half a window
constexpr int kPoints = 36;  ///< kWindow * kWindow
constexpr int kBiasPoint = 1 * kWindow + 1;
constexpr int kTiles = 8;  ///< that go through together

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }
constexpr int blocks_of(int channels) { return (channels + kLanes - 1) / kLanes; }
constexpr int tiles_of(int outputs) { return (outputs + kTile - 1) / kTile; }
/// Output blocks that share their input's loads: two fill the registers.
constexpr int group_of(int out_blocks) { return out_blocks % 2 == 0 ? 2 : 1; }

/// Elements of V from one point to the next. One line more than needed, so that the 36 points of a
/// tile do not fall into the same few sets of the cache.
constexpr std::size_t point_stride(int in_blocks) {
  return index_of((in_blocks * kTiles + 1) * kLanes);
}
constexpr std::size_t round_up(std::size_t bytes) { return (bytes + kLine - 1) / kLine * kLine; }

}  // namespace

AlignedBytes::AlignedBytes(std::size_t size)
    : bytes_(static_cast<std::byte*>(std::aligned_alloc(kLine, round_up(size)))) {
  if (!bytes_) throw std::bad_alloc();
  std::memset(bytes_.get(), 0, round_up(size));
}

bool WinogradConv::fits(const ConvNode& conv) {
  return conv.kernel_h == 3 && conv.kernel_w == 3 && conv.stride_h == 1 && conv.stride_w == 1 &&
         conv.dilation_h == 1 && conv.dilation_w == 1 && conv.groups == 1;
}

WinogradConv::WinogradConv(const ConvNode& conv, const ValueShape& input, Precision precision)
    : precision_(precision),
      in_channels_(conv.in_channels),
      out_channels_(conv.out_channels),
      in_blocks_(blocks_of(conv.in_channels)),
      out_blocks_(blocks_of(conv.out_channels)),
      in_height_(input.height),
      in_width_(input.width),
      out_height_(input.height + conv.pads[0] + conv.pads[2] - 2),
      out_width_(input.width + conv.pads[1] + conv.pads[3] - 2),
      pad_top_(conv.pads[0]),
      pad_left_(conv.pads[1]),
      weights_(sizeof(float) * kPoints * index_of(in_blocks_ * kLanes) *
               index_of(out_blocks_ * kLanes)),
      bias_(sizeof(float) * index_of(out_blocks_ * kLanes)) {}

#if defined(__x86_64__)

bool WinogradConv::available() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512dq") != 0 && __builtin_cpu_supports("avx512vl") != 0;
}

namespace {

using Bfloat16Bits = std::uint16_t;

// ---- sixteen channels at a time ----------------------------------------------------------------

/// Sixteen numbers as float32, or zeros.
PCM_AVX512_INLINE __m512 load(const float* from, bool wanted) {
  return _mm512_maskz_loadu_ps(wanted ? __mmask16{0xffff} : __mmask16{0}, from);
}
PCM_AVX512_INLINE __m512 load(const Bfloat16Bits* from, bool wanted) {
  // A bfloat16 is the upper half of a float32: number i goes to word 2 i + 1, the others become 0.
  const __m512i places = _mm512_set_epi16(15, 0, 14, 0, 13, 0, 12, 0, 11, 0, 10, 0, 9, 0, 8, 0, 7,
                                          0, 6, 0, 5, 0, 4, 0, 3, 0, 2, 0, 1, 0, 0, 0);
  const __m512i packed =
      _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  const __mmask32 upper = wanted ? __mmask32{0xaaaaaaaa} : __mmask32{0};
  return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(upper, places, packed));
}
PCM_AVX512_INLINE __m256i to_bfloat16(__m512 v) {
  return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v));
}
PCM_AVX512_INLINE void store(float* to, __m512 v) { _mm512_storeu_ps(to, v); }
PCM_AVX512_INLINE void store(Bfloat16Bits* to, __m512 v) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), to_bfloat16(v));
}

/// sum + one input (float32) or two (bfloat16) of a tile times their weights for 16 outputs.
PCM_AVX512_INLINE __m512 multiply_add(__m512 sum, const float* input, __m512 weights) {
  return _mm512_fmadd_ps(_mm512_set1_ps(*input), weights, sum);
}
PCM_AVX512_INLINE __m512 multiply_add(__m512 sum, const Bfloat16Bits* input, __m512 weights) {
  int pair;
  std::memcpy(&pair, input, sizeof(pair));
  return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair)),
                          reinterpret_cast<__m512bh>(weights));
}
/// Inputs that one multiply_add takes.
template <class Element>
constexpr int kStep = static_cast<int>(sizeof(float) / sizeof(Element));

// ---- one-dimensional transforms ----------------------------------------------------------------

/// B^T d, with as many additions as multiply-adds: they have execution units of their own.
PCM_AVX512_INLINE void input_transform(const __m512 (&d)[kWindow], __m512 (&v)[kWindow]) {
  const __m512 two = _mm512_set1_ps(2.0f), four = _mm512_set1_ps(4.0f);
  const __m512 outer = _mm512_sub_ps(d[4], d[2]), inner = _mm512_sub_ps(d[3], d[1]);
  v[0] = _mm512_fmadd_ps(four, _mm512_sub_ps(d[0], d[2]), outer);
  const __m512 even = _mm512_fnmadd_ps(four, d[2], d[4]), odd = _mm512_fnmadd_ps(four, d[1], d[3]);
  v[1] = _mm512_add_ps(even, odd);
  v[2] = _mm512_sub_ps(even, odd);
  v[3] = _mm512_fmadd_ps(two, inner, outer);
  v[4] = _mm512_fnmadd_ps(two, inner, outer);
  v[5] = _mm512_fnmadd_ps(four, inner, _mm512_sub_ps(d[5], d[3]));
}

/// A^T m; two of the additions are written as multiply-adds for the same reason.
PCM_AVX512_INLINE void output_transform(const __m512 (&m)[kWindow], __m512 (&y)[kTile]) {
  const __m512 one = _mm512_set1_ps(1.0f), two = _mm512_set1_ps(2.0f), four = _mm512_set1_ps(4.0f),
               eight = _mm512_set1_ps(8.0f);
  const __m512 sum1 = _mm512_add_ps(m[1], m[2]), difference1 = _mm512_sub_ps(m[1], m[2]);
  const __m512 sum2 = _mm512_add_ps(m[3], m[4]), difference2 = _mm512_sub_ps(m[3], m[4]);
  y[0] = _mm512_fmadd_ps(one, _mm512_add_ps(m[0], sum1), sum2);
  y[1] = _mm512_fmadd_ps(two, difference2, difference1);
  y[2] = _mm512_fmadd_ps(four, sum2, sum1);
  y[3] = _mm512_fmadd_ps(eight, difference2, _mm512_fmadd_ps(one, difference1, m[5]));
}

/// G g.
PCM_AVX512_INLINE void weight_transform(__m512 g0, __m512 g1, __m512 g2, __m512 (&u)[kWindow]) {
  const __m512 sixth = _mm512_set1_ps(-1.0f / 6.0f), twelfth = _mm512_set1_ps(1.0f / 12.0f);
  const __m512 outer = _mm512_mul_ps(sixth, _mm512_add_ps(g0, g2));
  const __m512 far = _mm512_fmadd_ps(_mm512_set1_ps(1.0f / 24.0f), g0,
                                     _mm512_mul_ps(_mm512_set1_ps(1.0f / 6.0f), g2));
  u[0] = _mm512_mul_ps(_mm512_set1_ps(0.25f), g0);
  u[1] = _mm512_fmadd_ps(sixth, g1, outer);
  u[2] = _mm512_fnmadd_ps(sixth, g1, outer);
  u[3] = _mm512_fmadd_ps(twelfth, g1, far);
  u[4] = _mm512_fnmadd_ps(twelfth, g1, far);
  u[5] = g2;
}

// ---- the three stages, for kTiles tiles --------------------------------------------------------

struct Tile {
  std::size_t image;
  int row, column;  ///< of its first output
};

struct Geometry {
  int in_height, in_width, out_height, out_width, pad_top, pad_left;
};

/// Three of the six points of B^T d of one column: the first three or the last three.
template <bool First>
PCM_AVX512_INLINE void half_input_transform(const __m512 (&d)[kWindow], __m512 (&v)[kHalf]) {
  const __m512 two = _mm512_set1_ps(2.0f), four = _mm512_set1_ps(4.0f);
  const __m512 outer = _mm512_sub_ps(d[4], d[2]), inner = _mm512_sub_ps(d[3], d[1]);
  if constexpr (First) {
    v[0] = _mm512_fmadd_ps(four, _mm512_sub_ps(d[0], d[2]), outer);
    const __m512 even = _mm512_fnmadd_ps(four, d[2], d[4]);
    const __m512 odd = _mm512_fnmadd_ps(four, d[1], d[3]);
    v[1] = _mm512_add_ps(even, odd);
    v[2] = _mm512_sub_ps(even, odd);
  } else {
    v[0] = _mm512_fmadd_ps(two, inner, outer);
    v[1] = _mm512_fnmadd_ps(two, inner, outer);
    v[2] = _mm512_fnmadd_ps(four, inner, _mm512_sub_ps(d[5], d[3]));
  }
}

/// Three rows of V = B^T d B of `count` tiles side by side, from `tile` on, in one block of
/// channels; V with `stride` elements from point to point. Three rows of all six columns fit into
/// the registers, and a tile's last two columns are the next one's first.
template <bool First, class Element>
PCM_AVX512_INLINE void transform_input(const Element* plane, const Geometry& g, const Tile& tile,
                                       std::size_t count, Element* v, std::size_t stride) {
  const int top = tile.row - g.pad_top;
  const Element* rows[kWindow];  // outside the image: a row that is there, not wanted
  bool wanted[kWindow];
#pragma GCC unroll 6
  for (int r = 0; r < kWindow; ++r) {
    const int row = std::clamp(top + r, 0, g.in_height - 1);
    rows[r] = plane + index_of(row) * index_of(g.in_width) * kLanes;
    wanted[r] = row == top + r;
  }
  int column = tile.column - g.pad_left;
  __m512 half[kWindow][kHalf];
  for (std::size_t t = 0; t < count; ++t) {
#pragma GCC unroll 6
    for (int c = 0; c < kWindow; ++c) {
      if (t > 0 && c < kWindow - kTile) continue;
      __m512 d[kWindow];
      if (column < 0 || column >= g.in_width) {
#pragma GCC unroll 6
        for (int r = 0; r < kWindow; ++r) d[r] = _mm512_setzero_ps();
      } else {
#pragma GCC unroll 6
        for (int r = 0; r < kWindow; ++r) d[r] = load(rows[r] + column * kLanes, wanted[r]);
      }
      half_input_transform<First>(d, half[c]);
      ++column;
    }
#pragma GCC unroll 3
    for (int r = 0; r < kHalf; ++r) {
      const __m512 line[kWindow]{half[0][r], half[1][r], half[2][r],
                                 half[3][r], half[4][r], half[5][r]};
      __m512 points[kWindow];
      input_transform(line, points);
      const int point = (First ? r : kHalf + r) * kWindow;
#pragma GCC unroll 6
      for (int c = 0; c < kWindow; ++c) store(v + index_of(point + c) * stride, points[c]);
    }
    v += kLanes;
#pragma GCC unroll 3
    for (int r = 0; r < kHalf; ++r) {
      half[0][r] = half[4][r];
      half[1][r] = half[5][r];
    }
  }
}

/// Adds the products of `channels` inputs of a block, `input` [tile][16].
template <int Group, class Element>
PCM_AVX512_INLINE void multiply_block(const Element* input, const Element* weights, int channels,
                                      __m512 (&sum)[kTiles][Group]) {
  constexpr int kPerStep = kStep<Element>;
#pragma GCC unroll 4
  for (int i = 0; i < channels; i += kPerStep) {
    __m512 w[Group];
#pragma GCC unroll 2
    for (int o = 0; o < Group; ++o)
      w[o] = _mm512_loadu_ps(weights + (i * Group + o * kPerStep) * kLanes);
#pragma GCC unroll 8
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 2
      for (int o = 0; o < Group; ++o) {
        sum[t][o] = multiply_add(sum[t][o], input + t * kLanes + i, w[o]);
      }
    }
  }
}

/// M of `Group` output blocks at all points. V [point][in block][tile][16],
/// U [point][in / kStep][Group][16 * kStep], M [Group][tile][point][16]. The bias goes into the
/// point that A^T . A adds to every output with weight 1.
template <int Group, class Element>
PCM_AVX512_INLINE void multiply(const Element* v, const Element* u, std::size_t u_stride,
                                const float* bias, float* m, int in_channels) {
  const int in_blocks = blocks_of(in_channels);
  const std::size_t v_stride = point_stride(in_blocks);
  for (int point = 0; point < kPoints; ++point) {
    __m512 sum[kTiles][Group];
#pragma GCC unroll 8
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 2
      for (int o = 0; o < Group; ++o) sum[t][o] = load(bias + o * kLanes, point == kBiasPoint);
    }
    const Element* weights = u + index_of(point) * u_stride;
    for (int block = 0; block < in_blocks; ++block) {
      const Element* input = v + index_of(point) * v_stride + index_of(block * kTiles * kLanes);
      const int channels = std::min(kLanes, in_channels - block * kLanes);
      if (channels == kLanes) {
        multiply_block<Group>(input, weights, kLanes, sum);
      } else {
        multiply_block<Group>(input, weights, channels, sum);
      }
      weights += index_of(channels) * Group * kLanes;
    }
#pragma GCC unroll 8
    for (int t = 0; t < kTiles; ++t) {
#pragma GCC unroll 2
      for (int o = 0; o < Group; ++o) {
        _mm512_store_ps(m + index_of(((o * kTiles + t) * kPoints + point) * kLanes), sum[t][o]);
      }
    }
  }
}

/// A^T M A and what follows, of one tile and output block. `m` [point][16].
template <class Element>
PCM_AVX512_INLINE void finish(const float* m, Element* plane, const Geometry& g, const Tile& tile,
                              bool accumulate, __m512 floor) {
  __m512 half[kTile][kWindow];
#pragma GCC unroll 6
  for (int c = 0; c < kWindow; ++c) {
    __m512 column[kWindow], y[kTile];
#pragma GCC unroll 6
    for (int r = 0; r < kWindow; ++r) column[r] = _mm512_load_ps(m + (r * kWindow + c) * kLanes);
    output_transform(column, y);
#pragma GCC unroll 4
    for (int r = 0; r < kTile; ++r) half[r][c] = y[r];
  }
  const int rows = std::min(kTile, g.out_height - tile.row);
  const int columns = std::min(kTile, g.out_width - tile.column);
#pragma GCC unroll 4
  for (int r = 0; r < kTile; ++r) {
    if (r >= rows) break;
    __m512 y[kTile];
    output_transform(half[r], y);
    Element* to = plane + (std::ptrdiff_t{tile.row + r} * g.out_width + tile.column) * kLanes;
#pragma GCC unroll 4
    for (int c = 0; c < kTile; ++c) {
      if (c >= columns) break;
      __m512 out = y[c];
      if (accumulate) out = _mm512_add_ps(out, load(to + c * kLanes, true));
      store(to + c * kLanes, _mm512_max_ps(floor, out));  // a NaN stays one
    }
  }
}

/// Transforms 16 outputs' weights of one input: `from` is [out][in][9] at the first of the outputs,
/// rows of `row` floats apart; lanes beyond `outputs` become 0.
PCM_AVX512 void transform_weights(const float* from, int row, int outputs, float* u /*[36][16]*/) {
  const auto mask = static_cast<__mmask16>((1u << outputs) - 1u);
  const __m512i lanes =
      _mm512_mullo_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(row));
  __m512 half[3][kWindow];
  for (int c = 0; c < 3; ++c) {
    __m512 g[3];
    for (int r = 0; r < 3; ++r) {
      g[r] = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, lanes, from + 3 * r + c, 4);
    }
    weight_transform(g[0], g[1], g[2], half[c]);
  }
  for (int r = 0; r < kWindow; ++r) {
    __m512 out[kWindow];
    weight_transform(half[0][r], half[1][r], half[2][r], out);
    for (int c = 0; c < kWindow; ++c) _mm512_storeu_ps(u + (r * kWindow + c) * kLanes, out[c]);
  }
}

/// Two inputs' weights as pairs, the even one first.
PCM_AVX512 void store_pairs(const float* even, const float* odd, Bfloat16Bits* to) {
  const __m512i low = _mm512_cvtepu16_epi32(to_bfloat16(_mm512_loadu_ps(even)));
  const __m512i high = _mm512_cvtepu16_epi32(to_bfloat16(_mm512_loadu_ps(odd)));
  _mm512_storeu_si512(to, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
}

template <int Group, class Element>
PCM_AVX512 void multiply_all(const Element* v, const Element* u, std::size_t u_stride,
                             const float* bias, float* m, int in_channels, int out_blocks) {
  const std::size_t u_of_group = u_stride / index_of(out_blocks / Group);
  for (int block = 0; block < out_blocks; block += Group) {
    multiply<Group>(v, u + index_of(block / Group) * u_of_group, u_stride, bias + block * kLanes,
                    m + index_of(block * kTiles * kPoints * kLanes), in_channels);
  }
}

template <class Element>
PCM_AVX512 void run_tiles(const Element* input, Element* output, std::span<const Tile> tiles,
                          const Geometry& g, const Element* u, const float* bias, int in_channels,
                          int out_blocks, bool accumulate, bool relu, Element* v, float* m) {
  const int in_blocks = blocks_of(in_channels);
  const std::size_t v_stride = point_stride(in_blocks);
  const std::size_t in_plane = index_of(g.in_height) * index_of(g.in_width) * kLanes;
  const std::size_t out_plane = index_of(g.out_height) * index_of(g.out_width) * kLanes;
  for (int block = 0; block < in_blocks; ++block) {
    for (std::size_t t = 0; t < tiles.size();) {
      std::size_t neighbours = 1;  // tiles side by side share columns
      while (t + neighbours < tiles.size() && tiles[t + neighbours].column != 0) ++neighbours;
      const Element* plane =
          input + (tiles[t].image * index_of(in_blocks) + index_of(block)) * in_plane;
      Element* to = v + (index_of(block * kTiles) + t) * kLanes;
      transform_input<true>(plane, g, tiles[t], neighbours, to, v_stride);
      transform_input<false>(plane, g, tiles[t], neighbours, to, v_stride);
      t += neighbours;
    }
  }
  const std::size_t u_stride =
      index_of((in_channels + kStep<Element> - 1) / kStep<Element> * kStep<Element>) *
      index_of(out_blocks * kLanes);
  if (group_of(out_blocks) == 2) {
    multiply_all<2>(v, u, u_stride, bias, m, in_channels, out_blocks);
  } else {
    multiply_all<1>(v, u, u_stride, bias, m, in_channels, out_blocks);
  }
  const __m512 floor = _mm512_set1_ps(relu ? 0.0f : -std::numeric_limits<float>::infinity());
  for (int block = 0; block < out_blocks; ++block) {
    for (std::size_t t = 0; t < tiles.size(); ++t) {
      const Tile& tile = tiles[t];
      finish(m + (index_of(block * kTiles) + t) * kPoints * kLanes,
             output + (tile.image * index_of(out_blocks) + index_of(block)) * out_plane, g, tile,
             accumulate, floor);
    }
  }
}

}  // namespace

void WinogradConv::set_weights(std::span<const float> weights, std::span<const float> bias) {
  std::copy(bias.begin(), bias.end(), reinterpret_cast<float*>(bias_.data()));
  const bool pairs = precision_ == Precision::Bfloat16;
  const int step = pairs ? 2 : 1;
  const int group = group_of(out_blocks_);
  const int inputs = (in_channels_ + step - 1) / step * step;
  const std::size_t point_size = index_of(inputs) * index_of(out_blocks_ * kLanes);
  std::array<std::array<float, kPoints * kLanes>, 2> u{};
  for (int block = 0; block < out_blocks_; ++block) {
    const int outputs = std::min(kLanes, out_channels_ - block * kLanes);
    for (int in = 0; in < in_channels_; in += step) {
      for (int i = 0; i < step; ++i) {
        if (in + i == in_channels_) {
          u[index_of(i)].fill(0.0f);
          continue;
        }
        const std::size_t first = index_of(block * kLanes) * index_of(in_channels_);
        transform_weights(weights.data() + (first + index_of(in + i)) * 9, in_channels_ * 9,
                          outputs, u[index_of(i)].data());
      }
      const std::size_t at = (index_of(block / group * inputs + in) * index_of(group) +
                              index_of(block % group * step)) *
                             kLanes;
      for (int point = 0; point < kPoints; ++point) {
        const std::size_t to = index_of(point) * point_size + at;
        const float* from = u[0].data() + point * kLanes;
        if (pairs) {
          store_pairs(from, u[1].data() + point * kLanes,
                      reinterpret_cast<Bfloat16Bits*>(weights_.data()) + to);
        } else {
          std::copy_n(from, kLanes, reinterpret_cast<float*>(weights_.data()) + to);
        }
      }
    }
  }
}

template <class Element>
void WinogradConv::run_as(const Element* input, Element* output, int images, bool accumulate,
                          bool relu, std::byte* scratch) const {
  const Geometry g{in_height_, in_width_, out_height_, out_width_, pad_top_, pad_left_};
  auto* m = reinterpret_cast<float*>(scratch);
  auto* v = reinterpret_cast<Element*>(m + index_of(out_blocks_ * kTiles * kPoints * kLanes));
  const int down = tiles_of(out_height_), across = tiles_of(out_width_);
  std::array<Tile, kTiles> tiles;
  std::size_t filled = 0;
  const auto* u = reinterpret_cast<const Element*>(weights_.data());
  const auto* bias = reinterpret_cast<const float*>(bias_.data());
  for (int image = 0; image < images; ++image) {
    for (int row = 0; row < down; ++row) {
      for (int column = 0; column < across; ++column) {
        tiles[filled++] = {index_of(image), row * kTile, column * kTile};
        const bool last = image + 1 == images && row + 1 == down && column + 1 == across;
        if (filled < kTiles && !last) continue;
        run_tiles(input, output, std::span<const Tile>(tiles.data(), filled), g, u, bias,
                  in_channels_, out_blocks_, accumulate, relu, v, m);
        filled = 0;
      }
    }
  }
}

void WinogradConv::run(const std::byte* input, std::byte* output, int images, bool accumulate,
                       bool relu, std::byte* scratch) const {
  if (precision_ == Precision::Bfloat16) {
    run_as(reinterpret_cast<const Bfloat16Bits*>(input), reinterpret_cast<Bfloat16Bits*>(output),
           images, accumulate, relu, scratch);
  } else {
    run_as(reinterpret_cast<const float*>(input), reinterpret_cast<float*>(output), images,
           accumulate, relu, scratch);
  }
}

#else

bool WinogradConv::available() { return false; }
void WinogradConv::set_weights(std::span<const float>, std::span<const float>) {}
void WinogradConv::run(const std::byte*, std::byte*, int, bool, bool, std::byte*) const {}

#endif

std::size_t WinogradConv::scratch_bytes() const {
  return sizeof(float) * (index_of(out_blocks_ * kTiles * kPoints * kLanes) +
                          index_of(kPoints) * point_stride(in_blocks_));
}

}  // namespace pcmlab
