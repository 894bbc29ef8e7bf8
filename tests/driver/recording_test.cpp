// SPDX-License-Identifier: Apache-2.0
// The file of a recording: what is written is read back, and nothing else is.
#include "driver/recording.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/db/test_files.h"
#include "tests/driver/file_size_limit.h"

namespace pcmlab {
namespace {

using db::bytes_of_file;
using db::error_of;
using db::must;
using ::testing::ElementsAre;
using testing::FileSizeLimit;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const std::vector<std::string> kHeader = {"mock board", "pcmlab 0.1", "2026-01-31T12:00:00Z"};

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::vector<std::byte> copy(std::string_view text) {
  return {bytes(text).begin(), bytes(text).end()};
}
std::string text(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += static_cast<char>(byte);
  return text;
}

class RecordingTest : public ::testing::Test {
 protected:
  /// A recording of every kind of record, and where each of them ends.
  std::string small_recording() {
    auto writer = must(RecordingWriter::create(file, kHeader));
    const auto note_end = [&] {
      must(writer->flush());
      ends.push_back(std::filesystem::file_size(file));
    };
    note_end();
    must(writer->record(RecordKind::ToBoard, bytes("read this")));
    note_end();
    must(writer->record(RecordKind::FromBoard, bytes("42")));
    note_end();
    must(writer->record(RecordKind::ReceiveFailed, Error{ErrorCode::Timeout, "nothing", "wait"}));
    note_end();
    must(writer->record(RecordKind::Reopened));
    note_end();
    must(writer->record(RecordKind::FromBoard));
    note_end();
    must(writer->close());
    return bytes_of_file(file);
  }

  db::TemporaryFolder folder;
  const std::filesystem::path file = folder / "a.rec";
  std::vector<std::uintmax_t> ends;
};

TEST_F(RecordingTest, GivesBackWhatWasWritten) {
  small_recording();
  const Recording recording = must(load_recording(file));
  EXPECT_EQ(recording.name, file.string());
  EXPECT_EQ(recording.header, kHeader);
  EXPECT_FALSE(recording.cut_off);
  ASSERT_THAT(recording.records, SizeIs(5));
  const Record& sent = recording.records[0];
  EXPECT_EQ(sent.kind, RecordKind::ToBoard);
  EXPECT_EQ(sent.number, 1U);
  EXPECT_EQ(sent.offset, ends[0]);
  EXPECT_EQ(text(sent.bytes), "read this");
  EXPECT_EQ(text(recording.records[1].bytes), "42");
  const Error error = must(recorded_error(recording.records[2]));
  EXPECT_EQ(error.code, ErrorCode::Timeout);
  EXPECT_EQ(error.message, "nothing");
  EXPECT_EQ(error.advice, "wait");
  EXPECT_EQ(recording.records[3].kind, RecordKind::Reopened);
  EXPECT_THAT(recording.records[4].bytes, IsEmpty());
  EXPECT_TRUE(std::is_sorted(recording.records.begin(), recording.records.end(),
                             [](const Record& a, const Record& b) { return a.time < b.time; }));
}

TEST_F(RecordingTest, IsThereForOthersAfterEveryFlush) {
  auto writer = must(RecordingWriter::create(file, kHeader));
  must(writer->record(RecordKind::ToBoard, bytes("one")));
  EXPECT_THAT(must(load_recording(file)).records, IsEmpty());
  must(writer->flush());
  EXPECT_THAT(must(load_recording(file)).records, SizeIs(1));
  EXPECT_TRUE(must(load_recording(file)).cut_off);
  // What is large does not wait.
  must(writer->record(RecordKind::FromBoard, std::vector<std::byte>(2'000'000)));
  EXPECT_THAT(must(load_recording(file)).records, SizeIs(2));
  writer.reset();
  EXPECT_FALSE(must(load_recording(file)).cut_off);
}

TEST_F(RecordingTest, AFileThatIsCutAnywhereReadsUpToItsLastWholeRecordAndSaysSo) {
  const std::string whole = small_recording();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const Recording recording = must(parse_recording(copy(whole.substr(0, size)), "cut"));
    EXPECT_TRUE(recording.cut_off) << size;
    const auto records =
        std::count_if(ends.begin(), ends.end(), [size](std::uintmax_t end) { return end <= size; });
    EXPECT_EQ(recording.header.empty(), records == 0) << size;
    EXPECT_THAT(recording.records,
                SizeIs(records == 0 ? 0U : static_cast<std::size_t>(records) - 1))
        << size;
  }
}

TEST_F(RecordingTest, EveryDamageToAByteIsFound) {
  const std::string whole = small_recording();
  for (std::size_t at = 0; at < whole.size(); ++at) {
    for (int mask = 1; mask < 256; ++mask) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(damaged[at] ^ mask);
      const auto recording = parse_recording(copy(damaged), "damaged");
      ASSERT_FALSE(recording) << at << " ^ " << mask;
      ASSERT_EQ(recording.error().code, ErrorCode::BadFile);
    }
  }
}

