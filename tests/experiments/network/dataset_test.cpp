// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "experiments/network/sha256.h"
#include "tests/experiments/network/temporary_folder.h"

namespace pcmlab {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

std::string error_of(const Result<Dataset>& set, ErrorCode code) {
  if (set) {
    ADD_FAILURE() << "no error";
    return {};
  }
  EXPECT_EQ(set.error().code, code) << set.error().message;
  EXPECT_FALSE(set.error().advice.empty());
  return set.error().message + " | " + set.error().advice;
}

void append_big_endian(Bytes& bytes, std::uint32_t number) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<std::uint8_t>(number >> shift));
  }
}

Bytes idx_header(const std::vector<std::uint32_t>& dims) {
  Bytes bytes{0, 0, 8, static_cast<std::uint8_t>(dims.size())};
  for (const std::uint32_t size : dims) append_big_endian(bytes, size);
  return bytes;
}

/// Three images whose pixel i is (i + 40 * image) % 256, labels 4, 0, 9.
Bytes idx_images() {
  Bytes bytes = idx_header({3, 28, 28});
  for (std::size_t image = 0; image < 3; ++image) {
    for (std::size_t i = 0; i < 784; ++i) {
      bytes.push_back(static_cast<std::uint8_t>((i + 40 * image) % 256));
    }
  }
  return bytes;
}
Bytes idx_labels() {
  Bytes bytes = idx_header({3});
  bytes.insert(bytes.end(), {4, 0, 9});
  return bytes;
}

Bytes gzipped(const Bytes& bytes) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Bytes out(bytes.size() + 1000);
  Bytes in = bytes;
  stream.next_in = in.data();
  stream.avail_in = static_cast<unsigned>(in.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<unsigned>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class FashionMnist : public testing::Test {
 protected:
  static constexpr const char* kImages = "t10k-images-idx3-ubyte";
  static constexpr const char* kLabels = "t10k-labels-idx1-ubyte";

  FashionMnist() {
    folder_.write(kImages, idx_images());
    folder_.write(kLabels, idx_labels());
  }
  Result<Dataset> load(std::size_t limit = 0) const {
    return load_fashion_mnist(folder_.path(), Split::Test, limit);
  }
  test::TemporaryFolder folder_;
};

TEST_F(FashionMnist, IsPaddedNormalisedAndRepeatedInThreeChannels) {
  const Dataset set = load().value();
  EXPECT_EQ(set.name, "fashion-mnist test");
  EXPECT_EQ(set.count(), 3u);
  EXPECT_EQ(set.labels, (Bytes{4, 0, 9}));
  EXPECT_EQ(set.channels, 3);
  EXPECT_EQ(set.height, 32);
  EXPECT_EQ(set.width, 32);
  EXPECT_EQ(set.classes, 10);
  ASSERT_EQ(set.pixels.size(), 3u * 3 * 32 * 32);
  for (std::size_t image = 0; image < 3; ++image) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      for (std::size_t row = 0; row < 32; ++row) {
        for (std::size_t column = 0; column < 32; ++column) {
          const bool inside = row >= 2 && row < 30 && column >= 2 && column < 30;
          const std::size_t pixel = inside ? ((row - 2) * 28 + column - 2 + 40 * image) % 256 : 0;
          const float expected = (static_cast<float>(pixel) / 255.0f - 0.2860f) / 0.3530f;
          ASSERT_FLOAT_EQ(set.pixels[((image * 3 + channel) * 32 + row) * 32 + column], expected);
        }
      }
    }
  }
}

TEST_F(FashionMnist, IsTheSameFromGzip) {
  const Dataset plain = load().value();
  folder_.write(std::string(kImages) + ".gz", gzipped(idx_images()));
  folder_.write(std::string(kLabels) + ".gz", gzipped(idx_labels()));
  const Dataset packed = load().value();
  EXPECT_EQ(packed.pixels, plain.pixels);
  EXPECT_EQ(packed.labels, plain.labels);
  EXPECT_THAT(packed.description, HasSubstr(".gz"));
}

TEST_F(FashionMnist, DescribesFilesCountsAndChecksums) {
  EXPECT_THAT(load(2).value().description,
              AllOf(HasSubstr("first 2 of 3"), HasSubstr((folder_.path() / kImages).string()),
                    HasSubstr(sha256_of_file(folder_.path() / kImages).value()),
                    HasSubstr(sha256_of_file(folder_.path() / kLabels).value())));
}

TEST_F(FashionMnist, TakesTheFirstImagesUpToALimit) {
  const Dataset all = load().value();
  const Dataset two = load(2).value();
  EXPECT_EQ(two.labels, (Bytes{4, 0}));
  ASSERT_EQ(two.pixels.size(), all.pixels.size() / 3 * 2);
  EXPECT_TRUE(std::equal(two.pixels.begin(), two.pixels.end(), all.pixels.begin()));
  EXPECT_EQ(load(50).value().count(), 3u);
}

TEST_F(FashionMnist, NamesThePackageWhenFolderOrFileIsMissing) {
  EXPECT_THAT(
      error_of(load_fashion_mnist(folder_.path() / "none", Split::Test, 0), ErrorCode::NotFound),
      AllOf(HasSubstr("none"), HasSubstr("apt install dataset-fashion-mnist")));
  EXPECT_THAT(
      error_of(load_fashion_mnist(folder_.path(), Split::Train, 0), ErrorCode::NotFound),
      AllOf(HasSubstr("train-images-idx3-ubyte"), HasSubstr("apt install dataset-fashion-mnist")));
  std::filesystem::remove(folder_.path() / kLabels);
  EXPECT_THAT(error_of(load(), ErrorCode::NotFound), HasSubstr(kLabels));
}

