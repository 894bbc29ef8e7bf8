// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

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
using testing::Not;

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
  EXPECT_EQ(set.labels, (Labels{4, 0, 9}));
  EXPECT_EQ(set.channels, 3);
  EXPECT_EQ(set.height, 32);
  EXPECT_EQ(set.width, 32);
  EXPECT_EQ(set.classes, 10);
  const std::vector<float> pixels = pixels_of(set);
  ASSERT_EQ(pixels.size(), 3u * 3 * 32 * 32);
  for (std::size_t image = 0; image < 3; ++image) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      for (std::size_t row = 0; row < 32; ++row) {
        for (std::size_t column = 0; column < 32; ++column) {
          const bool inside = row >= 2 && row < 30 && column >= 2 && column < 30;
          const std::size_t pixel = inside ? ((row - 2) * 28 + column - 2 + 40 * image) % 256 : 0;
          const float expected = (static_cast<float>(pixel) / 255.0f - 0.2860f) / 0.3530f;
          ASSERT_FLOAT_EQ(pixels[((image * 3 + channel) * 32 + row) * 32 + column], expected);
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
  EXPECT_EQ(pixels_of(packed), pixels_of(plain));
  EXPECT_EQ(packed.labels, plain.labels);
  EXPECT_THAT(packed.description, HasSubstr(".gz"));
}

TEST_F(FashionMnist, DescribesFilesCountsAndChecksums) {
  EXPECT_THAT(load(2).value().description,
              AllOf(HasSubstr("first 2 of 3"), HasSubstr((folder_.path() / kImages).string()),
                    HasSubstr(sha256_of_file(folder_.path() / kImages).value()),
                    HasSubstr(sha256_of_file(folder_.path() / kLabels).value()),
                    HasSubstr("not the known original"), Not(HasSubstr(", the known original"))));
}

TEST_F(FashionMnist, IsLaidOutAsTheNetworkWants) {
  const std::vector<float> three = pixels_of(load().value());
  const Dataset grey =
      load_fashion_mnist(folder_.path(), Split::Test, 0, GreyLayout{1, 28}).value();
  EXPECT_EQ(grey.channels, 1);
  EXPECT_EQ(grey.height, 28);
  const std::vector<float> pixels = pixels_of(grey);
  ASSERT_EQ(pixels.size(), 3u * 28 * 28);
  for (std::size_t image = 0; image < 3; ++image) {
    for (std::size_t row = 0; row < 28; ++row) {
      for (std::size_t column = 0; column < 28; ++column) {
        ASSERT_EQ(pixels[(image * 28 + row) * 28 + column],
                  three[(image * 3 * 32 + row + 2) * 32 + column + 2]);
      }
    }
  }
  EXPECT_EQ(load_fashion_mnist(folder_.path(), Split::Test, 0, GreyLayout{1, 32}).value().height,
            32);
  for (const GreyLayout layout : {GreyLayout{3, 224}, GreyLayout{2, 28}, GreyLayout{784, 1}}) {
    EXPECT_THAT(
        error_of(load_fashion_mnist(folder_.path(), Split::Test, 0, layout), ErrorCode::BadNetwork),
        HasSubstr("28x28 or padded to 32x32"));
  }
}

TEST_F(FashionMnist, IsNotReadBeyondItsEnd) {
  const Dataset set = load().value();
  EXPECT_EQ(set.read(2, 1).value().size(), set.image_size());
  for (const auto& [first, count] : {std::pair{2u, 2u}, std::pair{4u, 0u}, std::pair{0u, 4u}}) {
    EXPECT_EQ(set.read(first, count).error().code, ErrorCode::Internal);
  }
}

TEST_F(FashionMnist, TakesTheFirstImagesUpToALimit) {
  const Dataset all = load().value();
  const Dataset two = load(2).value();
  EXPECT_EQ(two.labels, (Labels{4, 0}));
  EXPECT_EQ(pixels_of(two), all.read(0, 2).value());
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

TEST(FashionMnistPackage, HasTenThousandTestImagesAndIsTheKnownOriginal) {
  const Dataset set = load_fashion_mnist(fashion_mnist_folder(), Split::Test, 100).value();
  EXPECT_EQ(set.count(), 100u);
  EXPECT_THAT(set.description,
              AllOf(HasSubstr("first 100 of 10000 images"), HasSubstr(", the known original"),
                    Not(HasSubstr("not the known original"))));
  EXPECT_EQ(set.labels[0], 9);
  EXPECT_EQ(set.labels[1], 2);
}

TEST(FashionMnistPackage, HasSixtyThousandTrainingImagesAndIsTheKnownOriginal) {
  const Dataset set = load_fashion_mnist(fashion_mnist_folder(), Split::Train, 10).value();
  EXPECT_EQ(set.name, "fashion-mnist train");
  EXPECT_THAT(set.description,
              AllOf(HasSubstr("first 10 of 60000 images"), HasSubstr(", the known original"),
                    Not(HasSubstr("not the known original"))));
  EXPECT_EQ(set.labels[0], 9);
}

class Mnist : public testing::Test {
 protected:
  Mnist() {
    folder_.write("train-images-idx3-ubyte", idx_images());
    folder_.write("train-labels-idx1-ubyte", idx_labels());
  }
  test::TemporaryFolder folder_;
};

TEST_F(Mnist, IsGreyAndNormalisedUnlessAnotherLayoutIsWanted) {
  const Dataset set = load_mnist(folder_.path(), Split::Train, 0).value();
  EXPECT_EQ(set.name, "mnist train");
  EXPECT_EQ(set.channels, 1);
  EXPECT_EQ(set.height, 28);
  EXPECT_EQ(set.width, 28);
  EXPECT_EQ(set.classes, 10);
  EXPECT_EQ(set.labels, (Labels{4, 0, 9}));
  const std::vector<float> pixels = pixels_of(set);
  ASSERT_EQ(pixels.size(), 3u * 784);
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    const auto byte = static_cast<float>((i % 784 + 40 * (i / 784)) % 256);
    ASSERT_FLOAT_EQ(pixels[i], (byte / 255.0f - 0.1307f) / 0.3081f);
  }
  EXPECT_EQ(load_mnist(folder_.path(), Split::Train, 0, GreyLayout{3, 32}).value().image_size(),
            3u * 32 * 32);
  EXPECT_THAT(set.description, HasSubstr("not the known original"));
}

TEST_F(Mnist, SaysWhereItCanBeHad) {
  EXPECT_THAT(
      error_of(load_mnist(folder_.path(), Split::Test, 0), ErrorCode::NotFound),
      AllOf(HasSubstr("MNIST"), HasSubstr("t10k-images-idx3-ubyte.gz"), HasSubstr("LeCun")));
  EXPECT_THAT(error_of(load_mnist(folder_.path() / "none", Split::Test, 0), ErrorCode::NotFound),
              AllOf(HasSubstr("none"), HasSubstr("Download")));
}

}  // namespace
}  // namespace pcmlab
