// SPDX-License-Identifier: Apache-2.0
#include "experiments/exchange/fusion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>

#include "tests/experiments/network/dataset_files.h"
#include "tests/experiments/network/onnx_file.h"

namespace pcmlab {
namespace {

using test::error_of;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const FusionConverter kOneTile;  // 40 uS

/// conv 2 -> 3 without bias, dense 3 -> 2 with one.
Network small_network() {
  test::OnnxFile file({2, 4, 4}, 5);
  const std::string features = file.relu(file.conv("images", {.out = 3, .in = 2}));
  return file.network(file.dense(file.average(features), 3, 2)).value();
}

class FusionCsv : public testing::Test {
 protected:
  std::filesystem::path path() const { return folder_.path() / "fusion.csv"; }
  std::string written(const std::vector<FusionLayer>& layers) const {
    OutputFile file = OutputFile::create(path(), true).value();
    EXPECT_TRUE(write_fusion_csv(file, layers).has_value());
    EXPECT_TRUE(file.finish().has_value());
    std::ostringstream text;
    text << std::ifstream(path(), std::ios::binary).rdbuf();
    return text.str();
  }
  Result<std::vector<FusionLayer>> read(const std::string& text) const {
    std::ofstream(path(), std::ios::binary) << text;
    return read_fusion_csv(path());
  }
  test::TemporaryFolder folder_;
};

TEST_F(FusionCsv, IsWrittenAsAihwkitWritesIt) {
  EXPECT_EQ(written({{"2", "AnalogConv2d", "conv1", 1, 2, {40.0f, 0.1f}},
                     {"5", "AnalogLinear", "fc", 2, 1, {0.0f, 1e-5f}}}),
            "2,5\nAnalogConv2d,AnalogLinear\n2,2\n1,2\n2,1\nconv1,fc\r\n"
            "40.0,0.10000000149011612\r\n0.0,9.999999747378752e-06\r\n");
}

TEST_F(FusionCsv, IsReadBackBitForBit) {
  std::vector<FusionLayer> layers = fusion_layers(small_network(), kOneTile);
  layers[0].name = "a, \"quoted\" name";
  written(layers);
  const auto back = read_fusion_csv(path()).value();
  ASSERT_EQ(back.size(), layers.size());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    EXPECT_EQ(back[i].id, layers[i].id);
    EXPECT_EQ(back[i].class_name, layers[i].class_name);
    EXPECT_EQ(back[i].name, layers[i].name);
    EXPECT_EQ(back[i].height, layers[i].height);
    EXPECT_EQ(back[i].width, layers[i].width);
    EXPECT_EQ(back[i].g_uS, layers[i].g_uS);
  }
}

constexpr const char* kGood = "1,2\nA,B\n2,2\n1,2\n2,1\na,b\n1.5,2\n3,4e0\n";

TEST_F(FusionCsv, MayHaveEitherLineEnd) {
  const auto layers = read(kGood).value();
  EXPECT_THAT(layers[0].g_uS, ElementsAre(1.5f, 2.0f));
  EXPECT_THAT(layers[1].g_uS, ElementsAre(3.0f, 4.0f));
  EXPECT_TRUE(read(std::string(kGood) + "\n").has_value());
}

TEST_F(FusionCsv, NamesTheLineThatIsWrong) {
  const struct {
    const char* text;
    const char* says;
  } cases[] = {
      {"", "line 1: it ends where the line of ids should be"},
      {"1,2\nA\n", "line 2: the line of classes has 1 fields, but there are 2 ids"},
      {"1,2\nA,B\n2,x\n", "line 3: num_weights of layer 2 is \"x\""},
      {"1,2\nA,B\n2,-2\n", "line 3: num_weights of layer 2 is \"-2\""},
      {"1,2\nA,B\n2,99999999999999999999\n", "line 3: num_weights of layer 2"},
      {"1,2\nA,B\n2,2\n1\n", "line 4: height has 1 fields"},
      {"1,2\nA,B\n2,2\n1,2\n2,2\n", "line 5: layer 2 has 2 x 2 weights, but num_weights is 2"},
      {"1,2\nA,B\n2,2\n1,2\n2,1\na\n", "line 6: the line of names has 1 fields"},
      {"1,2\nA,B\n2,2\n1,2\n2,1\na,b\n1,2\n", "line 8: it ends where a layer's conductances"},
      {"1,2\nA,B\n2,2\n1,2\n2,1\na,b\n1\n3,4\n",
       "line 7: 1 conductances instead of the 2 of layer \"a\""},
      {"1,2\nA,B\n2,2\n1,2\n2,1\na,b\n1,2,3\n3,4\n", "line 7: 3 conductances"},
      {"1,2\nA,B\n2,2\n1,2\n2,1\na,b\n1,nan\n3,4\n", "line 7: field 2 is \"nan\""},
      {"1,2\nA,B\n2,2\n1,2\n2,1\na,b\n1,2\n3,4x\n", "line 8: field 2 is \"4x\""},
      {"1,2\nA,B\n2,2\n1,2\n2,1\na,b\n1,2\n\n", "line 8: field 1 is \"\""},
      {"1,2\nA,B\n2,2\n1,2\n2,1\na,b\n1,2\n3,4\n5\n", "line 9: more lines than layers"},
  };
  for (const auto& [text, says] : cases) {
    EXPECT_THAT(error_of(read(text), ErrorCode::BadFile),
                AllOf(HasSubstr("fusion.csv"), HasSubstr(says)))
        << text;
  }
  EXPECT_THAT(error_of(read_fusion_csv(folder_.path() / "none.csv"), ErrorCode::NotFound),
              HasSubstr("none.csv"));
}

TEST(Fusion, ScalesEachOutputsRowToGMaxAndLeavesBiasesOut) {
  const Network network = small_network();
  const WeightSet weights = weights_of(network);
  const auto layers = fusion_layers(network, kOneTile);
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(layers[0].class_name, "AnalogConv2d");
  EXPECT_EQ(layers[0].height, 3);
  EXPECT_EQ(layers[0].width, 18);
  EXPECT_EQ(layers[1].class_name, "AnalogLinear");
  EXPECT_EQ(layers[1].height, 2);
  EXPECT_EQ(layers[1].width, 3);  // 4 columns on the chip: the last is the bias
  for (std::size_t l = 0; l < 2; ++l) {
    const auto width = static_cast<std::size_t>(layers[l].width);
    const auto stride = static_cast<std::size_t>(weights.layers[l].columns);
    const auto first = static_cast<std::size_t>(weights.layers[l].first_weight);
    for (std::size_t row = 0; row < static_cast<std::size_t>(layers[l].height); ++row) {
      float largest = 0;
      for (std::size_t c = 0; c < width; ++c) {
        largest = std::max(largest, std::abs(weights.values[first + row * stride + c]));
      }
      for (std::size_t c = 0; c < width; ++c) {
        EXPECT_FLOAT_EQ(layers[l].g_uS[row * width + c],
                        40.0f * std::abs(weights.values[first + row * stride + c]) / largest);
      }
    }
  }
}

TEST(Fusion, GivesTheNetworksWeightsBackFromItsOwnTargets) {
  const Network network = small_network();
  const WeightSet weights = weights_of(network);
  const auto layers = fusion_layers(network, kOneTile);
  const auto back = fusion_weights(network, layers, kOneTile, "x.csv").value();
  ASSERT_EQ(back.size(), weights.values.size());
  for (std::size_t w = 0; w < back.size(); ++w) EXPECT_FLOAT_EQ(back[w], weights.values[w]);
}

/// 5 outputs, 7 inputs, at most 3 of each: outputs 0-2 and 3-4, inputs 0-2, 3-4 and 5-6.
TEST(Fusion, ListsTheTilesOfALayerAsAihwkitDoes) {
  test::OnnxFile file({7, 1, 1}, 5);
  const Network network = file.network(file.dense(file.average("images"), 7, 5)).value();
  const WeightSet weights = weights_of(network);
  FusionConverter tiles;
  tiles.most_inputs = tiles.most_outputs = 3;
  const auto layers = fusion_layers(network, tiles);
  ASSERT_EQ(layers.size(), 1u);
  EXPECT_EQ(layers[0].height, 5);
  EXPECT_EQ(layers[0].width, 7);
  ASSERT_EQ(layers[0].g_uS.size(), 35u);
  std::size_t place = 0;
  for (const auto& [first_in, end_in] : {std::pair{0u, 3u}, {3u, 5u}, {5u, 7u}}) {
    for (const auto& [first_out, end_out] : {std::pair{0u, 3u}, {3u, 5u}}) {
      for (std::size_t out = first_out; out < end_out; ++out) {
        const float* row = &weights.values[out * 8];  // the eighth is the bias
        float largest = 0;
        for (std::size_t in = first_in; in < end_in; ++in) {
          largest = std::max(largest, std::abs(row[in]));
        }
        for (std::size_t in = first_in; in < end_in; ++in) {
          EXPECT_FLOAT_EQ(layers[0].g_uS[place++], 40.0f * std::abs(row[in]) / largest)
              << "output " << out << ", input " << in;
        }
      }
    }
  }
  const auto back = fusion_weights(network, layers, tiles, "x.csv").value();
  for (std::size_t w = 0; w < back.size(); ++w) EXPECT_FLOAT_EQ(back[w], weights.values[w]);
}

TEST(Fusion, ALayerThatFitsIsOneTile) {
  const Network network = small_network();
  FusionConverter large;
  large.most_inputs = 18;
  large.most_outputs = std::numeric_limits<std::size_t>::max();
  const auto layers = fusion_layers(network, large);
  const auto whole = fusion_layers(network, kOneTile);
  for (std::size_t l = 0; l < 2; ++l) EXPECT_EQ(layers[l].g_uS, whole[l].g_uS);
}

TEST(Fusion, KeepsSignsAndBiasesAndTakesMagnitudesFromTheFile) {
  const Network network = small_network();
  const WeightSet weights = weights_of(network);
  auto layers = fusion_layers(network, kOneTile);
  for (FusionLayer& layer : layers) {
    for (float& g_uS : layer.g_uS) g_uS *= 0.5f;
  }
  const auto back = fusion_weights(network, layers, kOneTile, "x.csv").value();
  for (std::size_t w = 0; w < back.size(); ++w) {
    const bool bias = w >= 54 && (w - 54) % 4 == 3;
    EXPECT_FLOAT_EQ(back[w], (bias ? 1.0f : 0.5f) * weights.values[w]) << w;
  }
}

TEST(Fusion, TakesMeasuredMagnitudesInPlaceOfTargets) {
  const Network network = small_network();
  std::vector<float> magnitudes = weights_of(network).values;
  for (float& value : magnitudes) value = 0.9f * std::abs(value);
  const auto layers = fusion_layers(network, kOneTile, magnitudes);
  const auto targets = fusion_layers(network, kOneTile);
  for (std::size_t l = 0; l < 2; ++l) {
    for (std::size_t i = 0; i < layers[l].g_uS.size(); ++i) {
      EXPECT_NEAR(layers[l].g_uS[i], 0.9f * targets[l].g_uS[i], 1e-4);
    }
  }
}

TEST(Fusion, RefusesLayersOfAnotherNetwork) {
  const Network network = small_network();
  auto layers = fusion_layers(network, kOneTile);
  std::swap(layers[0], layers[1]);
  EXPECT_THAT(error_of(fusion_weights(network, layers, kOneTile, "x.csv"), ErrorCode::BadFile),
              AllOf(HasSubstr("x.csv"), HasSubstr("2 x 3"), HasSubstr("3 x 18")));
  layers.pop_back();
  EXPECT_THAT(error_of(fusion_weights(network, layers, kOneTile, "x.csv"), ErrorCode::BadFile),
              HasSubstr("1 layers, but the network has 2"));
}

TEST(Fusion, TakesIdsClassesAndNamesFromAnotherFile) {
  const Network network = small_network();
  auto layers = fusion_layers(network, kOneTile);
  auto other = layers;
  other[0].id = "7";
  other[0].class_name = "AnalogConv2dMapped";
  other[0].name = "features.0";
  ASSERT_TRUE(take_header(layers, other, "x.csv").has_value());
  EXPECT_EQ(layers[0].id, "7");
  EXPECT_EQ(layers[0].class_name, "AnalogConv2dMapped");
  EXPECT_EQ(layers[0].name, "features.0");
}

}  // namespace
}  // namespace pcmlab
