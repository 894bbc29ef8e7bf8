// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <csetjmp>
#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>  // needs cstdio's FILE

#include "experiments/network/images/codecs.h"
#include "experiments/network/images/input_file.h"

namespace pcmlab {
namespace {

/// libjpeg's error manager with a way out. libjpeg leaves through longjmp: nothing with a
/// destructor may live in a function that calls it below its setjmp.
struct JpegErrors {
  jpeg_error_mgr base;
  std::jmp_buf way_out;
  char message[JMSG_LENGTH_MAX];
};

JpegErrors& errors_of(j_common_ptr codec) { return *reinterpret_cast<JpegErrors*>(codec->err); }

[[noreturn]] void leave(j_common_ptr codec) {
  JpegErrors& errors = errors_of(codec);
  codec->err->format_message(codec, errors.message);
  std::longjmp(errors.way_out, 1);  // NOLINT: libjpeg has no other way
}

/// libjpeg goes on after damage and fills in grey: for accuracy that is an error. What other
/// decoders pass over as well is not: bytes between markers, odd version numbers.
void judge_warning(j_common_ptr codec, int level) {
  if (level >= 0) return;
  const int code = codec->err->msg_code;
  if (code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR) return;
  leave(codec);
}

bool read_header(jpeg_decompress_struct& codec, JpegErrors& errors,
                 std::span<const std::uint8_t> file) {
  if (setjmp(errors.way_out) != 0) return false;  // NOLINT
  jpeg_create_decompress(&codec);
  jpeg_mem_src(&codec, file.data(), file.size());
  jpeg_read_header(&codec, TRUE);
  const bool four = codec.num_components == 4;
  codec.out_color_space = four ? JCS_CMYK : JCS_RGB;
  return true;
}

bool read_rows(jpeg_decompress_struct& codec, JpegErrors& errors, std::uint8_t* pixels,
               std::size_t row_bytes) {
  if (setjmp(errors.way_out) != 0) return false;  // NOLINT
  jpeg_start_decompress(&codec);
  while (codec.output_scanline < codec.output_height) {
    JSAMPROW row = pixels + row_bytes * codec.output_scanline;
    jpeg_read_scanlines(&codec, &row, 1);
  }
  jpeg_finish_decompress(&codec);
  return true;
}

/// Adobe's inverted CMYK to RGB, rounded as Pillow does.
std::vector<std::uint8_t> rgb_of_cmyk(const std::vector<std::uint8_t>& cmyk) {
  std::vector<std::uint8_t> rgb(cmyk.size() / 4 * 3);
  for (std::size_t i = 0; i < cmyk.size() / 4; ++i) {
    const int light = cmyk[4 * i + 3];  // what black leaves
    for (std::size_t c = 0; c < 3; ++c) {
      const int product = (255 - cmyk[4 * i + c]) * light + 128;
      rgb[3 * i + c] =
          static_cast<std::uint8_t>(std::max(0, light - (((product >> 8) + product) >> 8)));
    }
  }
  return rgb;
}

/// Frees what libjpeg took, however decoding ends.
struct Release {
  jpeg_decompress_struct& codec;
  ~Release() { jpeg_destroy_decompress(&codec); }
};

}  // namespace

Result<RgbImage> decode_jpeg(std::span<const std::uint8_t> file, const std::string& name) {
  jpeg_decompress_struct codec{};
  JpegErrors errors{};
  codec.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = leave;
  errors.base.emit_message = judge_warning;
  const Release release{codec};
  const auto damaged = [&]() {
    return bad_file(name, fmt::format("a damaged JPEG image ({})", errors.message));
  };
  if (!read_header(codec, errors, file)) return damaged();

  RgbImage image;
  PCM_TRY(check_image_size(name, codec.image_width, codec.image_height));
  image.width = static_cast<int>(codec.image_width);
  image.height = static_cast<int>(codec.image_height);
  const std::size_t components = codec.out_color_space == JCS_CMYK ? 4 : 3;
  const std::size_t row_bytes = components * codec.image_width;
  image.pixels.resize(row_bytes * codec.image_height);
  if (!read_rows(codec, errors, image.pixels.data(), row_bytes)) return damaged();
  if (components == 4) image.pixels = rgb_of_cmyk(image.pixels);
  return image;
}

}  // namespace pcmlab
