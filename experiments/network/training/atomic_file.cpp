// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/atomic_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pcmlab::training {
namespace {

tl::unexpected<Error> failed(const std::filesystem::path& file, const char* doing, int number) {
  const bool full = number == ENOSPC || number == EDQUOT || number == EFBIG;
  return fail(full ? ErrorCode::DiskFull : ErrorCode::Io,
              fmt::format("{} {} failed: {}", doing, file.string(), std::strerror(number)),
              full ? "make room on the disk" : "check the folder and the disk");
}

Result<void> write_all(int fd, const std::filesystem::path& file,
                       std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed(file, "writing", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  if (::fsync(fd) != 0) return failed(file, "writing", errno);
  return {};
}

}  // namespace

Result<void> replace_file(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  const std::filesystem::path temporary = file.string() + ".new";
  constexpr int kMode = 0644;
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode);
  if (fd < 0) return failed(file, "writing", errno);
  Result<void> result = write_all(fd, file, bytes);
  if (::close(fd) != 0 && result) result = failed(file, "writing", errno);
  if (result && ::rename(temporary.c_str(), file.c_str()) != 0) {
    result = failed(file, "replacing", errno);
  }
  if (!result) {
    ::unlink(temporary.c_str());
    return result;
  }
  const std::filesystem::path parent = file.parent_path();
  const int folder =
      ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
  return {};
}

Result<void> replace_file(const std::filesystem::path& file, std::string_view text) {
  return replace_file(file, std::as_bytes(std::span(text)));
}

}  // namespace pcmlab::training
