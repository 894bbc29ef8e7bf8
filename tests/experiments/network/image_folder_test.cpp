// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "experiments/network/images/resize.h"
#include "experiments/network/inference.h"
#include "experiments/network/sha256.h"
#include "tests/experiments/network/dataset_files.h"
#include "tests/experiments/network/image_writer.h"
#include "tests/experiments/network/onnx_file.h"

namespace pcmlab {
namespace {

using test::Bytes;
using test::error_of;
using test::jpeg_file;
using test::Labels;
using test::png_file;
using test::test_picture;
using testing::AllOf;
using testing::HasSubstr;

constexpr FolderLayout kSmall{20, 16, 12};

class ImageFolder : public testing::Test {
 protected:
  Result<Dataset> load(Split split = Split::Test, std::size_t limit = 0) const {
    return load_image_folder(folder_.path(), split, limit, kSmall);
  }
  /// A PNG or JPEG of some size, its folders made.
  void add(const std::string& name, int width = 30, int height = 40) const {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    const RgbImage picture = test_picture(width, height);
    folder_.write(name, name.ends_with("png") ? png_file(picture) : jpeg_file(picture));
  }
  test::TemporaryFolder folder_;
};

TEST_F(ImageFolder, LabelsImagesByTheOrderOfTheFolderNames) {
  add("val/n02/b.JPEG");
  add("val/n02/a.jpg");
  add("val/n01/x.png");
  add("val/n10/y.png");
  add("train/n01/t.png");
  const Dataset set = load().value();
  EXPECT_EQ(set.name, "image-folder test");
  EXPECT_EQ(set.classes, 3);
  EXPECT_EQ(set.channels, 3);
  EXPECT_EQ(set.height, 16);
  EXPECT_EQ(set.width, 12);
  // One of each class in turn.
  EXPECT_EQ(set.labels, (Labels{0, 1, 2, 1}));
  EXPECT_EQ(load(Split::Train).value().labels, (Labels{0}));
}

TEST_F(ImageFolder, IsNormalisedAsImageNetUsuallyIs) {
  add("val/only/a.png", 30, 40);
  add("val/only/b.png", 50, 25);
  const Dataset set = load().value();
  constexpr std::array<float, 3> kMean{0.485f, 0.456f, 0.406f}, kStd{0.229f, 0.224f, 0.225f};
  const std::size_t plane = 16 * 12;
  for (const auto& [index, picture] :
       {std::pair{0u, test_picture(30, 40)}, std::pair{1u, test_picture(50, 25)}}) {
    Bytes bytes(3 * plane);
    resize_and_crop(picture, kSmall, bytes);
    const std::vector<float> pixels = set.read(index, 1).value();
    ASSERT_EQ(pixels.size(), bytes.size());
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      ASSERT_FLOAT_EQ(pixels[i],
                      (static_cast<float>(bytes[i]) / 255.0f - kMean[i / plane]) / kStd[i / plane]);
    }
  }
}

TEST_F(ImageFolder, NeedsNoSplitFolders) {
  add("cat/a.png");
  add("dog/b.jpg");
  EXPECT_EQ(load().value().labels, (Labels{0, 1}));
  EXPECT_THAT(error_of(load(Split::Train), ErrorCode::NotFound),
              AllOf(HasSubstr("training images"), HasSubstr("/train"), HasSubstr("CLASS")));
}

TEST_F(ImageFolder, MixesClassesInAnyFirstPart) {
  for (const char* name : {"a/1.png", "a/2.png", "a/3.png", "b/1.png", "c/1.png", "c/2.png"}) {
    add(std::string("val/") + name);
  }
  EXPECT_EQ(load(Split::Test, 4).value().labels, (Labels{0, 1, 2, 0}));
  EXPECT_EQ(load(Split::Test, 100).value().labels, (Labels{0, 1, 2, 0, 2, 0}));
  EXPECT_THAT(load(Split::Test, 4).value().description, HasSubstr("4 of 6 images in 3 classes"));
}

TEST_F(ImageFolder, KeepsAnEmptyClassFoldersPlaceAndPassesOverOtherFiles) {
  add("val/a/1.png");
  std::filesystem::create_directories(folder_.path() / "val/b");
  add("val/c/1.png");
  folder_.write("val/c/readme.txt", Bytes{'h', 'i'});
  folder_.write("val/synsets.txt", Bytes{'h', 'i'});
  folder_.write("val/c/.hidden.png", Bytes{'h', 'i'});
  const Dataset set = load().value();
  EXPECT_EQ(set.classes, 3);
  EXPECT_EQ(set.labels, (Labels{0, 2}));
  EXPECT_THAT(set.description, HasSubstr("2 other files passed over"));
}

TEST_F(ImageFolder, HasLabelsBeyondAByte) {
  for (int i = 0; i < 300; ++i) {
    std::filesystem::create_directories(folder_.path() / "val" / std::to_string(1000 + i));
  }
  add("val/1299/last.png");
  const Dataset set = load().value();
  EXPECT_EQ(set.classes, 300);
  EXPECT_EQ(set.labels, (Labels{299}));
}

TEST_F(ImageFolder, DescribesItselfByNamesAndContent) {
  add("val/a/1.png");
  add("val/b/2.png");
  const std::string description = load().value().description;
  const std::string one = sha256_of_file(folder_.path() / "val/a/1.png").value();
  const std::string list =
      one + "  a/1.png\n" + sha256_of_file(folder_.path() / "val/b/2.png").value() + "  b/2.png\n";
  EXPECT_THAT(description, AllOf(HasSubstr((folder_.path() / "val").string()),
                                 HasSubstr(sha256_hex(std::as_bytes(std::span(list))))));
  add("val/b/2.png", 31, 40);
  EXPECT_NE(load().value().description, description);
}

TEST_F(ImageFolder, SaysWhatIsWantedWhenThereIsNothing) {
  EXPECT_THAT(error_of(load_image_folder(folder_.path() / "none", Split::Test, 0, kSmall),
                       ErrorCode::NotFound),
              AllOf(HasSubstr("none"), HasSubstr("val/CLASS/*.jpg"), HasSubstr("image-net.org")));
  EXPECT_THAT(error_of(load(), ErrorCode::NotFound), HasSubstr("0 class folders"));
  std::filesystem::create_directories(folder_.path() / "val/a");
  EXPECT_THAT(error_of(load(), ErrorCode::NotFound), HasSubstr("1 class folders and no image"));
}

TEST_F(ImageFolder, RefusesACutLargerThanTheImages) {
  add("val/a/1.png");
  EXPECT_THAT(error_of(load_image_folder(folder_.path(), Split::Test, 0, {200, 224, 224}),
                       ErrorCode::BadPlan),
              AllOf(HasSubstr("224x224"), HasSubstr("200"), HasSubstr("shorter_side_px")));
}

TEST_F(ImageFolder, NamesADamagedImageWhenItIsLoaded) {
  add("val/a/1.jpg");
  add("val/b/2.jpg");
  Bytes file = jpeg_file(test_picture(30, 40));
  file.resize(file.size() / 2);
  folder_.write("val/b/2.jpg", file);
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile),
              AllOf(HasSubstr((folder_.path() / "val/b/2.jpg").string()), HasSubstr("damaged")));
  EXPECT_TRUE(load(Split::Test, 1).has_value());
}

