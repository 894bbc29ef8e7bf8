// SPDX-License-Identifier: Apache-2.0
#include "tests/experiments/network/image_writer.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <jpeglib.h>
#include <png.h>

namespace pcmlab::test {

RgbImage test_picture(int width, int height) {
  RgbImage image{width, height, {}};
  for (int row = 0; row < height; ++row) {
    for (int column = 0; column < width; ++column) {
      for (int channel = 0; channel < 3; ++channel) {
        image.pixels.push_back(static_cast<std::uint8_t>(
            (7 * row + 13 * column + 50 * channel + row * column % 251) % 256));
      }
    }
  }
  return image;
}

// An error of the libraries ends the test program: their default handlers abort or exit.

std::vector<std::uint8_t> png_file(int width, int height, std::span<const std::uint8_t> rows,
                                   PngForm form) {
  std::vector<std::uint8_t> file;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_set_write_fn(
      png, &file,
      [](png_structp writer, png_bytep bytes, png_size_t count) {
        auto& out = *static_cast<std::vector<std::uint8_t>*>(png_get_io_ptr(writer));
        out.insert(out.end(), bytes, bytes + count);
      },
      [](png_structp) {});
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height),
               form.depth, form.color_type,
               form.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  std::vector<png_color> palette;
  png_byte alpha[2] = {255, 0};
  if (form.color_type == PNG_COLOR_TYPE_PALETTE) {
    for (int i = 0; i < 1 << form.depth; ++i) {
      palette.push_back({static_cast<png_byte>(i * 20), static_cast<png_byte>(255 - i),
                         static_cast<png_byte>(i)});
    }
    png_set_PLTE(png, info, palette.data(), static_cast<int>(palette.size()));
    png_set_tRNS(png, info, alpha, 2, nullptr);
  }
  png_write_info(png, info);
  const std::size_t row_bytes = png_get_rowbytes(png, info);
  if (rows.size() != row_bytes * static_cast<std::size_t>(height)) {
    throw std::invalid_argument("rows of another size");
  }
  std::vector<std::uint8_t> copy(rows.begin(), rows.end());
  std::vector<png_bytep> starts;
  for (std::size_t row = 0; row < static_cast<std::size_t>(height); ++row) {
    starts.push_back(copy.data() + row * row_bytes);
  }
  png_write_image(png, starts.data());
  png_write_end(png, nullptr);
  png_destroy_write_struct(&png, &info);
  return file;
}

std::vector<std::uint8_t> png_file(const RgbImage& image) {
  return png_file(image.width, image.height, image.pixels, {});
}

std::vector<std::uint8_t> jpeg_file(int width, int height, std::span<const std::uint8_t> samples,
                                    JpegColour colour, bool progressive, int subsampling) {
  jpeg_compress_struct codec{};
  jpeg_error_mgr errors{};
  codec.err = jpeg_std_error(&errors);
  jpeg_create_compress(&codec);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&codec, &bytes, &size);
  codec.image_width = static_cast<JDIMENSION>(width);
  codec.image_height = static_cast<JDIMENSION>(height);
  codec.input_components = colour == JpegColour::Grey ? 1 : colour == JpegColour::Rgb ? 3 : 4;
  codec.in_color_space = colour == JpegColour::Grey  ? JCS_GRAYSCALE
                         : colour == JpegColour::Rgb ? JCS_RGB
                                                     : JCS_CMYK;
  jpeg_set_defaults(&codec);
  if (colour == JpegColour::Ycck) jpeg_set_colorspace(&codec, JCS_YCCK);
  codec.comp_info[0].h_samp_factor = codec.comp_info[0].v_samp_factor = subsampling;
  if (colour == JpegColour::Ycck)
    codec.comp_info[3].h_samp_factor = codec.comp_info[3].v_samp_factor = subsampling;
  jpeg_set_quality(&codec, 100, TRUE);
  if (progressive) jpeg_simple_progression(&codec);
  jpeg_start_compress(&codec, TRUE);
  const auto row_bytes =
      static_cast<std::size_t>(width) * static_cast<std::size_t>(codec.input_components);
  std::vector<std::uint8_t> copy(samples.begin(), samples.end());
  if (copy.size() != row_bytes * static_cast<std::size_t>(height)) {
    throw std::invalid_argument("samples of another size");
  }
  while (codec.next_scanline < codec.image_height) {
    JSAMPROW row = copy.data() + row_bytes * codec.next_scanline;
    jpeg_write_scanlines(&codec, &row, 1);
  }
  jpeg_finish_compress(&codec);
  jpeg_destroy_compress(&codec);
  std::vector<std::uint8_t> file(bytes, bytes + size);
  std::free(bytes);  // NOLINT: libjpeg took it with malloc
  return file;
}

std::vector<std::uint8_t> jpeg_file(const RgbImage& image) {
  return jpeg_file(image.width, image.height, image.pixels, JpegColour::Rgb);
}

}  // namespace pcmlab::test
