// SPDX-License-Identifier: Apache-2.0
#include "db/file_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/db/test_files.h"

namespace pcmlab::db {
namespace {

using testing::HasSubstr;

FileSystemOf always(std::uint32_t magic, const std::string& mounted_as = "") {
  return [=](const std::filesystem::path&) { return FileSystem{magic, mounted_as}; };
}

constexpr std::uint32_t kFuseMagic = 0x65735546;

TEST(FileSystem, OfANetworkIsRefusedByName) {
  const std::vector<std::pair<std::uint32_t, const char*>> known{
      {0x6969, "NFS"}, {0xFF534D42, "CIFS"}, {0xFE534D42, "SMB"}};
  for (const auto& [type, name] : known) {
    const Error error = error_of(refuse_network_file_system("/lab/results.db", always(type)));
    EXPECT_EQ(error.code, ErrorCode::Io);
    EXPECT_THAT(error.message, HasSubstr(name));
    EXPECT_THAT(error.message, HasSubstr("/lab/results.db"));
    EXPECT_THAT(error.advice, HasSubstr("--database"));
  }
  EXPECT_THAT(
      error_of(refuse_network_file_system("/lab/a.db", always(kFuseMagic, "fuse.sshfs"))).message,
      HasSubstr("fuse.sshfs"));
}

TEST(FileSystem, OfThisMachineIsNotRefused) {
  constexpr std::uint32_t kExt4 = 0xEF53, kTmpfs = 0x01021994, kBtrfs = 0x9123683E;
  for (const std::uint32_t type : {kExt4, kTmpfs, kBtrfs}) {
    EXPECT_TRUE(refuse_network_file_system("/lab/results.db", always(type)));
  }
  EXPECT_TRUE(refuse_network_file_system("/lab/a.db", always(kFuseMagic, "fuseblk")));
  const TemporaryFolder folder;
  EXPECT_TRUE(file_system_of(folder.path()));
  EXPECT_TRUE(refuse_network_file_system(folder / "new.db"));
  EXPECT_FALSE(file_system_of(folder / "new.db"));
}

TEST(FileSystem, OfAFileThatIsNotThereYetIsThatOfItsFolder) {
  const TemporaryFolder folder;
  std::filesystem::path asked;
  const FileSystemOf type = [&](const std::filesystem::path& path) {
    asked = path;
    return FileSystem{0x6969, {}};
  };
  EXPECT_FALSE(refuse_network_file_system(folder / "new.db", type));
  EXPECT_EQ(asked, folder.path());
}

}  // namespace
}  // namespace pcmlab::db