TEST_F(ImageFolder, LooksIntoTrainingImagesOnlyWhenTheyAreRead) {
  add("train/a/1.jpg");
  add("train/b/2.jpg");
  folder_.write("train/b/2.jpg", Bytes{0xff, 0xd8, 0xff, 0xe0});
  const Dataset set = load(Split::Train).value();
  EXPECT_THAT(set.description, HasSubstr("contents not looked at"));
  EXPECT_TRUE(set.read(0, 1).has_value());
  EXPECT_THAT(error_of(read_once(set), ErrorCode::BadFile), HasSubstr("train/b/2.jpg"));
  add("train/b/2.jpg");
  EXPECT_TRUE(read_once(set).has_value());
}

TEST_F(ImageFolder, NamesTheFirstOfManyDamagedImages) {
  for (int i = 10; i < 40; ++i) {
    const std::string name = "val/a/" + std::to_string(i) + ".png";
    add(name);
    if (i >= 17) folder_.write(name, Bytes{'n', 'o'});
  }
  EXPECT_THAT(error_of(load(), ErrorCode::BadFile), HasSubstr("/17.png"));
}

TEST_F(ImageFolder, IsAnErrorOfThePassWhenAnImageVanishesMeanwhile) {
  for (const char* name : {"val/a/1.png", "val/a/2.png", "val/a/3.png"}) add(name);
  Dataset set = load().value();
  set.classes = 10;
  test::OnnxFile file({3, 16, 12});
  const Network network =
      file.network(file.dense(file.average(file.batch_norm("images", 3)), 3, 10)).value();
  auto engine = InferenceEngine::create(network, Precision::Float32, 1).value();
  EXPECT_TRUE(engine.count_correct(set).has_value());
  EXPECT_EQ(engine.logits(set, 0, 3).value().size(), 30u);
  std::filesystem::remove(folder_.path() / "val/a/2.png");
  EXPECT_TRUE(engine.logits(set, 0, 1).has_value());
  const auto counted = engine.count_correct(set);
  const auto logits = engine.logits(set, 0, 3);
  const auto norms = engine.measure_batch_norms(set, 0, 3);
  ASSERT_FALSE(counted || logits || norms);
  for (const Error& error : {counted.error(), logits.error(), norms.error()}) {
    EXPECT_EQ(error.code, ErrorCode::Io);
    EXPECT_THAT(error.message, HasSubstr("2.png"));
  }
}

}  // namespace
}  // namespace pcmlab
