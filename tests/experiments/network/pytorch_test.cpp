// SPDX-License-Identifier: Apache-2.0
// Networks of every usual kind, exported by PyTorch, against the logits that PyTorch computed
// (make_networks.py).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "experiments/network/inference.h"
#include "tests/experiments/network/given_numbers.h"

namespace pcmlab {
namespace {

struct Expected {
  Dataset images;
  std::vector<float> logits;  ///< [image][class]
};

std::vector<std::uint8_t> bytes_of(const std::string& hex) {
  std::vector<std::uint8_t> bytes(hex.size() / 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  }
  return bytes;
}

Expected expected_of(const std::filesystem::path& file) {
  std::ifstream text(file);
  Expected expected;
  std::size_t count = 0;
  std::string word, pixels, logits;
  Dataset& images = expected.images;
  text >> word >> images.channels >> images.height >> images.width >> count >> pixels >> word >>
      images.classes >> logits;
  EXPECT_FALSE(text.fail()) << file;
  images.name = "PyTorch's images";
  images.labels.resize(count);
  std::vector<float> numbers;
  for (const std::uint8_t pixel : bytes_of(pixels)) {
    numbers.push_back((static_cast<float>(pixel) - 128.0f) / 64.0f);
  }
  images.source = std::make_shared<test::GivenNumbers>(std::move(numbers), images.image_size());
  const std::vector<std::uint8_t> bytes = bytes_of(logits);
  expected.logits.resize(bytes.size() / sizeof(float));
  std::memcpy(expected.logits.data(), bytes.data(), bytes.size());
  return expected;
}

std::filesystem::path folder() { return PCMLAB_NETWORKS; }

class InferenceOfPyTorch : public testing::TestWithParam<const char*> {
 protected:
  InferenceOfPyTorch()
      : network_(load_network(folder() / (std::string(GetParam()) + ".onnx")).value()),
        expected_(expected_of(folder() / (std::string(GetParam()) + ".txt"))) {}

  /// In batches of 3, so that the last one is a partial batch.
  std::vector<float> logits(Precision precision) {
    return InferenceEngine::create(network_, precision, 3)
        .value()
        .logits(expected_.images, 0, expected_.images.count())
        .value();
  }
  /// The largest difference over the largest logit's size.
  double error(const std::vector<float>& logits) const {
    double largest = 0, worst = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      const auto wanted = static_cast<double>(expected_.logits.at(i));
      largest = std::max(largest, std::abs(wanted));
      const double difference = std::abs(static_cast<double>(logits[i]) - wanted);
      if (!(difference <= worst)) worst = difference;  // a NaN stays
      if (std::isnan(worst)) break;
    }
    return worst / largest;
  }

  Network network_;
  Expected expected_;
};

TEST_P(InferenceOfPyTorch, GivesItsLogitsInFloat32) {
  const std::vector<float> logits = this->logits(Precision::Float32);
  ASSERT_EQ(logits.size(), expected_.logits.size());
  EXPECT_LT(error(logits), 1e-4);
}

TEST_P(InferenceOfPyTorch, GivesItsAnswersInBfloat16) {
  const std::vector<float> logits = this->logits(fastest_precision());
  ASSERT_EQ(logits.size(), expected_.logits.size());
  EXPECT_LT(error(logits), 0.15);  // of untrained networks with few channels
  // The class that is largest, or one that PyTorch found as good within the error of bfloat16.
  const auto classes = static_cast<std::ptrdiff_t>(expected_.images.classes);
  const double slack = 2 * error(logits) *
                       static_cast<double>(*std::max_element(
                           expected_.logits.begin(), expected_.logits.end(),
                           [](float a, float b) { return std::abs(a) < std::abs(b); }));
  for (std::size_t i = 0; i < expected_.images.count(); ++i) {
    const auto first = static_cast<std::ptrdiff_t>(i) * classes;
    const auto row = logits.begin() + first;
    const auto wanted = expected_.logits.begin() + first;
    const float answer = wanted[std::max_element(row, row + classes) - row];
    EXPECT_GE(static_cast<double>(answer),
              static_cast<double>(*std::max_element(wanted, wanted + classes)) - std::abs(slack));
  }
}

/// Every batch norm's statistics can be measured, whatever stands around it.
TEST_P(InferenceOfPyTorch, LetsBatchNormsBeMeasured) {
  auto engine = InferenceEngine::create(network_, Precision::Float32, 3).value();
  const auto measured = engine.measure_batch_norms(expected_.images, 0, 2);
  ASSERT_TRUE(measured.has_value()) << measured.error().message;
  EXPECT_EQ(measured->size(), engine.batch_norms().size());
}

INSTANTIATE_TEST_SUITE_P(Networks, InferenceOfPyTorch,
                         testing::Values("mlp", "lenet", "vgg", "resnet18", "resnet32", "resnet34",
                                         "mobilenet2", "squeeze_excite", "dense_concat",
                                         "leaky_preactivation"),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace pcmlab
