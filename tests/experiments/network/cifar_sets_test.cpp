// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "experiments/network/sha256.h"
#include "tests/experiments/network/dataset_files.h"

namespace pcmlab {
namespace {

using test::Bytes;
using test::error_of;
using test::Labels;
using test::pixels_of;
using testing::AllOf;
using testing::HasSubstr;

class Cifar10 : public testing::Test {
 protected:
  /// `records` images; byte i of image n is (7 i + n + seed) % 256, its label (n + seed) % 10.
  static Bytes batch(std::size_t records, std::size_t seed) {
    Bytes bytes;
    for (std::size_t n = 0; n < records; ++n) {
      bytes.push_back(static_cast<std::uint8_t>((n + seed) % 10));
      for (std::size_t i = 0; i < 3072; ++i) {
        bytes.push_back(static_cast<std::uint8_t>((7 * i + n + seed) % 256));
      }
    }
    return bytes;
  }
  Result<Dataset> load(Split split, std::size_t limit = 0) const {
    return load_cifar10(folder_.path(), split, limit);
  }
  test::TemporaryFolder folder_;
};

TEST_F(Cifar10, IsNormalisedPerChannel) {
  folder_.write("test_batch.bin", batch(2, 3));
  const Dataset set = load(Split::Test).value();
  EXPECT_EQ(set.name, "cifar-10 test");
  EXPECT_EQ(set.labels, (Labels{3, 4}));
  EXPECT_EQ(set.channels, 3);
  EXPECT_EQ(set.height, 32);
  EXPECT_EQ(set.width, 32);
  EXPECT_EQ(set.classes, 10);
  constexpr std::array<float, 3> kMean{0.4914f, 0.4822f, 0.4465f}, kStd{0.2470f, 0.2435f, 0.2616f};
  const std::vector<float> pixels = pixels_of(set);
  ASSERT_EQ(pixels.size(), 2u * 3072);
  for (std::size_t n = 0; n < 2; ++n) {
    for (std::size_t i = 0; i < 3072; ++i) {
      const auto byte = static_cast<float>((7 * i + n + 3) % 256);
      ASSERT_FLOAT_EQ(pixels[n * 3072 + i], (byte / 255.0f - kMean[i / 1024]) / kStd[i / 1024]);
    }
  }
  EXPECT_THAT(set.description,
              AllOf(HasSubstr("first 2 of 2"),
                    HasSubstr(sha256_of_file(folder_.path() / "test_batch.bin").value())));
}

TEST_F(Cifar10, ReadsTheFiveTrainingFilesInOrder) {
  for (std::size_t i = 1; i <= 5; ++i) {
    folder_.write("data_batch_" + std::to_string(i) + ".bin", batch(3, i));
  }
  const Dataset all = load(Split::Train).value();
  EXPECT_EQ(all.labels, (Labels{1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6, 5, 6, 7}));
  for (const std::size_t limit : {1u, 3u, 4u, 14u, 20u}) {
    const Dataset part = load(Split::Train, limit).value();
    const std::size_t count = std::min<std::size_t>(limit, 15);
    ASSERT_EQ(part.count(), count);
    EXPECT_EQ(pixels_of(part), all.read(0, count).value());
    EXPECT_THAT(part.description, HasSubstr("of 15 images"));
  }
}

TEST_F(Cifar10, NamesTheFolderOrFileThatIsMissing) {
  EXPECT_THAT(error_of(load_cifar10(folder_.path() / "none", Split::Test, 0), ErrorCode::NotFound),
              HasSubstr("none"));
  EXPECT_THAT(error_of(load(Split::Test), ErrorCode::NotFound),
              AllOf(HasSubstr("test_batch.bin"), HasSubstr("cifar-10-batches-bin")));
  for (const char* name :
       {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_5.bin"}) {
    folder_.write(name, batch(1, 0));
  }
  EXPECT_THAT(error_of(load(Split::Train), ErrorCode::NotFound), HasSubstr("data_batch_4.bin"));
}

TEST_F(Cifar10, RefusesIncompleteRecordsAndEmptyFiles) {
  for (const std::size_t size : {0u, 1u, 3072u, 3074u, 2u * 3073 - 1}) {
    Bytes bytes = batch(2, 0);
    bytes.resize(size);
    folder_.write("test_batch.bin", bytes);
    EXPECT_THAT(error_of(load(Split::Test), ErrorCode::BadFile),
                AllOf(HasSubstr("test_batch.bin"), HasSubstr("3073-byte records")));
  }
}

TEST_F(Cifar10, RefusesALabelThatIsNoClass) {
  Bytes bytes = batch(3, 0);
  bytes[3073] = 17;
  folder_.write("test_batch.bin", bytes);
  EXPECT_THAT(error_of(load(Split::Test), ErrorCode::BadFile), HasSubstr("label 17 of image 1"));
}

TEST_F(Cifar10, RefusesAFolderInPlaceOfAFile) {
  std::filesystem::create_directory(folder_.path() / "test_batch.bin");
  const auto set = load(Split::Test);
  ASSERT_FALSE(set.has_value());
  EXPECT_EQ(set.error().code, ErrorCode::Io);
}

class Cifar100 : public testing::Test {
 protected:
  /// `records` images; byte i of image n is (3 i + n) % 256, its labels n % 20 and (30 n + 9) %
  /// 100.
  static Bytes file(std::size_t records) {
    Bytes bytes;
    for (std::size_t n = 0; n < records; ++n) {
      bytes.push_back(static_cast<std::uint8_t>(n % 20));
      bytes.push_back(static_cast<std::uint8_t>((30 * n + 9) % 100));
      for (std::size_t i = 0; i < 3072; ++i) {
        bytes.push_back(static_cast<std::uint8_t>((3 * i + n) % 256));
      }
    }
    return bytes;
  }
  Result<Dataset> load(Split split = Split::Test, std::size_t limit = 0) const {
    return load_cifar100(folder_.path(), split, limit);
  }
  test::TemporaryFolder folder_;
};

TEST_F(Cifar100, HasTheFineLabelsAndIsNormalisedPerChannel) {
  folder_.write("test.bin", file(4));
  const Dataset set = load().value();
  EXPECT_EQ(set.name, "cifar-100 test");
  EXPECT_EQ(set.classes, 100);
  EXPECT_EQ(set.labels, (Labels{9, 39, 69, 99}));
  constexpr std::array<float, 3> kMean{0.5071f, 0.4865f, 0.4409f}, kStd{0.2673f, 0.2564f, 0.2762f};
  const std::vector<float> pixels = pixels_of(set);
  ASSERT_EQ(pixels.size(), 4u * 3072);
  for (std::size_t n = 0; n < 4; ++n) {
    for (std::size_t i = 0; i < 3072; ++i) {
      const auto byte = static_cast<float>((3 * i + n) % 256);
      ASSERT_FLOAT_EQ(pixels[n * 3072 + i], (byte / 255.0f - kMean[i / 1024]) / kStd[i / 1024]);
    }
  }
  EXPECT_THAT(set.description,
              AllOf(HasSubstr("first 4 of 4"),
                    HasSubstr(sha256_of_file(folder_.path() / "test.bin").value())));
}

TEST_F(Cifar100, ReadsTheTrainingFileUpToALimit) {
  folder_.write("train.bin", file(5));
  const Dataset set = load(Split::Train, 2).value();
  EXPECT_EQ(set.name, "cifar-100 train");
  EXPECT_EQ(set.labels, (Labels{9, 39}));
  EXPECT_EQ(pixels_of(set).size(), 2u * 3072);
}

TEST_F(Cifar100, NamesTheFolderOrFileThatIsMissing) {
  EXPECT_THAT(error_of(load_cifar100(folder_.path() / "none", Split::Test, 0), ErrorCode::NotFound),
              HasSubstr("none"));
  EXPECT_THAT(error_of(load(), ErrorCode::NotFound),
              AllOf(HasSubstr("test.bin"), HasSubstr("cifar-100-binary.tar.gz")));
  EXPECT_THAT(error_of(load(Split::Train), ErrorCode::NotFound), HasSubstr("train.bin"));
}

TEST_F(Cifar100, RefusesIncompleteRecordsAndLabelsThatAreNoClass) {
  for (const std::size_t size : {0u, 3073u, 2u * 3074 - 1}) {
    Bytes bytes = file(2);
    bytes.resize(size);
    folder_.write("test.bin", bytes);
    EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr("3074-byte records"));
  }
  Bytes bytes = file(3);
  bytes[3074] = 20;
  folder_.write("test.bin", bytes);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile),
              AllOf(HasSubstr("label 20 of image 1"), HasSubstr("20 classes")));
  bytes = file(3);
  bytes[2 * 3074 + 1] = 100;
  folder_.write("test.bin", bytes);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile),
              AllOf(HasSubstr("label 100 of image 2"), HasSubstr("100 classes")));
}

}  // namespace
}  // namespace pcmlab
