// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "experiments/network/network.h"
#include "tests/experiments/network/onnx_file.h"
#include "tests/experiments/network/temporary_folder.h"

namespace pcmlab {
namespace {

using test::Dims;
using test::OnnxFile;
using testing::AllOf;
using testing::HasSubstr;

/// Expects an error and returns all its text.
std::string error_of(const Result<Network>& network, ErrorCode code) {
  if (network) {
    ADD_FAILURE() << "no error";
    return {};
  }
  EXPECT_EQ(network.error().code, code) << network.error().message;
  return network.error().message + " | " + network.error().advice;
}

/// A network of the usual kind: conv, batch norm, ReLU, mean, dense.
std::string small(OnnxFile& file) {
  const std::string conv = file.conv("images", {.out = 4, .in = 3});
  const std::string norm = file.batch_norm(conv, 4);
  return file.dense(file.average(file.relu(norm)), 4, 10);
}

TEST(OnnxReader, ReadsNodesShapesAndWeights) {
  OnnxFile file({3, 9, 7});
  const std::string conv = file.conv(
      "images",
      {.out = 6, .in = 3, .kernel_h = 3, .kernel_w = 2, .stride_h = 2, .pads = {1, 0, 2, 1}});
  file.last_node().set_name("stem");
  const Network network = file.network(file.dense(file.average(file.relu(conv)), 6, 4)).value();
  ASSERT_EQ(network.nodes.size(), 4u);
  EXPECT_EQ(network.nodes[0].name, "stem");
  const auto& read = std::get<ConvNode>(network.nodes[0].kind);
  EXPECT_EQ(read.out_channels, 6);
  EXPECT_EQ(read.in_channels, 3);
  EXPECT_EQ(read.kernel_h, 3);
  EXPECT_EQ(read.kernel_w, 2);
  EXPECT_EQ(read.stride_h, 2);
  EXPECT_EQ(read.stride_w, 1);
  EXPECT_EQ(read.pads, (std::array<int, 4>{1, 0, 2, 1}));
  EXPECT_EQ(network.shapes[0], (ValueShape{3, 9, 7}));
  EXPECT_EQ(network.shapes[1], (ValueShape{6, 5, 7}));
  EXPECT_EQ(network.shapes[3], (ValueShape{6, 1, 1}));
  EXPECT_EQ(network.shapes[static_cast<std::size_t>(network.output)], (ValueShape{4, 1, 1}));
  const auto& stored = file.model.graph().initializer(0).raw_data();
  EXPECT_EQ(std::memcmp(read.weights.data(), stored.data(), stored.size()), 0);
}

TEST(OnnxReader, ReadsFloatDataLikeRawData) {
  OnnxFile file;
  const std::string output = small(file);
  const Network raw = file.network(output).value();
  for (auto& tensor : *file.model.mutable_graph()->mutable_initializer()) {
    std::vector<float> numbers(tensor.raw_data().size() / sizeof(float));
    std::memcpy(numbers.data(), tensor.raw_data().data(), tensor.raw_data().size());
    tensor.clear_raw_data();
    for (const float number : numbers) tensor.add_float_data(number);
  }
  const Network listed = file.network(output).value();
  EXPECT_EQ(weights_of(raw).values, weights_of(listed).values);
  EXPECT_NE(raw.sha256, listed.sha256);
}

TEST(OnnxReader, FollowsIdentityNodesToWeightsAndValues) {
  OnnxFile plain, aliased;
  const std::string output = small(plain);
  const std::string other = small(aliased);
  auto& graph = *aliased.model.mutable_graph();
  // The conv's weights through two Identity nodes, the conv's output through another.
  const std::string weights = graph.node(0).input(1), conv = graph.node(0).output(0);
  const std::string once = aliased.node("Identity", {weights});
  const std::string twice = aliased.node("Identity", {once});
  const std::string value = aliased.node("Identity", {conv});
  graph.mutable_node(0)->set_input(1, twice);
  graph.mutable_node(1)->set_input(0, value);
  auto& nodes = *graph.mutable_node();
  for (int to = 0, from = nodes.size() - 3; to < 2; ++to, ++from) {
    for (int i = from; i > to; --i) nodes.SwapElements(i, i - 1);
  }
  for (int i = nodes.size() - 1; i > 3; --i) nodes.SwapElements(i, i - 1);
  const Network expected = plain.network(output).value();
  const Network network = aliased.network(other).value();
  EXPECT_EQ(network.nodes.size(), expected.nodes.size());
  EXPECT_EQ(weights_of(network).values, weights_of(expected).values);
}

TEST(OnnxReader, TakesFlattenReshapeAndKeptAxesForTheSameVector) {
  const auto with = [](auto make_flat) {
    OnnxFile file;
    const std::string conv = file.conv("images", {.out = 4, .in = 3});
    return file.network(file.dense(make_flat(file, conv), 4, 10));
  };
  const auto kept = [](OnnxFile& file, const std::string& x) {
    std::string mean = file.node("ReduceMean", {x});
    file.attribute("axes", Dims{-1, -2});
    return mean;
  };
  const Network expected =
      with([](OnnxFile& file, const std::string& x) { return file.average(x); }).value();
  const std::vector<Result<Network>> same{
      with([&](OnnxFile& file, const std::string& x) {
        return file.node("Flatten", {kept(file, x)});
      }),
      with([](OnnxFile& file, const std::string& x) {
        return file.node("Flatten", {file.node("GlobalAveragePool", {x})});
      }),
      with([&](OnnxFile& file, const std::string& x) {
        return file.node("Reshape", {kept(file, x), file.integers({0, -1})});
      }),
      with([&](OnnxFile& file, const std::string& x) {
        return file.node("Reshape", {kept(file, x), file.integers({-1, 4})});
      })};
  for (const auto& network : same) {
    ASSERT_TRUE(network.has_value()) << network.error().message;
    EXPECT_EQ(network->nodes.size(), expected.nodes.size());
    EXPECT_EQ(network->shapes, expected.shapes);
  }
  EXPECT_THAT(error_of(with([&](OnnxFile& file, const std::string& x) { return kept(file, x); }),
                       ErrorCode::BadNetwork),
              HasSubstr("Flatten"));
  EXPECT_THAT(error_of(with([&](OnnxFile& file, const std::string& x) {
                         return file.node("Reshape", {kept(file, x), file.integers({2, 2})});
                       }),
                       ErrorCode::BadNetwork),
              AllOf(HasSubstr("Reshape"), HasSubstr("[2, 2]"), HasSubstr("[batch, 4]")));
}

TEST(OnnxReader, ReadsTheMeanOfOperatorSet18AndReshapeOfAConstantNode) {
  OnnxFile file;
  const std::string conv = file.conv("images", {.out = 4, .in = 3});
  const std::string mean = file.node("ReduceMean", {conv, file.integers({2, 3})});
  const std::string target = file.node("Constant", {});
  auto* value = file.last_node().add_attribute();
  value->set_name("value");
  value->mutable_t()->set_data_type(onnx::TensorProto::INT64);
  value->mutable_t()->add_dims(2);
  value->mutable_t()->add_int64_data(-1);
  value->mutable_t()->add_int64_data(4);
  const auto network = file.network(file.dense(file.node("Reshape", {mean, target}), 4, 10));
  ASSERT_TRUE(network.has_value()) << network.error().message;
  EXPECT_EQ(network->nodes.size(), 3u);
}

TEST(OnnxReader, TransposesGemmWeightsThatAreStoredInputsFirst) {
  OnnxFile file({6});
  const std::string output =
      file.node("Gemm", {"images", file.tensor({6, 2}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11})});
  const Network network = file.network(output).value();
  EXPECT_EQ(weights_of(network).values, (std::vector<float>{0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11}));
}

TEST(OnnxReader, PutsTheBiasInTheLastColumn) {
  OnnxFile file({2});
  const std::string output =
      file.node("Gemm", {"images", file.tensor({2, 2}, {1, 2, 3, 4}), file.tensor({2}, {50, 60})});
  file.attribute("transB", std::int64_t{1});
  const WeightSet set = weights_of(file.network(output).value());
  EXPECT_EQ(set.values, (std::vector<float>{1, 2, 50, 3, 4, 60}));
  ASSERT_EQ(set.layers.size(), 1u);
  EXPECT_EQ(set.layers[0].rows, 2);
  EXPECT_EQ(set.layers[0].columns, 3);
}

TEST(OnnxReader, NamesOperatorNodeAndWhatCanBeRun) {
  OnnxFile file;
  const std::string conv = file.conv("images", {.out = 4, .in = 3});
  const std::string output = file.node("Einsum", {conv});
  file.last_node().set_name("the/odd/one");
  EXPECT_THAT(error_of(file.network(output), ErrorCode::BadNetwork),
              AllOf(HasSubstr("Einsum"), HasSubstr("the/odd/one"), HasSubstr("Conv"),
                    HasSubstr("BatchNormalization"), HasSubstr("Gemm")));
}

TEST(OnnxReader, RefusesAnOperatorOfAnotherDomain) {
  OnnxFile file;
  const std::string output = file.relu("images");
  file.last_node().set_domain("com.microsoft");
  EXPECT_THAT(error_of(file.network(output), ErrorCode::BadNetwork), HasSubstr("Relu"));
}

TEST(OnnxReader, NumbersNodesThatTheFileLeftWithoutAName) {
  OnnxFile file;
  const std::string conv = file.conv("images", {.out = 4, .in = 3});
  file.last_node().clear_name();
  EXPECT_EQ(file.network(file.relu(conv)).value().nodes[0].name, "Conv_0");
}

TEST(OnnxReader, NamesTheNodeOfEveryShapeMismatch) {
  const auto bad = [](auto build) {
    OnnxFile file;
    const std::string output = build(file);
    file.last_node().set_name("culprit");
    std::string text = error_of(file.network(output), ErrorCode::BadNetwork);
    EXPECT_THAT(text, HasSubstr("culprit"));
    return text;
  };
  EXPECT_THAT(bad([](OnnxFile& f) { return f.conv("images", {.out = 4, .in = 5}); }),
              AllOf(HasSubstr("5 input channels"), HasSubstr("3x8x8")));
  EXPECT_THAT(bad([](OnnxFile& f) {
                return f.conv("images",
                              {.out = 4, .in = 3, .kernel_h = 11, .kernel_w = 11, .pads = Dims(4)});
              }),
              HasSubstr("larger than its padded input"));
  EXPECT_THAT(bad([](OnnxFile& f) { return f.batch_norm("images", 4); }),
              AllOf(HasSubstr("4 channels"), HasSubstr("3x8x8")));
  EXPECT_THAT(
      bad([](OnnxFile& f) { return f.add("images", f.conv("images", {.out = 4, .in = 3})); }),
      AllOf(HasSubstr("3x8x8"), HasSubstr("4x8x8")));
  EXPECT_THAT(bad([](OnnxFile& f) { return f.dense(f.average("images"), 4, 10); }),
              HasSubstr("for 4 inputs"));
  EXPECT_THAT(bad([](OnnxFile& f) { return f.conv(f.average("images"), {.out = 4, .in = 3}); }),
              HasSubstr("not an image"));
  EXPECT_THAT(bad([](OnnxFile& f) { return f.add("images", f.node("Flatten", {"images"})); }),
              HasSubstr("flattened"));
}

TEST(OnnxReader, RefusesWhatWouldBeComputedDifferently) {
  const auto bad = [](auto build) {
    OnnxFile file;
    const std::string output = build(file);
    return error_of(file.network(output), ErrorCode::BadNetwork);
  };
  EXPECT_THAT(bad([](OnnxFile& f) {
                std::string out = f.conv("images", {.out = 4, .in = 3});
                f.attribute("auto_pad", std::int64_t{0});
                f.last_node().mutable_attribute()->rbegin()->set_s("SAME_UPPER");
                return out;
              }),
              HasSubstr("SAME_UPPER"));
  EXPECT_THAT(bad([](OnnxFile& f) {
                std::string out = f.conv("images", {.out = 4, .in = 3});
                f.attribute("kernel_shape", Dims{5, 5});
                return out;
              }),
              HasSubstr("5x5"));
  EXPECT_THAT(bad([](OnnxFile& f) {
                return f.conv("images", {.out = 4, .in = 3, .pads = {-1, 0, 0, 0}});
              }),
              HasSubstr("out of range"));
  EXPECT_THAT(bad([](OnnxFile& f) { return f.conv("images", {.out = 4, .in = 3, .stride_h = 0}); }),
              HasSubstr("out of range"));
  EXPECT_THAT(bad([](OnnxFile& f) {
                std::string out = f.conv("images", {.out = 4, .in = 3});
                f.last_node().mutable_attribute(2)->set_i(3);
                return out;
              }),
              HasSubstr("groups"));
  EXPECT_THAT(bad([](OnnxFile& f) {
                std::string out = f.batch_norm("images", 3);
                f.attribute("training_mode", std::int64_t{1});
                return out;
              }),
              HasSubstr("training mode"));
  EXPECT_THAT(
      bad([](OnnxFile& f) {
        const std::string one = f.tensor({3}, {1, 1, 1}), zero = f.tensor({3}, {0, 0, 0});
        return f.node("BatchNormalization", {"images", one, zero, zero, f.tensor({3}, {1, 1, -1})});
      }),
      HasSubstr("variance"));
  EXPECT_THAT(bad([](OnnxFile& f) {
                std::string out = f.dense(f.average("images"), 3, 10);
                f.attribute("alpha", 0.5f);
                return out;
              }),
              HasSubstr("alpha"));
  EXPECT_THAT(bad([](OnnxFile& f) {
                std::string out = f.node("ReduceMean", {"images"});
                f.attribute("axes", Dims{1});
                return out;
              }),
              HasSubstr("axes [1]"));
  EXPECT_THAT(bad([](OnnxFile& f) {
                return f.add("images", f.weights({1, 3, 8, 8}, 1));
              }),
              AllOf(HasSubstr("constants"), HasSubstr("1x3x8x8")));
}

TEST(OnnxReader, NamesTheLayerWhoseWeightsAreNotFinite) {
  for (const float wrong :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    OnnxFile file({2});
    const std::string output = file.node("Gemm", {"images", file.tensor({2, 2}, {1, wrong, 2, 3})});
    file.last_node().set_name("fc");
    EXPECT_THAT(error_of(file.network(output), ErrorCode::BadNetwork),
                AllOf(HasSubstr("fc"), HasSubstr("NaN or infinite")));
  }
}

TEST(OnnxReader, AcceptsALayerOfZeros) {
  OnnxFile file({2});
  EXPECT_TRUE(file.network(file.node("Gemm", {"images", file.tensor({2, 2}, {0, 0, 0, 0})})));
}

TEST(OnnxReader, RefusesWeightsThatAreNotThere) {
  OnnxFile file;
  const std::string output = file.conv("images", {.out = 4, .in = 3});
  file.model.mutable_graph()->mutable_node(0)->set_input(1, "nowhere");
  EXPECT_THAT(error_of(file.network(output), ErrorCode::BadNetwork),
              AllOf(HasSubstr("nowhere"), HasSubstr("Conv_1")));
  file.model.mutable_graph()->mutable_node(0)->mutable_input()->RemoveLast();
  EXPECT_THAT(error_of(file.network(output), ErrorCode::BadNetwork), HasSubstr("missing"));
}

TEST(OnnxReader, RefusesWeightsInASeparateFile) {
  OnnxFile file;
  const std::string output = small(file);
  file.model.mutable_graph()->mutable_initializer(0)->set_data_location(
      onnx::TensorProto::EXTERNAL);
  EXPECT_THAT(error_of(file.network(output), ErrorCode::BadNetwork), HasSubstr("separate file"));
}

TEST(OnnxReader, RefusesOtherNumbersThanFloat32) {
  OnnxFile file;
  const std::string output = small(file);
  file.model.mutable_graph()->mutable_initializer(0)->set_data_type(onnx::TensorProto::FLOAT16);
  EXPECT_THAT(error_of(file.network(output), ErrorCode::BadNetwork), HasSubstr("float32"));
}

TEST(OnnxReader, RefusesATensorWithMoreOrFewerNumbersThanItsShape) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{7}, std::size_t{4 * 107}, std::size_t{4 * 109}}) {
    OnnxFile file;
    const std::string output = small(file);
    file.model.mutable_graph()->mutable_initializer(0)->set_raw_data(std::string(size, '\0'));
    EXPECT_THAT(error_of(file.network(output), ErrorCode::BadFile),
                AllOf(HasSubstr("108"), HasSubstr("Conv_1")));
  }
}

