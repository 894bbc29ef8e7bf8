// SPDX-License-Identifier: Apache-2.0
#include "experiments/exchange/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace pcmlab {
namespace {

constexpr std::size_t kPendingBytes = 1 << 20;

/// \return 0, or the number of the error.
int write_all(int descriptor, std::span<const std::byte> bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno;
    if (count == 0) return ENOSPC;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  return 0;
}

tl::unexpected<Error> already_there(const std::filesystem::path& path) {
  return fail(ErrorCode::Io, fmt::format("{} is there already", path.string()),
              "name another file, or say --force to replace it");
}

}  // namespace

tl::unexpected<Error> OutputFile::failed(int error_number, const std::string& doing) const {
  const bool full = error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
  return fail(full ? ErrorCode::DiskFull : ErrorCode::Io,
              fmt::format("{} {}: {}", doing, path_.string(), std::strerror(error_number)),
              full ? "make room on the disk or name another folder; no part of the file was left"
                   : "check the folder and the right to write to it");
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& path, bool replace) {
  OutputFile file;
  file.path_ = path;
  file.replace_ = replace;
  std::error_code status;
  if (std::filesystem::is_directory(path, status)) {
    return fail(ErrorCode::Io, fmt::format("{} is a folder", path.string()), "name a file");
  }
  if (!replace && std::filesystem::exists(path, status)) return already_there(path);
  std::string name = path.string() + ".part-XXXXXX";
  file.descriptor_ = ::mkstemp(name.data());
  if (file.descriptor_ < 0) return file.failed(errno, "cannot write");
  file.temporary_ = std::move(name);
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(file.descriptor_, 0666 & ~mask) != 0) return file.failed(errno, "cannot write");
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::exchange(other.temporary_, {})),
      replace_(other.replace_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_),
      pending_(std::move(other.pending_)) {}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

Result<void> OutputFile::flush() {
  const int error = write_all(descriptor_, pending_, size_ - pending_.size());
  if (error != 0) return failed(error, "cannot write");
  pending_.clear();
  return {};
}

Result<void> OutputFile::write(std::span<const std::byte> bytes) {
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  size_ += bytes.size();
  return pending_.size() < kPendingBytes ? Result<void>{} : flush();
}

Result<void> OutputFile::write(std::string_view text) {
  return write(std::as_bytes(std::span(text)));
}

Result<void> OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  PCM_TRY(flush());
  const int error = write_all(descriptor_, bytes, offset);
  if (error != 0) return failed(error, "cannot write");
  size_ = std::max(size_, offset + bytes.size());
  return {};
}

Result<void> OutputFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) {
  PCM_TRY(flush());
  while (!bytes.empty()) {
    const ssize_t count =
        ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return failed(errno, "cannot read back");
    if (count == 0) break;
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  return {};
}

Result<void> OutputFile::finish() {
  PCM_TRY(flush());
  if (::fsync(descriptor_) != 0) return failed(errno, "cannot write");
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0) return failed(errno, "cannot write");
  if (replace_) {
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
      return failed(errno, "cannot put into place");
  } else if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) !=
             0) {
    if (errno == EEXIST) return already_there(path_);
    if (errno != EINVAL && errno != ENOSYS) return failed(errno, "cannot put into place");
    // A file system that cannot do both at once.
    std::error_code status;
    if (std::filesystem::exists(path_, status)) return already_there(path_);
    if (::rename(temporary_.c_str(), path_.c_str()) != 0)
      return failed(errno, "cannot put into place");
  }
  temporary_.clear();
  return {};
}

}  // namespace pcmlab
