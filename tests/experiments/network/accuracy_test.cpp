// SPDX-License-Identifier: Apache-2.0
// Accuracy on the 10,000 test images of Fashion-MNIST. PyTorch 1.13 in float32: 94.31 %.
#include <gtest/gtest.h>

#include <cmath>

#include "experiments/network/inference.h"

namespace pcmlab {
namespace {

class BuiltinAccuracy : public testing::Test {
 protected:
  static InferenceEngine engine(Precision precision) {
    return InferenceEngine::create(load_builtin_network("resnet32-fashion-mnist").value(),
                                   precision)
        .value();
  }
  const Dataset images_ = load_fashion_mnist(fashion_mnist_folder(), Split::Test, 0).value();
};

TEST_F(BuiltinAccuracy, IsThatOfPyTorchInFloat32) {
  auto built = engine(Precision::Float32);
  const auto logits = built.logits(images_, 0, images_.count()).value();
  double sum = 0;
  for (const float logit : logits) sum += std::abs(static_cast<double>(logit));
  EXPECT_NEAR(sum, 446862.01, 0.5);
  EXPECT_EQ(built.count_correct(images_).value(), 9431);
}

TEST_F(BuiltinAccuracy, IsWithinATenthOfAPointInBfloat16) {
  if (fastest_precision() != Precision::Bfloat16) return;
  const auto correct = engine(Precision::Bfloat16).count_correct(images_).value();
  EXPECT_NEAR(static_cast<double>(correct), 9431.0, 10.0);
}

}  // namespace
}  // namespace pcmlab
