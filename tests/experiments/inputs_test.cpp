// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/inputs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "experiments/engine/engine.h"
#include "tests/experiments/network/dataset_files.h"

namespace pcmlab {
namespace {

using test::Bytes;
using test::error_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

/// A network of which only input and output are looked at.
Network network_of(ValueShape input, int classes) {
  Network network;
  network.name = "net";
  network.shapes = {input, {classes, 1, 1}};
  network.output = 1;
  return network;
}

class PlanImages : public testing::Test {
 protected:
  Result<Dataset> load(const std::string& section, const Network& network,
                       Split split = Split::Test, std::size_t limit = 0) const {
    const Plan plan = parse_plan("[images]\nfolder = \"" + folder_.path().string() + "\"\n" +
                                     section + "\n[[step]]\nexperiment = \"program\"\n",
                                 "test.toml", plan_schema({}))
                          .value();
    return load_plan_images(plan.section("images"), network, split, limit);
  }
  void write_cifar100() const {
    Bytes bytes(3 * 3074, 7);
    folder_.write("test.bin", bytes);
    bytes.assign(2 * 3074, 9);
    folder_.write("train.bin", bytes);
  }
  test::TemporaryFolder folder_;
};

TEST_F(PlanImages, AreLaidOutForTheNetwork) {
  const Plan plan =
      parse_plan("[[step]]\nexperiment = \"program\"\n", "test.toml", plan_schema({})).value();
  const ParameterValues& section = plan.section("images");
  for (const ValueShape& shape : {ValueShape{3, 32, 32}, ValueShape{1, 28, 28},
                                  ValueShape{1, 32, 32}, ValueShape{3, 28, 28}}) {
    const Dataset images = load_plan_images(section, network_of(shape, 10), Split::Test, 3).value();
    EXPECT_EQ((ValueShape{images.channels, images.height, images.width}), shape);
    EXPECT_EQ(images.count(), 3u);
  }
  EXPECT_EQ(
      load_plan_images(section, network_of({784, 1, 1}, 10), Split::Train, 3).value().image_size(),
      784u);
  EXPECT_THAT(error_of(load_plan_images(section, network_of({3, 224, 224}, 10), Split::Test, 3),
                       ErrorCode::BadNetwork),
              HasSubstr("28x28"));
}

TEST_F(PlanImages, AreTheTestOrTheTrainingOnesUpToALimit) {
  write_cifar100();
  const Network network = network_of({3, 32, 32}, 100);
  const std::string section = "set = \"cifar-100\"";
  EXPECT_EQ(load(section, network).value().count(), 3u);
  const Dataset training = load(section, network, Split::Train).value();
  EXPECT_EQ(training.name, "cifar-100 train");
  EXPECT_EQ(training.count(), 2u);
  EXPECT_EQ(load(section, network, Split::Train, 1).value().count(), 1u);
}

TEST_F(PlanImages, AreNormalisedAsThePlanSays) {
  write_cifar100();
  const Dataset images = load("set = \"cifar-100\"\nmean = [0.0, 0.5, 0.25]\nstd = [1.0, 0.5, 2.0]",
                              network_of({3072, 1, 1}, 100))
                             .value();
  const std::vector<float> pixels = images.read(0, 1).value();
  EXPECT_FLOAT_EQ(pixels[0], 7.0f / 255.0f);
  EXPECT_FLOAT_EQ(pixels[1024], (7.0f / 255.0f - 0.5f) / 0.5f);
  EXPECT_FLOAT_EQ(pixels[2048], (7.0f / 255.0f - 0.25f) / 2.0f);
  EXPECT_THAT(error_of(load("set = \"cifar-100\"\nmean = [0.5]", network_of({3, 32, 32}, 100)),
                       ErrorCode::BadPlan),
              AllOf(HasSubstr("mean has 1 numbers"), HasSubstr("3 channels")));
}

TEST_F(PlanImages, MustHaveTheNetworksShapeAndClasses) {
  write_cifar100();
  EXPECT_THAT(
      error_of(load("set = \"cifar-100\"", network_of({3, 28, 28}, 100)), ErrorCode::BadNetwork),
      AllOf(HasSubstr("3x28x28"), HasSubstr("3x32x32"), HasSubstr("\"net\"")));
  EXPECT_THAT(
      error_of(load("set = \"cifar-100\"", network_of({3, 32, 32}, 10)), ErrorCode::BadNetwork),
      AllOf(HasSubstr("10 classes"), HasSubstr("100"), HasSubstr("data set")));
}

TEST_F(PlanImages, OfAFolderAreCutToTheNetworksSize) {
  std::filesystem::create_directories(folder_.path() / "val/a");
  std::filesystem::create_directories(folder_.path() / "val/b");
  // 1x1, grey, 8 bits.
  const Bytes png{0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n',  //
                  0,    0,   0,   13,  'I',  'H',  'D',  'R',  0,    0,    0,    1,    0,
                  0,    0,   1,   8,   0,    0,    0,    0,    0x3a, 0x7e, 0x9b, 0x55,  //
                  0,    0,   0,   10,  'I',  'D',  'A',  'T',  0x78, 0x9c, 0x63, 0x60, 0,
                  0,    0,   2,   0,   1,    0x48, 0xaf, 0xa4, 0x71,  //
                  0,    0,   0,   0,   'I',  'E',  'N',  'D',  0xae, 0x42, 0x60, 0x82};
  folder_.write("val/a/1.png", png);
  const std::string section = "set = \"image-folder\"\nshorter_side_px = 40";
  const Dataset images = load(section, network_of({3, 30, 36}, 2)).value();
  EXPECT_EQ(images.height, 30);
  EXPECT_EQ(images.width, 36);
  EXPECT_THAT(images.normalisation.mean, ElementsAre(0.485f, 0.456f, 0.406f));
  EXPECT_THAT(error_of(load(section, network_of({3, 48, 48}, 2)), ErrorCode::BadPlan),
              HasSubstr("48x48"));
  EXPECT_THAT(error_of(load(section, network_of({1, 30, 36}, 2)), ErrorCode::BadNetwork),
              HasSubstr("1x30x36"));
  EXPECT_THAT(error_of(load(section, network_of({3, 30, 36}, 1000)), ErrorCode::BadNetwork),
              AllOf(HasSubstr("1000 classes"), HasSubstr("has 2"), HasSubstr("its folder")));
}

TEST_F(PlanImages, NeedAFolderUnlessDebianHasAPackage) {
  for (const char* set : {"mnist", "cifar-10", "cifar-100", "image-folder"}) {
    const Plan plan = parse_plan(std::string("[images]\nset = \"") + set +
                                     "\"\n[[step]]\nexperiment = \"program\"\n",
                                 "test.toml", plan_schema({}))
                          .value();
    EXPECT_THAT(error_of(load_plan_images(plan.section("images"), network_of({3, 32, 32}, 10),
                                          Split::Test, 0),
                         ErrorCode::BadPlan),
                AllOf(HasSubstr(set), HasSubstr("needs a folder")));
  }
}

}  // namespace
}  // namespace pcmlab
