// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "experiments/network/images/codecs.h"
#include "experiments/network/images/input_file.h"

namespace pcmlab {
namespace {

/// What libpng's callbacks work on. libpng leaves through longjmp: nothing with a destructor may
/// live in a function that calls it below its setjmp.
struct PngInput {
  const std::uint8_t* next = nullptr;
  std::size_t left = 0;
  char message[200] = {};
};

void read_bytes(png_structp png, png_bytep to, std::size_t count) {
  auto& input = *static_cast<PngInput*>(png_get_io_ptr(png));
  if (count > input.left) png_error(png, "cut short");
  std::memcpy(to, input.next, count);
  input.next += count;
  input.left -= count;
}

[[noreturn]] void note_error(png_structp png, png_const_charp text) {
  auto& input = *static_cast<PngInput*>(png_get_error_ptr(png));
  std::strncpy(input.message, text, sizeof input.message - 1);
  png_longjmp(png, 1);
}

void ignore_warning(png_structp, png_const_charp) {}

/// Reads up to the pixels and asks for 8-bit RGB rows. \return whether it could.
bool read_header(png_structp png, png_infop info) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;  // NOLINT: libpng has no other way
  png_read_info(png, info);
  png_set_scale_16(png);
  png_set_expand(png);  // palettes, and grey of fewer than 8 bits
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  png_set_interlace_handling(png);
  png_read_update_info(png, info);
  return true;
}

bool read_pixels(png_structp png, png_bytepp rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;  // NOLINT
  png_read_image(png, rows);
  png_read_end(png, nullptr);
  return true;
}

/// libpng's two structures, freed together.
struct PngReader {
  explicit PngReader(PngInput& input)
      : png(png_create_read_struct(PNG_LIBPNG_VER_STRING, &input, note_error, ignore_warning)),
        info(png != nullptr ? png_create_info_struct(png) : nullptr) {
    if (info != nullptr) png_set_read_fn(png, &input, read_bytes);
  }
  ~PngReader() { png_destroy_read_struct(&png, &info, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  png_structp png;
  png_infop info;
};

}  // namespace

Result<RgbImage> decode_png(std::span<const std::uint8_t> file, const std::string& name) {
  PngInput input;
  input.next = file.data();
  input.left = file.size();
  const auto damaged = [&]() {
    return bad_file(name, fmt::format("a damaged PNG image ({})", input.message));
  };
  PngReader reader(input);
  if (reader.info == nullptr) return fail(ErrorCode::Internal, "libpng cannot start");
  png_set_user_limits(reader.png, 0x7fffffff, 0x7fffffff);
  if (!read_header(reader.png, reader.info)) return damaged();

  RgbImage image;
  const std::int64_t width = png_get_image_width(reader.png, reader.info);
  const std::int64_t height = png_get_image_height(reader.png, reader.info);
  PCM_TRY(check_image_size(name, width, height));
  image.width = static_cast<int>(width);
  image.height = static_cast<int>(height);
  const auto row_bytes = static_cast<std::size_t>(3 * width);
  if (png_get_rowbytes(reader.png, reader.info) != row_bytes) {
    return fail(ErrorCode::Internal,
                fmt::format("{}: libpng gives rows of {} bytes, not {}", name,
                            png_get_rowbytes(reader.png, reader.info), row_bytes));
  }
  image.pixels.resize(row_bytes * static_cast<std::size_t>(height));
  std::vector<png_bytep> rows(static_cast<std::size_t>(height));
  for (std::size_t row = 0; row < rows.size(); ++row) {
    rows[row] = image.pixels.data() + row * row_bytes;
  }
  if (!read_pixels(reader.png, rows.data())) return damaged();
  return image;
}

Result<void> check_image_size(const std::string& name, std::int64_t width, std::int64_t height) {
  if (width > 0 && height > 0 && width <= kMostPixels / height) return {};
  return bad_file(name, fmt::format("an image of {}x{} pixels; at most {} million are decoded",
                                    width, height, kMostPixels / 1'000'000));
}

}  // namespace pcmlab
