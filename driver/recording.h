// SPDX-License-Identifier: Apache-2.0
/// \file
/// The file of a recorded conversation with a board: its writer and its reader. Format: README.md.
/// A writer owns its file and is used by one thread. A Recording is plain values once loaded.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/error.h"
#include "protocol/quantities.h"

namespace pcmlab {

/// What one record of the file is. The numbers are those in the file.
enum class RecordKind : std::uint8_t {
  Header = 1,         ///< lines of text: what was recorded, by whom, when
  ToBoard = 2,        ///< the bytes of one send()
  FromBoard = 3,      ///< the bytes of one receive()
  SendFailed = 4,     ///< the send() of the record before failed: an error
  ReceiveFailed = 5,  ///< a receive() failed, for example with Timeout or Disconnected: an error
  Reopened = 6,       ///< reopen() succeeded
  ReopenFailed = 7,   ///< reopen() failed: an error
  End = 8,            ///< the recording was closed
};

/// Appends to a recording. Buffers until flush(), close() or a megabyte.
///
/// A write that fails is final: the error is given by that call and by every later one, and the
/// file ends somewhere in what was to be written.
class RecordingWriter {
 public:
  /// Makes the file and writes `header` into it, one line each.
  /// Errors: Io (also when the file exists: it is never overwritten), DiskFull.
  static Result<std::unique_ptr<RecordingWriter>> create(const std::filesystem::path& file,
                                                         std::span<const std::string> header);
  /// The same into a file that is open for writing and that the writer closes.
  static Result<std::unique_ptr<RecordingWriter>> adopt(int descriptor, std::string name,
                                                        std::span<const std::string> header);
  RecordingWriter(const RecordingWriter&) = delete;
  RecordingWriter& operator=(const RecordingWriter&) = delete;
  /// close(), whose error nobody hears: the file then reads as one that was cut off.
  ~RecordingWriter();

  /// Errors of all four: DiskFull, Io.
  Result<void> record(RecordKind kind, std::span<const std::byte> bytes = {});
  Result<void> record(RecordKind kind, const Error& error);
  /// Hands everything to the operating system: it outlives this process, not a power cut.
  Result<void> flush();
  /// Notes the end and closes the file. Nothing can be recorded afterwards.
  Result<void> close();

 private:
  RecordingWriter(int descriptor, std::string name);

  int descriptor_;
  std::string name_;
  std::chrono::steady_clock::time_point start_;
  std::vector<std::byte> buffer_;
  std::vector<std::byte> text_;  // of an error, for its buffer
  std::optional<Error> failed_;
};

struct Record {
  RecordKind kind{};
  Duration time{};           ///< since the recording began
  std::uint64_t number = 0;  ///< in the file; the header is 0
  std::uint64_t offset = 0;  ///< in the file, bytes
  std::span<const std::byte> bytes;
};

/// A whole recording in memory. The records' bytes lie in `content`; hence it is moved, not copied.
struct Recording {
  Recording() = default;
  Recording(Recording&&) = default;
  Recording& operator=(Recording&&) = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording() = default;

  std::string name;  ///< of the file, for messages
  std::vector<std::string> header;
  std::vector<Record> records;  ///< without Header and End
  /// The file was not closed: its writer was killed, or the disk was full. What it has is right.
  bool cut_off = false;
  std::vector<std::byte> content;
};

/// Errors: NotFound, Io, BadFile (no recording, another version, damaged; with record and offset).
Result<Recording> load_recording(const std::filesystem::path& file);
/// The same from the bytes of a file. Errors: BadFile.
Result<Recording> parse_recording(std::vector<std::byte> content, std::string name);

/// The error of a SendFailed, ReceiveFailed or ReopenFailed. A loaded recording's are all good.
/// Errors: BadFrame (it is none).
Result<Error> recorded_error(const Record& record);

}  // namespace pcmlab
