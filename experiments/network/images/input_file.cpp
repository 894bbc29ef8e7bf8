// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/images/input_file.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace pcmlab {

void InputFile::Close::operator()(gzFile_s* file) const { gzclose(file); }

Result<InputFile> InputFile::open(const std::filesystem::path& path) {
  InputFile file;
  file.path_ = path.string();
  errno = 0;
  file.stream_.reset(gzopen(path.c_str(), "rb"));
  if (!file.stream_) {
    return fail(ErrorCode::Io, fmt::format("cannot open {}: {}", file.path_, std::strerror(errno)));
  }
  return file;
}

Result<std::vector<std::uint8_t>> InputFile::read(std::size_t count) {
  constexpr std::size_t kStep = 1 << 24;  // a header's count is not believed before its bytes
  std::vector<std::uint8_t> bytes;
  while (bytes.size() < count) {
    const std::size_t old = bytes.size();
    const std::size_t step = std::min(kStep, count - old);
    bytes.resize(old + step);
    const int got = gzread(stream_.get(), bytes.data() + old, static_cast<unsigned>(step));
    int error = Z_OK;
    const char* text = gzerror(stream_.get(), &error);
    if (error == Z_ERRNO) {
      return fail(ErrorCode::Io, fmt::format("cannot read {}: {}", path_, std::strerror(errno)));
    }
    if (got < 0 || error != Z_OK) return damaged(fmt::format("damaged or cut short ({})", text));
    bytes.resize(old + static_cast<std::size_t>(got));
    if (static_cast<std::size_t>(got) < step) break;
  }
  hash_.update(std::as_bytes(std::span(bytes)));
  return bytes;
}

Result<void> InputFile::expect_end() {
  PCM_ASSIGN(const auto rest, read(1));
  if (!rest.empty()) return damaged("bytes follow after its last record");
  return {};
}

tl::unexpected<Error> InputFile::damaged(const std::string& what) const {
  return bad_file(path_, what);
}

tl::unexpected<Error> bad_file(const std::filesystem::path& path, const std::string& what) {
  return fail(ErrorCode::BadFile, fmt::format("{}: {}", path.string(), what),
              "Replace the file by a good copy.");
}

std::string_view to_string(Split split) { return split == Split::Train ? "train" : "test"; }

Result<std::string> provenance(const std::filesystem::path& file) {
  PCM_ASSIGN(const std::string hash, sha256_of_file(file));
  return fmt::format("{} (sha256 {})", file.string(), hash);
}

Result<void> check_labels(const std::filesystem::path& file, std::span<const std::uint8_t> labels,
                          int classes) {
  const auto wrong = std::find_if(labels.begin(), labels.end(),
                                  [&](std::uint8_t label) { return label >= classes; });
  if (wrong == labels.end()) return {};
  return bad_file(file, fmt::format("label {} of image {} is not one of the {} classes", *wrong,
                                    wrong - labels.begin(), classes));
}

std::size_t limited(std::size_t count, std::size_t limit) {
  return limit == 0 ? count : std::min(count, limit);
}

}  // namespace pcmlab