TEST(OnnxReader, RefusesImpossibleTensorShapes) {
  for (const Dims& dims : {Dims{4, 3, -3, 3}, Dims{4, 3, 0, 3}, Dims{1 << 19, 1 << 19, 3, 3}}) {
    OnnxFile file;
    const std::string output = small(file);
    auto* tensor = file.model.mutable_graph()->mutable_initializer(0);
    tensor->clear_dims();
    for (const std::int64_t size : dims) tensor->add_dims(size);
    EXPECT_THAT(error_of(file.network(output), ErrorCode::BadNetwork),
                HasSubstr("impossible shape"));
  }
}

TEST(OnnxReader, RefusesInputsThatHaveNoFixedSize) {
  const auto with_axes = [](const Dims& axes) {
    OnnxFile file(axes);
    return error_of(file.network(file.relu("images")), ErrorCode::BadNetwork);
  };
  EXPECT_THAT(with_axes({3, 0, 32}), HasSubstr("no fixed size"));
  EXPECT_THAT(with_axes({3, -1, 32}), HasSubstr("no fixed size"));
  EXPECT_THAT(with_axes({3, 32}), HasSubstr("axes"));
  EXPECT_THAT(with_axes({1 << 20, 1 << 20, 1 << 20}), HasSubstr("too large"));
}

