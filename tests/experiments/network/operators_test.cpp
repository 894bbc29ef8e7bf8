// SPDX-License-Identifier: Apache-2.0
// Single operators: run against their definition, or refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "experiments/network/inference.h"
#include "tests/experiments/network/onnx_file.h"
#include "tests/experiments/network/reference_network.h"

namespace pcmlab {
namespace {

using test::Dims;
using test::OnnxFile;
using testing::AllOf;
using testing::HasSubstr;

/// Adds nodes behind "images" and returns what they make.
using Build = std::function<std::string(OnnxFile&)>;

struct OperatorCase {
  const char* name;
  Dims input;
  Build build;
};

class InferenceOperator : public testing::TestWithParam<OperatorCase> {};

TEST_P(InferenceOperator, IsThatOfItsDefinition) {
  OnnxFile file(GetParam().input);
  const auto network = file.network(GetParam().build(file));
  ASSERT_TRUE(network.has_value()) << network.error().message;
  const Dataset images = test::random_images(*network, 5);
  const auto pixels = images.read(0, 5).value();
  for (const Precision precision : {Precision::Float32, fastest_precision()}) {
    auto engine = InferenceEngine::create(*network, precision, 2);
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    const auto logits = engine->logits(images, 0, 5).value();
    std::size_t next = 0;
    double error = 0, power = 0;
    for (std::size_t i = 0; i < 5; ++i) {
      const auto image = std::span(pixels).subspan(i * images.image_size(), images.image_size());
      for (const double expected : test::reference_logits(*network, image)) {
        const double difference = static_cast<double>(logits.at(next++)) - expected;
        error += difference * difference;
        power += expected * expected;
      }
    }
    EXPECT_LT(std::sqrt(error / power), precision == Precision::Float32 ? 3e-6 : 0.06);
    EXPECT_EQ(next, logits.size());
  }
}

/// A convolution before it, so that activations are laid out as in a real network.
std::string stem(OnnxFile& file, int out = 6) { return file.conv("images", {.out = out, .in = 3}); }

std::string pool(OnnxFile& file, const std::string& op, const std::string& input,
                 const Dims& kernel, const Dims& strides, const Dims& pads) {
  std::string output = file.node(op, {input});
  file.attribute("kernel_shape", kernel);
  file.attribute("strides", strides);
  file.attribute("pads", pads);
  return output;
}

Build activation(const char* op, float alpha = 0.3f) {
  return [=](OnnxFile& file) {
    std::string output = file.node(op, {stem(file)});
    if (alpha != 0) file.attribute("alpha", alpha);
    return output;
  };
}

Build arithmetic(const char* op, bool constant_first, const Dims& shape) {
  return [=](OnnxFile& file) {
    const std::string x = file.relu(stem(file));
    std::vector<float> numbers{0.5f, -2.0f, 3.0f, 0.7f, -0.1f, 1.5f};
    if (shape.empty()) numbers.resize(1);
    const std::string constant = file.tensor(shape, numbers);
    return constant_first ? file.node(op, {constant, x}) : file.node(op, {x, constant});
  };
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, InferenceOperator,
    testing::Values(
        OperatorCase{"LeakyRelu", {3, 6, 6}, activation("LeakyRelu")},
        OperatorCase{"Elu", {3, 6, 6}, activation("Elu")},
        OperatorCase{"Sigmoid", {3, 6, 6}, activation("Sigmoid", 0)},
        OperatorCase{"Tanh", {3, 6, 6}, activation("Tanh", 0)},
        OperatorCase{"HardSigmoid", {3, 6, 6}, activation("HardSigmoid")},
        OperatorCase{"HardSwish", {3, 6, 6}, activation("HardSwish", 0)},
        OperatorCase{
            "Clip",
            {3, 6, 6},
            [](OnnxFile& f) {
              return f.node("Clip", {stem(f), f.tensor({}, {-0.2f}), f.tensor({}, {0.4f})});
            }},
        OperatorCase{"ActivationsInARow",
                     {3, 6, 6},
                     [](OnnxFile& f) {
                       std::string x = f.node("LeakyRelu", {stem(f)});
                       x = f.node("Mul", {x, f.tensor({}, {0.5f})});
                       x = f.node("Tanh", {f.node("Add", {x, f.tensor({1}, {0.2f})})});
                       return f.relu(f.node("Sub", {f.tensor({}, {0.3f}), x}));
                     }},
        OperatorCase{"AddAConstant", {3, 6, 6}, arithmetic("Add", true, {6, 1, 1})},
        OperatorCase{"SubtractAConstant", {3, 6, 6}, arithmetic("Sub", false, {1, 6, 1, 1})},
        OperatorCase{"SubtractFromAConstant", {3, 6, 6}, arithmetic("Sub", true, {6, 1, 1})},
        OperatorCase{"MultiplyByAConstant", {3, 6, 6}, arithmetic("Mul", false, {6, 1, 1})},
        OperatorCase{"DivideByANumber", {3, 6, 6}, arithmetic("Div", false, {})},
        OperatorCase{"MaxPool",
                     {3, 9, 8},
                     [](OnnxFile& f) {
                       return pool(f, "MaxPool", stem(f), {3, 2}, {2, 1}, {1, 0, 0, 1});
                     }},
        OperatorCase{"DilatedMaxPool",
                     {3, 9, 9},
                     [](OnnxFile& f) {
                       std::string x = pool(f, "MaxPool", stem(f), {3, 3}, {2, 2}, {1, 1, 1, 1});
                       f.attribute("dilations", Dims{2, 2});
                       return x;
                     }},
        OperatorCase{"MaxPoolOfARest",
                     {3, 8, 7},
                     [](OnnxFile& f) {
                       std::string x = pool(f, "MaxPool", stem(f), {3, 3}, {2, 2}, {0, 0, 0, 0});
                       f.attribute("ceil_mode", std::int64_t{1});
                       return x;
                     }},
        // The last window would begin in the padding.
        OperatorCase{"MaxPoolOfNoRest",
                     {3, 5, 5},
                     [](OnnxFile& f) {
                       std::string x = pool(f, "MaxPool", stem(f), {2, 2}, {3, 3}, {1, 1, 1, 1});
                       f.attribute("ceil_mode", std::int64_t{1});
                       return x;
                     }},
        OperatorCase{"AveragePool",
                     {3, 9, 8},
                     [](OnnxFile& f) {
                       return pool(f, "AveragePool", stem(f), {3, 3}, {2, 2}, {1, 1, 1, 1});
                     }},
        OperatorCase{
            "AveragePoolWithItsPadding",
            {3, 9, 8},
            [](OnnxFile& f) {
              std::string x = pool(f, "AveragePool", stem(f), {3, 3}, {2, 2}, {1, 1, 1, 1});
              f.attribute("count_include_pad", std::int64_t{1});
              return x;
            }},
        OperatorCase{"GlobalMaxPool",
                     {3, 5, 4},
                     [](OnnxFile& f) { return f.node("GlobalMaxPool", {stem(f)}); }},
        OperatorCase{"PadBeforeAPool",
                     {3, 6, 5},
                     [](OnnxFile& f) {
                       const std::string pads = f.integers({0, 0, 1, 0, 0, 0, 2, 1});
                       return pool(f, "MaxPool", f.node("Pad", {stem(f), pads}), {2, 2}, {1, 1},
                                   {0, 0, 0, 0});
                     }},
        OperatorCase{"PadBeforeAConvolution",
                     {3, 6, 5},
                     [](OnnxFile& f) {
                       const std::string pads = f.integers({0, 0, 1, 3, 0, 0, 2, 0});
                       return f.conv(f.node("Pad", {stem(f), pads}), {.out = 4, .in = 6});
                     }},
        OperatorCase{"DilatedConvolution",
                     {3, 9, 9},
                     [](OnnxFile& f) {
                       std::string x = f.conv("images", {.out = 5, .in = 3, .pads = {2, 2, 2, 2}});
                       f.attribute("dilations", Dims{2, 3});
                       return x;
                     }},
        OperatorCase{"Concat",
                     {3, 6, 6},
                     [](OnnxFile& f) {
                       const std::string x = stem(f);
                       std::string out =
                           f.node("Concat",
                                  {x, f.conv("images", {.out = 17, .in = 3}), x, f.relu("images")});
                       f.attribute("axis", std::int64_t{-3});
                       return f.conv(out, {.out = 3, .in = 6 + 17 + 6 + 3});
                     }},
        OperatorCase{"ConcatOfVectors",
                     {3, 4, 4},
                     [](OnnxFile& f) {
                       const std::string x = f.node("Flatten", {stem(f)});
                       std::string out = f.node("Concat", {f.dense(x, 96, 5), x});
                       f.attribute("axis", std::int64_t{1});
                       return f.dense(out, 101, 4);
                     }},
        OperatorCase{"GateAChannel",
                     {3, 6, 6},
                     [](OnnxFile& f) {
                       const std::string x = stem(f);
                       return f.relu(f.node("Mul", {f.node("GlobalAveragePool", {x}), x}));
                     }},
        OperatorCase{"GateAPixel",
                     {3, 6, 6},
                     [](OnnxFile& f) {
                       return f.node("Mul", {stem(f), f.node("Sigmoid", {stem(f, 1)})});
                     }},
        OperatorCase{"Swish",
                     {3, 6, 6},
                     [](OnnxFile& f) {
                       const std::string x = stem(f);
                       return f.node("Mul", {x, f.node("Sigmoid", {x})});
                     }},
        OperatorCase{"VectorToImage",
                     {12},
                     [](OnnxFile& f) {
                       const std::string x = f.relu(f.dense("images", 12, 36));
                       const std::string image = f.node("Reshape", {x, f.integers({-1, 4, 3, 3})});
                       return f.conv(image, {.out = 5, .in = 4});
                     }},
        OperatorCase{"ImageToOtherImage",
                     {3, 4, 6},
                     [](OnnxFile& f) {
                       const std::string x = f.relu(stem(f));
                       const std::string image = f.node("Reshape", {x, f.integers({0, 9, -1, 4})});
                       return f.conv(image, {.out = 5, .in = 9});
                     }},
        OperatorCase{"BatchNormOfAFlattenedImage",
                     {3, 4, 4},
                     [](OnnxFile& f) {
                       const std::string x = f.node("Flatten", {stem(f)});
                       return f.dense(f.batch_norm(x, 96), 96, 7);
                     }},
        OperatorCase{"MeanOfJoinedPixels",
                     {3, 4, 5},
                     [](OnnxFile& f) {
                       const std::string x = f.node("Reshape", {stem(f), f.integers({0, 0, -1})});
                       std::string mean = f.node("ReduceMean", {x});
                       f.attribute("axes", Dims{-1});
                       f.attribute("keepdims", std::int64_t{0});
                       return f.dense(mean, 6, 4);
                     }},
        OperatorCase{
            "Softmax",
            {3, 4, 4},
            [](OnnxFile& f) { return f.node("Softmax", {f.dense(f.average(stem(f)), 6, 5)}); }},
        OperatorCase{"LogSoftmaxOfPixels",
                     {3, 4, 4},
                     [](OnnxFile& f) {
                       std::string x = f.node("LogSoftmax", {stem(f)});
                       f.attribute("axis", std::int64_t{1});
                       return x;
                     }}),
    [](const testing::TestParamInfo<OperatorCase>& tested) { return tested.param.name; });

TEST(Operators, TakeABiasThatIsAddedApartIntoTheLayer) {
  OnnxFile file({6});
  const std::string product = file.node("MatMul", {"images", file.weights({6, 4}, 1)});
  const std::string bias = file.tensor({4}, {1, 2, 3, 4});
  const Network network = file.network(file.relu(file.node("Add", {bias, product}))).value();
  ASSERT_EQ(network.nodes.size(), 2u);
  EXPECT_EQ(std::get<DenseNode>(network.nodes[0].kind).bias, (std::vector<float>{1, 2, 3, 4}));
}

TEST(Operators, LeaveABiasApartThatSomebodyElseDoesNotWant) {
  OnnxFile file({3, 4, 4});
  const std::string x = stem(file, 2);
  const std::string sum = file.node("Add", {x, file.tensor({2, 1, 1}, {1, 2})});
  const Network network = file.network(file.add(sum, x)).value();
  EXPECT_EQ(network.nodes.size(), 3u);
  EXPECT_TRUE(std::get<ConvNode>(network.nodes[0].kind).bias.empty());
}

TEST(Operators, ComputeShapesOfTheGraphWhileReading) {
  OnnxFile file({3, 4, 4});
  const std::string x = stem(file);
  // x.view(x.size(0), -1), as PyTorch writes it.
  const auto one = [&](std::int64_t number) {
    std::string name = file.integers({number});
    file.model.mutable_graph()->mutable_initializer()->rbegin()->clear_dims();
    return name;
  };
  const std::string batch = file.node("Gather", {file.node("Shape", {x}), one(0)});
  const std::string list = file.node(
      "Concat", {file.node("Unsqueeze", {batch, file.integers({0})}), file.integers({-1})});
  file.attribute("axis", std::int64_t{0});
  const std::string flat = file.node("Reshape", {x, list});
  const auto network = file.network(file.dense(flat, 96, 5));
  ASSERT_TRUE(network.has_value()) << network.error().message;
  EXPECT_EQ(network->nodes.size(), 2u);
}

TEST(Operators, TakeTheImagesInTheShapeThatTheNetworkGivesThem) {
  OnnxFile file({27});
  const std::string image = file.node("Reshape", {"images", file.integers({-1, 3, 3, 3})});
  const auto network = file.network(file.conv(image, {.out = 2, .in = 3}));
  ASSERT_TRUE(network.has_value()) << network.error().message;
  EXPECT_EQ(network->nodes.size(), 1u);
  EXPECT_EQ(network->shapes[0], (ValueShape{3, 3, 3}));
}

std::string refusal(const Dims& input, const Build& build) {
  OnnxFile file(input);
  const std::string output = build(file);
  file.last_node().set_name("culprit");
  const auto network = file.network(output);
  if (network) return "no error";
  EXPECT_EQ(network.error().code, ErrorCode::BadNetwork);
  EXPECT_THAT(network.error().message, HasSubstr("culprit"));
  return network.error().message + " | " + network.error().advice;
}

TEST(Operators, ThatWouldBeComputedDifferentlyAreRefusedByName) {
  const Dims image{3, 6, 6};
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return f.node("Div", {stem(f), stem(f)});
                      }),
              HasSubstr("must be a constant"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return f.node("Div", {f.tensor({}, {1}), stem(f)});
                      }),
              HasSubstr("constant divided by a value"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return f.node("Div", {stem(f), f.tensor({}, {0})});
                      }),
              HasSubstr("divides by zero"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return f.node("Mul", {stem(f), f.weights({6, 6}, 1)});
                      }),
              AllOf(HasSubstr("6x6"), HasSubstr("one a channel")));
  EXPECT_THAT(refusal(image, [](OnnxFile& f) { return f.node("Transpose", {stem(f)}); }),
              HasSubstr("cannot be run"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        std::string x = f.node("Concat", {stem(f), stem(f)});
                        f.attribute("axis", std::int64_t{2});
                        return x;
                      }),
              HasSubstr("axis 2"));
  EXPECT_THAT(
      refusal(image,
              [](OnnxFile& f) {
                std::string x = f.node("Concat", {stem(f), f.node("GlobalAveragePool", {stem(f)})});
                f.attribute("axis", std::int64_t{1});
                return x;
              }),
      AllOf(HasSubstr("6x6x6"), HasSubstr("6x1x1")));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return f.node("Mul", {stem(f), stem(f, 5)});
                      }),
              HasSubstr("cannot multiply"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return f.node("Pad", {stem(f), f.integers({0, 1, 0, 0, 0, 0, 0, 0})});
                      }),
              HasSubstr("cannot pad by"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return f.node("Pad", {stem(f), f.integers({0, 0, -1, 0, 0, 0, 0, 0})});
                      }),
              HasSubstr("cannot pad by"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return pool(f, "MaxPool", stem(f), {2, 2}, {1, 1}, {2, 0, 0, 0});
                      }),
              HasSubstr("as large as its window"));
  EXPECT_THAT(
      refusal(image,
              [](OnnxFile& f) {
                std::string x = pool(f, "AveragePool", stem(f), {3, 3}, {2, 2}, {0, 0, 0, 0});
                f.attribute("ceil_mode", std::int64_t{1});
                f.attribute("count_include_pad", std::int64_t{1});
                return x;
              }),
      HasSubstr("hang over"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return pool(f, "MaxPool", stem(f), {9, 9}, {1, 1}, {0, 0, 0, 0});
                      }),
              HasSubstr("larger than its padded input"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return f.node("PRelu", {stem(f), f.weights({6, 1, 1}, 1)});
                      }),
              HasSubstr("slope"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        std::string x = f.node("Softmax", {stem(f)});
                        f.attribute("axis", std::int64_t{-1});
                        return x;
                      }),
              HasSubstr("axis -1"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        return f.node("Reshape", {stem(f), f.integers({0, 5, -1})});
                      }),
              HasSubstr("[0, 5, -1]"));
  EXPECT_THAT(refusal(image,
                      [](OnnxFile& f) {
                        const std::string shape = f.node("Shape", {stem(f)});
                        return f.node("Mul", {shape, shape});
                      }),
              HasSubstr("size of the batch"));
}

TEST(Operators, WithWeightsThatAreNoTrainedNetworkAreRefused) {
  EXPECT_THAT(refusal({2},
                      [](OnnxFile& f) {
                        return f.node("Gemm", {"images", f.tensor({2, 2}, {1, 3e12f, 2, 3})});
                      }),
              AllOf(HasSubstr("3e+12"), HasSubstr("1e+09")));
  EXPECT_THAT(
      refusal({2},
              [](OnnxFile& f) {
                return f.node("Gemm", {"images", f.weights({2, 2}, 1), f.tensor({2}, {1, -1e20f})});
              }),
      HasSubstr("biases"));
}

}  // namespace
}  // namespace pcmlab