TEST_F(FashionMnist, RefusesFilesOfAnotherKind) {
  for (const std::size_t place : {0u, 1u, 2u, 3u}) {
    Bytes bytes = idx_images();
    bytes[place] ^= 1;
    folder_.write(kImages, bytes);
    EXPECT_THAT(error_of(load(), ErrorCode::BadFile),
                AllOf(HasSubstr(kImages), HasSubstr("not an IDX file")));
  }
}

TEST_F(FashionMnist, RefusesTruncatedFilesAndBytesBehindTheEnd) {
  const Bytes whole = idx_images();
  for (const std::size_t size : {0ul, 3ul, 15ul, 16ul, whole.size() - 1}) {
    folder_.write(kImages, Bytes(whole.begin(), whole.begin() + static_cast<long>(size)));
    EXPECT_THAT(error_of(load(), ErrorCode::BadFile),
                AllOf(HasSubstr(kImages), HasSubstr("cut short")));
  }
  Bytes longer = whole;
  longer.push_back(0);
  folder_.write(kImages, longer);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr("follow"));
}

TEST_F(FashionMnist, RefusesDamagedGzip) {
  const Bytes whole = gzipped(idx_images());
  const std::string name = std::string(kImages) + ".gz";
  for (const std::size_t size : {whole.size() / 2, whole.size() - 4}) {
    folder_.write(name, Bytes(whole.begin(), whole.begin() + static_cast<long>(size)));
    EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr(name));
  }
  Bytes flipped = whole;
  flipped[whole.size() / 2] ^= 0x10;
  folder_.write(name, flipped);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr(name));
  Bytes sum = whole;
  sum[whole.size() - 6] ^= 1;  // the checksum behind the data
  folder_.write(name, sum);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr("damaged"));
}

TEST_F(FashionMnist, RefusesAHeaderThatPromisesMoreThanThereIs) {
  Bytes bytes = idx_header({0xffffffff, 28, 28});
  folder_.write(kImages, bytes);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr("impossible size"));
  bytes = idx_header({1'000'000'000, 28, 28});
  folder_.write(kImages, bytes);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr("cut short"));
}

TEST_F(FashionMnist, RefusesImagesOfAnotherSizeAndEmptySets) {
  Bytes bytes = idx_header({1, 27, 28});
  bytes.resize(bytes.size() + 27 * 28);
  folder_.write(kImages, bytes);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr("27x28"));
  folder_.write(kImages, idx_header({0, 28, 28}));
  folder_.write(kLabels, idx_header({0}));
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr("no images"));
}

TEST_F(FashionMnist, RefusesCountsThatDiffer) {
  Bytes labels = idx_header({2});
  labels.insert(labels.end(), {4, 0});
  folder_.write(kLabels, labels);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile),
              AllOf(HasSubstr("3 images"), HasSubstr("2 labels")));
}

TEST_F(FashionMnist, RefusesALabelThatIsNoClassEvenBehindTheLimit) {
  Bytes labels = idx_labels();
  labels.back() = 10;
  folder_.write(kLabels, labels);
  EXPECT_THAT(error_of(load(1), ErrorCode::BadFile),
              AllOf(HasSubstr(kLabels), HasSubstr("label 10 of image 2")));
}

TEST(FashionMnistPackage, HasTenThousandTestImages) {
  const Dataset set = load_fashion_mnist(fashion_mnist_folder(), Split::Test, 100).value();
  EXPECT_EQ(set.count(), 100u);
  EXPECT_THAT(set.description, HasSubstr("first 100 of 10000 images"));
  EXPECT_EQ(set.labels[0], 9);
  EXPECT_EQ(set.labels[1], 2);
}

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
  EXPECT_EQ(set.labels, (Bytes{3, 4}));
  EXPECT_EQ(set.channels, 3);
  EXPECT_EQ(set.height, 32);
  EXPECT_EQ(set.width, 32);
  EXPECT_EQ(set.classes, 10);
  constexpr std::array<float, 3> kMean{0.4914f, 0.4822f, 0.4465f}, kStd{0.2470f, 0.2435f, 0.2616f};
  ASSERT_EQ(set.pixels.size(), 2u * 3072);
  for (std::size_t n = 0; n < 2; ++n) {
    for (std::size_t i = 0; i < 3072; ++i) {
      const auto byte = static_cast<float>((7 * i + n + 3) % 256);
      ASSERT_FLOAT_EQ(set.pixels[n * 3072 + i], (byte / 255.0f - kMean[i / 1024]) / kStd[i / 1024]);
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
  EXPECT_EQ(all.labels, (Bytes{1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6, 5, 6, 7}));
  for (const std::size_t limit : {1u, 3u, 4u, 14u, 20u}) {
    const Dataset part = load(Split::Train, limit).value();
    const std::size_t count = std::min<std::size_t>(limit, 15);
    ASSERT_EQ(part.count(), count);
    ASSERT_EQ(part.pixels.size(), count * 3072);
    EXPECT_TRUE(std::equal(part.pixels.begin(), part.pixels.end(), all.pixels.begin()));
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

}  // namespace
}  // namespace pcmlab