TEST(OnnxReader, RefusesSeveralInputsOrOutputs) {
  OnnxFile file;
  const std::string output = file.relu("images");
  const auto bytes_with = [&](auto change) {
    file.bytes(output);
    onnx::ModelProto changed = file.model;
    change(*changed.mutable_graph());
    const std::string text = changed.SerializeAsString();
    return error_of(parse_network(std::as_bytes(std::span(text)), "t"), ErrorCode::BadNetwork);
  };
  EXPECT_THAT(bytes_with([](onnx::GraphProto& g) { *g.add_input() = g.input(0); }),
              HasSubstr("several inputs"));
  EXPECT_THAT(bytes_with([](onnx::GraphProto& g) { g.clear_input(); }), HasSubstr("no input"));
  EXPECT_THAT(bytes_with([](onnx::GraphProto& g) { *g.add_output() = g.output(0); }),
              HasSubstr("2 outputs"));
  EXPECT_THAT(bytes_with([](onnx::GraphProto& g) { g.mutable_output(0)->set_name("lost"); }),
              HasSubstr("lost"));
  EXPECT_THAT(bytes_with([](onnx::GraphProto& g) { g.mutable_output(0)->set_name("images"); }),
              HasSubstr("is its input"));
}

TEST(OnnxReader, RefusesANodeBeforeItsInput) {
  OnnxFile file;
  const std::string output = small(file);
  file.model.mutable_graph()->mutable_node()->SwapElements(0, 2);
  EXPECT_THAT(error_of(file.network(output), ErrorCode::BadNetwork),
              HasSubstr("nothing before it makes"));
}

