// SPDX-License-Identifier: Apache-2.0
#include "experiments/exchange/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <sstream>

#include "tests/experiments/network/dataset_files.h"

namespace pcmlab {
namespace {

using test::error_of;
using testing::AllOf;
using testing::HasSubstr;

class OutputFiles : public testing::Test {
 protected:
  std::filesystem::path path(const std::string& name = "out.csv") const {
    return folder_.path() / name;
  }
  std::string text_of(const std::filesystem::path& file) const {
    std::ostringstream text;
    text << std::ifstream(file, std::ios::binary).rdbuf();
    return text.str();
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_.path()), {}));
  }
  test::TemporaryFolder folder_;
};

TEST_F(OutputFiles, AreThereOnlyWhenTheyAreWhole) {
  OutputFile file = OutputFile::create(path(), false).value();
  ASSERT_TRUE(file.write("hello ").has_value());
  ASSERT_TRUE(file.write("world").has_value());
  EXPECT_EQ(file.size(), 11u);
  EXPECT_FALSE(std::filesystem::exists(path()));
  ASSERT_TRUE(file.finish().has_value());
  EXPECT_EQ(text_of(path()), "hello world");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFiles, LeaveNothingWhenTheyAreNotFinished) {
  {
    OutputFile file = OutputFile::create(path(), false).value();
    ASSERT_TRUE(file.write(std::string(3'000'000, 'x')).has_value());
    EXPECT_EQ(files(), 1u);
  }
  EXPECT_EQ(files(), 0u);
}

TEST_F(OutputFiles, AreOverwrittenInPlace) {
  OutputFile file = OutputFile::create(path(), false).value();
  ASSERT_TRUE(file.write("abcdef").has_value());
  const std::string middle = "XY";
  ASSERT_TRUE(file.write_at(2, std::as_bytes(std::span(middle))).has_value());
  ASSERT_TRUE(file.write("gh").has_value());
  ASSERT_TRUE(file.finish().has_value());
  EXPECT_EQ(text_of(path()), "abXYefgh");
}

TEST_F(OutputFiles, AreReadBackAndHaveZerosWhereNothingWasWritten) {
  OutputFile file = OutputFile::create(path(), false).value();
  ASSERT_TRUE(file.write("abc").has_value());
  const std::string end = "z";
  ASSERT_TRUE(file.write_at(5, std::as_bytes(std::span(end))).has_value());
  EXPECT_EQ(file.size(), 6u);
  std::string read(8, '?');
  ASSERT_TRUE(file.read_at(1, std::as_writable_bytes(std::span(read))).has_value());
  EXPECT_EQ(read, std::string("bc\0\0z\0\0\0", 8));
}

TEST_F(OutputFiles, NeverReplaceAFileUnlessTold) {
  std::ofstream(path()) << "old";
  EXPECT_THAT(error_of(OutputFile::create(path(), false), ErrorCode::Io),
              AllOf(HasSubstr("out.csv"), HasSubstr("there already"), HasSubstr("--force")));
  {
    OutputFile file = OutputFile::create(path(), true).value();
    ASSERT_TRUE(file.write("new").has_value());
    EXPECT_EQ(text_of(path()), "old");
    ASSERT_TRUE(file.finish().has_value());
  }
  EXPECT_EQ(text_of(path()), "new");
}

TEST_F(OutputFiles, DoNotReplaceAFileThatHasAppearedMeanwhile) {
  {
    OutputFile file = OutputFile::create(path(), false).value();
    ASSERT_TRUE(file.write("mine").has_value());
    std::ofstream(path()) << "somebody's";
    EXPECT_THAT(error_of(file.finish(), ErrorCode::Io), HasSubstr("there already"));
  }
  EXPECT_EQ(text_of(path()), "somebody's");
  EXPECT_EQ(files(), 1u);
}

TEST_F(OutputFiles, NameAFolderThatIsNotThere) {
  EXPECT_THAT(error_of(OutputFile::create(path("none/x.csv"), false), ErrorCode::Io),
              AllOf(HasSubstr("none/x.csv"), HasSubstr("No such file")));
  EXPECT_THAT(error_of(OutputFile::create(folder_.path(), true), ErrorCode::Io),
              HasSubstr("is a folder"));
}

TEST_F(OutputFiles, SayThatTheDiskIsFullAndLeaveNothing) {
  {
    OutputFile file = OutputFile::create(path(), false).value();
    // As if the disk were full: no file of this process may grow beyond 2 MB.
    const auto handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit limit{2'000'000, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    Result<void> written;
    for (int i = 0; i < 5 && written; ++i) written = file.write(std::string(1'000'000, 'x'));
    setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, handler);
    EXPECT_THAT(error_of(written, ErrorCode::DiskFull),
                AllOf(HasSubstr("out.csv"), HasSubstr("make room")));
  }
  EXPECT_EQ(files(), 0u);
}

}  // namespace
}  // namespace pcmlab
