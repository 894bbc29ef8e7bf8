// SPDX-License-Identifier: Apache-2.0
#include "tests/experiments/network/onnx_file.h"

#include <cmath>
#include <cstring>

namespace pcmlab::test {

std::vector<float> random_numbers(std::mt19937& random, std::size_t count, float width) {
  std::normal_distribution<float> normal(0.0f, width);
  std::vector<float> numbers(count);
  for (float& number : numbers) number = normal(random);
  return numbers;
}

OnnxFile::OnnxFile(const Dims& input, std::uint32_t seed) : random_(seed) {
  model.set_ir_version(7);
  model.add_opset_import()->set_version(13);
  auto* images = model.mutable_graph()->add_input();
  images->set_name("images");
  auto* type = images->mutable_type()->mutable_tensor_type();
  type->set_elem_type(onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("batch");
  for (const std::int64_t size : input) type->mutable_shape()->add_dim()->set_dim_value(size);
}

std::string OnnxFile::conv(const std::string& input, const ConvShape& shape) {
  const int ins = shape.in / shape.groups;
  const float width = 1.0f / std::sqrt(static_cast<float>(ins * shape.kernel_h * shape.kernel_w));
  std::vector<std::string> inputs{input,
                                  weights({shape.out, ins, shape.kernel_h, shape.kernel_w}, width)};
  if (shape.bias) inputs.push_back(weights({shape.out}, 0.5f));
  std::string output = node("Conv", inputs);
  attribute("strides", Dims{shape.stride_h, shape.stride_w});
  attribute("pads", shape.pads);
  attribute("group", std::int64_t{shape.groups});
  return output;
}

std::string OnnxFile::batch_norm(const std::string& input, int channels) {
  std::vector<float> variance = random_numbers(random_, static_cast<std::size_t>(channels), 0.2f);
  for (float& v : variance) v = 0.5f + std::abs(v);
  const Dims dims{channels};
  return node("BatchNormalization", {input, weights(dims, 1.0f), weights(dims, 0.3f),
                                     weights(dims, 0.3f), tensor(dims, variance)});
}

std::string OnnxFile::average(const std::string& input) {
  std::string output = node("ReduceMean", {input});
  attribute("axes", Dims{2, 3});
  attribute("keepdims", std::int64_t{0});
  return output;
}

std::string OnnxFile::dense(const std::string& input, int in, int out, bool bias) {
  std::vector<std::string> inputs{input,
                                  weights({out, in}, 1.0f / std::sqrt(static_cast<float>(in)))};
  if (bias) inputs.push_back(weights({out}, 0.5f));
  std::string output = node("Gemm", inputs);
  attribute("transB", std::int64_t{1});
  return output;
}

std::string OnnxFile::node(const std::string& op, const std::vector<std::string>& inputs) {
  auto* added = model.mutable_graph()->add_node();
  added->set_op_type(op);
  added->set_name("/" + op + "_" + std::to_string(made_++));
  for (const std::string& input : inputs) added->add_input(input);
  added->add_output(added->name() + "_output");
  return added->output(0);
}

void OnnxFile::attribute(const std::string& name, std::int64_t value) {
  auto* added = last_node().add_attribute();
  added->set_name(name);
  added->set_type(onnx::AttributeProto::INT);
  added->set_i(value);
}

void OnnxFile::attribute(const std::string& name, const Dims& values) {
  auto* added = last_node().add_attribute();
  added->set_name(name);
  added->set_type(onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) added->add_ints(value);
}

void OnnxFile::attribute(const std::string& name, float value) {
  auto* added = last_node().add_attribute();
  added->set_name(name);
  added->set_type(onnx::AttributeProto::FLOAT);
  added->set_f(value);
}

std::string OnnxFile::weights(const Dims& dims, float width) {
  std::size_t count = 1;
  for (const std::int64_t size : dims) count *= static_cast<std::size_t>(size);
  return tensor(dims, random_numbers(random_, count, width));
}

std::string OnnxFile::tensor(const Dims& dims, const std::vector<float>& numbers) {
  auto* added = model.mutable_graph()->add_initializer();
  added->set_name("tensor_" + std::to_string(made_++));
  added->set_data_type(onnx::TensorProto::FLOAT);
  for (const std::int64_t size : dims) added->add_dims(size);
  std::string raw(numbers.size() * sizeof(float), '\0');
  std::memcpy(raw.data(), numbers.data(), raw.size());
  added->set_raw_data(raw);
  return added->name();
}

std::string OnnxFile::integers(const std::vector<std::int64_t>& numbers) {
  auto* added = model.mutable_graph()->add_initializer();
  added->set_name("tensor_" + std::to_string(made_++));
  added->set_data_type(onnx::TensorProto::INT64);
  added->add_dims(static_cast<std::int64_t>(numbers.size()));
  for (const std::int64_t number : numbers) added->add_int64_data(number);
  return added->name();
}

std::vector<std::byte> OnnxFile::bytes(const std::string& output) {
  model.mutable_graph()->clear_output();
  model.mutable_graph()->add_output()->set_name(output);
  const std::string text = model.SerializeAsString();
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

}  // namespace pcmlab::test