TEST_F(RecordingTest, SaysWhichRecordIsDamagedAndWhere) {
  std::string content = small_recording();
  const std::uintmax_t third = ends[2];
  content[third + 21] ^= 1;
  const Error bad_bytes = error_of(parse_recording(copy(content), "x.rec"));
  EXPECT_THAT(bad_bytes.message, HasSubstr("recording x.rec: record 3 at offset " +
                                           std::to_string(third) + ": the checksum of its bytes"));
  content[third + 4] ^= 1;
  EXPECT_THAT(
      error_of(parse_recording(copy(content), "x.rec")).message,
      HasSubstr("record 3 at offset " + std::to_string(third) + ": the checksum of its head"));
}

TEST_F(RecordingTest, RefusesWhatIsNoRecordingAndOtherVersions) {
  const auto expect_error = [](std::string_view content, std::string_view message) {
    const Error error = error_of(parse_recording(copy(content), "x"));
    EXPECT_EQ(error.code, ErrorCode::BadFile);
    EXPECT_THAT(error.message, HasSubstr(std::string(message)));
  };
  const std::string whole = small_recording();
  expect_error("SQLite format 3", "x is no recording");
  expect_error("PCMLABR?", "x is no recording");
  expect_error(std::string("PCMLABRC\x02\0\0\0", 12), "format version 2");
  expect_error(whole + "more", "it is the end, but 4 bytes follow");
  expect_error(whole.substr(0, 12) + whole.substr(ends[0]), "the header must be the first");
  EXPECT_EQ(error_of(load_recording(folder / "absent")).code, ErrorCode::NotFound);
  EXPECT_EQ(error_of(load_recording(folder.path())).code, ErrorCode::BadFile);
}

TEST_F(RecordingTest, NeverOverwritesAFile) {
  const std::string before = small_recording();
  const Error error = error_of(RecordingWriter::create(file, kHeader));
  EXPECT_EQ(error.code, ErrorCode::Io);
  EXPECT_THAT(error.message, HasSubstr("exists and is never overwritten"));
  EXPECT_EQ(bytes_of_file(file), before);
  EXPECT_EQ(error_of(RecordingWriter::create(folder / "no/such", kHeader)).code, ErrorCode::Io);
}

TEST_F(RecordingTest, ALineOfTheHeaderStaysOneLine) {
  must(must(RecordingWriter::create(file, std::vector<std::string>{"a\nb", "c"}))->close());
  EXPECT_THAT(must(load_recording(file)).header, ElementsAre("a b", "c"));
}

TEST_F(RecordingTest, AFullDiskIsAnErrorAtOnceAndForEver) {
  const int full = ::open("/dev/full", O_WRONLY);
  ASSERT_GE(full, 0);
  const Error error = error_of(RecordingWriter::adopt(full, "full.rec", kHeader));
  EXPECT_EQ(error.code, ErrorCode::DiskFull);
  EXPECT_THAT(error.message, HasSubstr("full.rec: No space left on device"));
  EXPECT_FALSE(error.advice.empty());
}

TEST_F(RecordingTest, ADiskWithoutRoomForTheHeaderIsLeftAsItWas) {
  {
    const FileSizeLimit limit(20);
    EXPECT_EQ(error_of(RecordingWriter::create(file, kHeader)).code, ErrorCode::DiskFull);
  }
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(RecordingTest, WhatReachedAFullDiskCanBeRead) {
  auto writer = must(RecordingWriter::create(file, kHeader));
  std::size_t written = 0;
  {
    const FileSizeLimit limit(1000);
    Result<void> flushed;
    while (flushed && written < 100) {
      must(writer->record(RecordKind::ToBoard, bytes("thirty bytes, give or take one")));
      flushed = writer->flush();
      written += flushed ? 1 : 0;
    }
    EXPECT_EQ(error_of(flushed).code, ErrorCode::DiskFull);
  }
  // There is room again, but what is missing in the middle stays missing: nothing follows it.
  EXPECT_EQ(error_of(writer->record(RecordKind::Reopened)).code, ErrorCode::DiskFull);
  EXPECT_EQ(error_of(writer->flush()).code, ErrorCode::DiskFull);
  EXPECT_EQ(error_of(writer->close()).code, ErrorCode::DiskFull);
  writer.reset();
  EXPECT_EQ(std::filesystem::file_size(file), 1000U);
  const Recording recording = must(load_recording(file));
  EXPECT_TRUE(recording.cut_off);
  EXPECT_THAT(recording.records, SizeIs(written));
}

}  // namespace
}  // namespace pcmlab
