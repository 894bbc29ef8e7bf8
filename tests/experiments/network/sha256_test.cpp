// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/sha256.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/experiments/network/temporary_folder.h"

namespace pcmlab {
namespace {

std::string hash_of(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

// NIST, "Example Values" for FIPS 180-4.
TEST(Sha256, AgreesWithThePublishedVectors) {
  EXPECT_EQ(hash_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hash_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hash_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(hash_of("abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmno"
                    "ijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"),
            "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1");
  EXPECT_EQ(hash_of(std::string(1'000'000, 'a')),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, DoesNotDependOnHowTheBytesArrive) {
  std::string text;
  for (int i = 0; i < 200; ++i) text.push_back(static_cast<char>(i));
  const auto bytes = std::as_bytes(std::span(std::as_const(text)));
  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    Sha256 hash;
    hash.update(bytes.first(cut));
    hash.update(bytes.subspan(cut));
    EXPECT_EQ(hash.hex(), hash_of(text)) << "cut at " << cut;
  }
}

TEST(Sha256, HashesAFileAndNamesOneThatIsMissing) {
  const test::TemporaryFolder folder;
  const std::string text(100'000, 'x');
  const auto file = folder.write("x", std::as_bytes(std::span(text)));
  EXPECT_EQ(sha256_of_file(file).value(), hash_of(text));
  const auto missing = sha256_of_file(folder.path() / "y");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::NotFound);
  EXPECT_NE(missing.error().message.find((folder.path() / "y").string()), std::string::npos);
}

}  // namespace
}  // namespace pcmlab
