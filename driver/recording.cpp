// SPDX-License-Identifier: Apache-2.0
#include "driver/recording.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include "protocol/bytes.h"
#include "protocol/crc32c.h"

namespace pcmlab {
namespace {

constexpr std::array<char, 8> kMagic = {'P', 'C', 'M', 'L', 'A', 'B', 'R', 'C'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kPreambleBytes = kMagic.size() + sizeof kVersion;
constexpr std::size_t kHeadBytes = 20;  // of a record, before its bytes
constexpr std::size_t kCrcBytes = 4;
constexpr std::size_t kMostBuffered = std::size_t{1} << 20;

std::string reason(int error_number) {
  return std::error_code(error_number, std::generic_category()).message();
}

Error write_error(const std::string& name, int error_number) {
  const std::string doing = "recording the conversation with the board to " + name;
  if (error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG) {
    return {ErrorCode::DiskFull,
            doing + ": " + reason(error_number) + "; what came last is missing in it",
            "Make room, or record to another disk; the conversation ended here."};
  }
  return {ErrorCode::Io, doing + ": " + reason(error_number) + "; what came last is missing in it",
          "Check the disk; the conversation ended here."};
}

bool is_failure(RecordKind kind) {
  return kind == RecordKind::SendFailed || kind == RecordKind::ReceiveFailed ||
         kind == RecordKind::ReopenFailed;
}

void append(const Error& error, std::vector<std::byte>& into) {
  wire::ByteWriter out(into);
  out.text(to_string(error.code));
  out.text(error.message);
  out.text(error.advice);
}

std::optional<ErrorCode> code_named(std::string_view name) {
  for (int i = 0; i <= static_cast<int>(ErrorCode::Internal); ++i) {
    if (to_string(static_cast<ErrorCode>(i)) == name) return static_cast<ErrorCode>(i);
  }
  return std::nullopt;
}

std::vector<std::string> lines_of(std::span<const std::byte> text) {
  std::vector<std::string> lines;
  for (const std::byte byte : text) {
    const char c = static_cast<char>(byte);
    if (lines.empty()) lines.emplace_back();
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  return lines;
}

tl::unexpected<Error> damaged(const Record& record, const std::string& name,
                              std::string_view what) {
  return fail(ErrorCode::BadFile,
              "recording " + name + ": record " + std::to_string(record.number) + " at offset " +
                  std::to_string(record.offset) + ": " + std::string(what),
              "The file was damaged after it was written; use a good copy.");
}

/// The record that begins at `offset`, or nothing when the file ends before it does.
Result<std::optional<Record>> record_at(std::span<const std::byte> content, std::size_t offset,
                                        std::uint64_t number, const std::string& name) {
  Record record;
  record.number = number;
  record.offset = offset;
  const auto rest = content.subspan(offset);
  if (rest.size() < kHeadBytes) return std::nullopt;
  wire::ByteReader head(rest.first(kHeadBytes));
  record.kind = static_cast<RecordKind>(head.u8());
  head.zeros(3);
  const std::size_t length = head.u32();
  record.time = Duration(static_cast<Duration::rep>(head.u64()));
  const std::uint32_t head_crc = head.u32();
  // The length is believed only if this is right: a damaged one must not look like a file's end.
  if (head_crc != wire::crc32c(rest.first(kHeadBytes - kCrcBytes))) {
    return damaged(record, name, "the checksum of its head is wrong");
  }
  if (!head.ok() || record.kind < RecordKind::Header || record.kind > RecordKind::End) {
    return damaged(record, name,
                   "unknown kind " + std::to_string(static_cast<unsigned>(record.kind)));
  }
  if (rest.size() - kHeadBytes < kCrcBytes || rest.size() - kHeadBytes - kCrcBytes < length) {
    return std::nullopt;
  }
  record.bytes = rest.subspan(kHeadBytes, length);
  wire::ByteReader tail(rest.subspan(kHeadBytes + length, kCrcBytes));
  if (tail.u32() != wire::crc32c(record.bytes, head_crc)) {
    return damaged(record, name, "the checksum of its bytes is wrong");
  }
  if (is_failure(record.kind) && !recorded_error(record)) {
    return damaged(record, name, "it holds no error");
  }
  return record;
}

}  // namespace

Result<std::unique_ptr<RecordingWriter>> RecordingWriter::create(
    const std::filesystem::path& file, std::span<const std::string> header) {
  constexpr mode_t kMode = 0666;  // less the umask
  const int descriptor =
      ::open(file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, kMode);
  const int error_number = errno;
  if (descriptor >= 0) {
    auto writer = adopt(descriptor, file.string(), header);
    std::error_code ignored;
    if (!writer) std::filesystem::remove(file, ignored);
    return writer;
  }
  if (error_number == EEXIST) {
    return fail(ErrorCode::Io,
                "recording the conversation with the board to " + file.string() +
                    ": the file exists and is never overwritten",
                "Name another file, or move that one away.");
  }
  if (error_number == ENOSPC || error_number == EDQUOT) {
    return tl::unexpected(write_error(file.string(), error_number));
  }
  return fail(ErrorCode::Io,
              "cannot make the recording " + file.string() + ": " + reason(error_number),
              "Choose a place where you may write.");
}

Result<std::unique_ptr<RecordingWriter>> RecordingWriter::adopt(
    int descriptor, std::string name, std::span<const std::string> header) {
  std::unique_ptr<RecordingWriter> writer(new RecordingWriter(descriptor, std::move(name)));
  wire::ByteWriter preamble(writer->buffer_);
  preamble.array(std::span<const char>(kMagic));
  preamble.u32(kVersion);
  std::string text;
  for (std::size_t i = 0; i < header.size(); ++i) {
    std::string line = header[i];
    std::replace(line.begin(), line.end(), '\n', ' ');
    text += (i == 0 ? "" : "\n") + line;
  }
  PCM_TRY(writer->record(RecordKind::Header, std::as_bytes(std::span(text))));
  PCM_TRY(writer->flush());
  return writer;
}

RecordingWriter::RecordingWriter(int descriptor, std::string name)
    : descriptor_(descriptor), name_(std::move(name)), start_(std::chrono::steady_clock::now()) {}

RecordingWriter::~RecordingWriter() {
  static_cast<void>(close());
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> RecordingWriter::record(RecordKind kind, std::span<const std::byte> bytes) {
  if (failed_) return tl::unexpected(*failed_);
  const std::size_t head = buffer_.size();
  wire::ByteWriter out(buffer_);
  out.u8(static_cast<std::uint8_t>(kind));
  out.zeros(3);
  out.u32(static_cast<std::uint32_t>(bytes.size()));
  out.u64(static_cast<std::uint64_t>(
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - start_).count()));
  const std::uint32_t head_crc = wire::crc32c(std::span<const std::byte>(buffer_).subspan(head));
  out.u32(head_crc);
  out.array(bytes);
  out.u32(wire::crc32c(bytes, head_crc));
  return buffer_.size() < kMostBuffered ? Result<void>{} : flush();
}

Result<void> RecordingWriter::record(RecordKind kind, const Error& error) {
  text_.clear();
  append(error, text_);
  return record(kind, text_);
}

Result<void> RecordingWriter::flush() {
  if (failed_) return tl::unexpected(*failed_);
  std::span<const std::byte> rest = buffer_;
  while (!rest.empty()) {
    const ssize_t written = ::write(descriptor_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      failed_ = write_error(name_, errno);
      return tl::unexpected(*failed_);
    }
    rest = rest.subspan(static_cast<std::size_t>(written));
  }
  buffer_.clear();
  return {};
}

Result<void> RecordingWriter::close() {
  PCM_TRY(record(RecordKind::End));
  PCM_TRY(flush());
  failed_ = Error{ErrorCode::Internal, "recording to " + name_ + ", which is closed", ""};
  const int descriptor = std::exchange(descriptor_, -1);
  if (::close(descriptor) != 0) return tl::unexpected(write_error(name_, errno));
  return {};
}

Result<Recording> load_recording(const std::filesystem::path& file) {
  const std::string name = file.string();
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return fail(errno == ENOENT ? ErrorCode::NotFound : ErrorCode::Io,
                "cannot open the recording " + name + ": " + reason(errno), "Check the path.");
  }
  struct stat status {};
  ssize_t got = ::fstat(descriptor, &status) == 0 ? 1 : -1;
  std::vector<std::byte> content(got > 0 && S_ISREG(status.st_mode)
                                     ? static_cast<std::size_t>(status.st_size)
                                     : std::size_t{0});
  std::size_t size = 0;
  while (size < content.size() && got > 0) {
    got = ::read(descriptor, content.data() + size, content.size() - size);
    if (got > 0) size += static_cast<std::size_t>(got);
    if (got < 0 && errno == EINTR) got = 1;
  }
  const int error_number = errno;
  ::close(descriptor);
  if (got < 0) {
    return fail(ErrorCode::Io, "reading the recording " + name + ": " + reason(error_number),
                "Check the disk.");
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorCode::BadFile, name + " is not a file, and no recording of a board",
                "Name a file that [board] record made.");
  }
  content.resize(size);
  return parse_recording(std::move(content), name);
}

Result<Recording> parse_recording(std::vector<std::byte> content, std::string name) {
  Recording recording;
  recording.name = std::move(name);
  recording.content = std::move(content);
  const std::span<const std::byte> bytes = recording.content;
  const auto magic = std::as_bytes(std::span(kMagic));
  const std::size_t there = std::min(magic.size(), bytes.size());
  if (!std::equal(magic.begin(), magic.begin() + static_cast<std::ptrdiff_t>(there),
                  bytes.begin())) {
    return fail(ErrorCode::BadFile, recording.name + " is no recording of a board",
                "Name a file that [board] record made.");
  }
  recording.cut_off = true;
  if (bytes.size() < kPreambleBytes) return recording;
  if (const std::uint32_t version = wire::ByteReader(bytes.subspan(kMagic.size())).u32();
      version != kVersion) {
    return fail(ErrorCode::BadFile,
                "recording " + recording.name + " has format version " + std::to_string(version) +
                    "; this program reads version " + std::to_string(kVersion),
                "Use the version of pcmlab that recorded it.");
  }
  std::size_t offset = kPreambleBytes;
  for (std::uint64_t number = 0;; ++number) {
    PCM_ASSIGN(const std::optional<Record> record,
               record_at(bytes, offset, number, recording.name));
    if (!record) return recording;
    if ((record->kind == RecordKind::Header) != (number == 0)) {
      return damaged(*record, recording.name, "the header must be the first record and no other");
    }
    offset += kHeadBytes + record->bytes.size() + kCrcBytes;
    if (record->kind == RecordKind::End) {
      if (offset != bytes.size()) {
        return damaged(
            *record, recording.name,
            "it is the end, but " + std::to_string(bytes.size() - offset) + " bytes follow");
      }
      recording.cut_off = false;
      return recording;
    }
    if (record->kind == RecordKind::Header) {
      recording.header = lines_of(record->bytes);
    } else {
      recording.records.push_back(*record);
    }
  }
}

Result<Error> recorded_error(const Record& record) {
  wire::ByteReader in(record.bytes);
  const std::optional<ErrorCode> code = code_named(in.text());
  Error error{code.value_or(ErrorCode::Internal), in.text(), in.text()};
  PCM_TRY(in.finish("a recorded error"));
  if (!code) return fail(ErrorCode::BadFrame, "a recorded error has a code without meaning");
  return error;
}

}  // namespace pcmlab
