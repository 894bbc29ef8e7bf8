// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/images/image_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "experiments/network/images/codecs.h"
#include "experiments/network/images/input_file.h"

namespace pcmlab {

Result<RgbImage> decode_image(std::span<const std::uint8_t> file, const std::string& name) {
  constexpr std::array<std::uint8_t, 8> kPng{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  constexpr std::array<std::uint8_t, 3> kJpeg{0xff, 0xd8, 0xff};
  const auto begins_with = [&](const auto& magic) {
    return file.size() >= magic.size() && std::equal(magic.begin(), magic.end(), file.begin());
  };
  if (file.empty()) return bad_file(name, "an empty file instead of an image");
  if (begins_with(kPng)) return decode_png(file, name);
  if (begins_with(kJpeg)) return decode_jpeg(file, name);
  return bad_file(name, "neither a JPEG nor a PNG image");
}

Result<std::vector<std::uint8_t>> read_file(const std::filesystem::path& path) {
  std::error_code status;
  const std::uintmax_t size = std::filesystem::file_size(path, status);
  if (status) {
    return fail(ErrorCode::Io, fmt::format("cannot read {}: {}", path.string(), status.message()));
  }
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::vector<std::uint8_t> bytes(size);
  in.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  if (!in || static_cast<std::uintmax_t>(in.gcount()) != size) {
    return fail(ErrorCode::Io,
                fmt::format("cannot read {}: {}", path.string(),
                            errno != 0 ? std::strerror(errno) : "it became shorter meanwhile"));
  }
  return bytes;
}

}  // namespace pcmlab