TEST(OnnxReader, RefusesOperatorSetsBefore7) {
  OnnxFile file;
  file.model.mutable_opset_import(0)->set_version(6);
  EXPECT_THAT(error_of(file.network(file.relu("images")), ErrorCode::BadNetwork),
              HasSubstr("operator set 6"));
}

TEST(OnnxReader, NeverAcceptsATruncatedFile) {
  OnnxFile file;
  const std::string output = small(file);
  const std::vector<std::byte> whole = file.bytes(output);
  const auto bytes = std::span(whole);
  ASSERT_TRUE(parse_network(bytes, "t"));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = parse_network(bytes.first(size), "t");
    ASSERT_FALSE(cut.has_value()) << size << " of " << bytes.size() << " bytes";
    ASSERT_EQ(cut.error().code, ErrorCode::BadFile) << size << " bytes: " << cut.error().message;
  }
}

TEST(OnnxReader, SurvivesEveryDamagedByte) {
  OnnxFile file;
  const std::string output = small(file);
  std::vector<std::byte> bytes = file.bytes(output);
  std::size_t refused = 0;
  for (std::byte& byte : bytes) {
    const std::byte kept = byte;
    for (const std::byte flip : {std::byte{0x01}, std::byte{0x80}, std::byte{0xff}}) {
      byte = kept ^ flip;
      const auto network = parse_network(bytes, "t");
      if (network) {
        EXPECT_EQ(network->shapes.size(), network->nodes.size() + 1);
      } else {
        EXPECT_FALSE(network.error().message.empty());
        ++refused;
      }
    }
    byte = kept;
  }
  EXPECT_GT(refused, 100u);
}

TEST(OnnxReader, TellsAMissingFileFromOneThatIsNoNetwork) {
  const test::TemporaryFolder folder;
  EXPECT_THAT(error_of(load_network(folder.path() / "lost.onnx"), ErrorCode::NotFound),
              HasSubstr("lost.onnx"));
  const std::string text = "this is no network";
  const auto file = folder.write("text.onnx", std::as_bytes(std::span(text)));
  EXPECT_THAT(error_of(load_network(file), ErrorCode::BadFile), HasSubstr("text"));
  EXPECT_THAT(error_of(load_network(folder.path()), ErrorCode::Io),
              HasSubstr(folder.path().string()));
}

TEST(OnnxReader, LoadsAFileAndKeepsItsBytesAndName) {
  const test::TemporaryFolder folder;
  OnnxFile source;
  const std::vector<std::byte> bytes = source.bytes(small(source));
  const Network network = load_network(folder.write("mine.onnx", bytes)).value();
  EXPECT_EQ(network.name, "mine");
  EXPECT_EQ(network.file, bytes);
}

}  // namespace
}  // namespace pcmlab
