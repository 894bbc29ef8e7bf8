// SPDX-License-Identifier: Apache-2.0
/// \file
/// A feed-forward network as a list of nodes, read from an ONNX file. Plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "protocol/error.h"

namespace pcmlab {

/// Index of a value (tensor) that flows between nodes; value 0 is the network's input.
using ValueId = int;

/// 2-d convolution without bias of its own unless the file gave one.
struct ConvNode {
  int out_channels = 0, in_channels = 0;  ///< in_channels of the whole input
  int kernel_h = 0, kernel_w = 0;
  int stride_h = 1, stride_w = 1;
  int dilation_h = 1, dilation_w = 1;
  std::array<int, 4> pads{};  ///< top, left, bottom, right
  int groups = 1;
  std::vector<float> weights;  ///< [out][in / groups][kh][kw]
  std::vector<float> bias;     ///< empty or [out]
};
/// Statistics are kept apart from the convolution so that they can be changed.
struct BatchNormNode {
  std::vector<float> gamma, beta, mean, variance;  ///< [channels]
  float epsilon = 1e-5f;
};
struct ReluNode {};
/// A function of each number by itself.
struct ActivationNode {
  enum class Function {
    LeakyRelu,  ///< x, below zero alpha x
    Elu,        ///< x, below zero alpha (e^x - 1)
    Clip,       ///< x within alpha .. beta
    Linear,     ///< alpha x + beta
    Sigmoid,
    Tanh,
    HardSwish  ///< x clip(x + 3, 0, 6) / 6
  };
  Function function = Function::Linear;
  float alpha = 1, beta = 0;
};
struct AddNode {};  ///< two inputs of one shape
/// Two inputs of one shape; the second may also be 1 x 1 or have one channel.
struct MultiplyNode {};
/// scale * x + shift with constants of the file; not a batch norm: nothing measures it again.
struct ScaleNode {
  std::vector<float> scale, shift;  ///< [channels]
};
struct GlobalAverageNode {};  ///< mean over height and width
struct PoolNode {
  enum class Kind { Max, Average };
  Kind kind = Kind::Max;
  int kernel_h = 0, kernel_w = 0;
  int stride_h = 1, stride_w = 1;
  int dilation_h = 1, dilation_w = 1;  ///< 1 for averages
  std::array<int, 4> pads{};           ///< top, left, bottom, right
  bool ceil = false;                   ///< a last window may hang over the padding
  bool count_pads = false;             ///< an average divides by the whole window
};
struct ConcatNode {};  ///< channels of inputs of one height and width, one behind the other
struct PadNode {
  std::array<int, 4> pads{};  ///< zeros: top, left, bottom, right
};
/// The same numbers in the order [channel][row][column] as another shape.
struct ReshapeNode {
  int channels = 0, height = 1, width = 1;
};
struct SoftmaxNode {
  bool logarithm = false;  ///< over the channels of each pixel
};
struct DenseNode {
  int out_features = 0, in_features = 0;
  std::vector<float> weights;  ///< [out][in]
  std::vector<float> bias;     ///< empty or [out]
};

using NodeKind = std::variant<ConvNode, BatchNormNode, ReluNode, AddNode, GlobalAverageNode,
                              DenseNode, ActivationNode, MultiplyNode, ScaleNode, PoolNode,
                              ConcatNode, PadNode, ReshapeNode, SoftmaxNode>;

struct Node {
  std::string name;  ///< from the file, or operator and number
  NodeKind kind;
  std::vector<ValueId> inputs;
  ValueId output = 0;
  bool digital = false;     ///< a Conv or Dense whose weights stay in software
  std::string module = {};  ///< whose ".weight" a Conv or Dense has, as PyTorch names it, or empty
};

/// Shape of a value without the batch: channels, height, width (1 x 1 for vectors).
struct ValueShape {
  int channels = 0, height = 0, width = 0;
  bool operator==(const ValueShape&) const = default;
};

struct Network {
  std::string name;
  std::string sha256;              ///< of the file
  std::vector<std::byte> file;     ///< the file itself, for the run's provenance
  std::vector<Node> nodes;         ///< in an order in which each node's inputs are ready
  std::vector<ValueShape> shapes;  ///< by ValueId
  ValueId output = 0;              ///< the logits
  std::map<std::string, std::string> metadata;  ///< the file's metadata_props
};

/// Shape of a node's output; `inputs` are the shapes of its inputs.
/// Errors: BadNetwork (shapes that do not fit, with the node's name).
Result<ValueShape> output_shape(const Node& node, std::span<const ValueShape> inputs);

/// A network inside the program: "resnet32-fashion-mnist", "resnet32-cifar-10".
Result<Network> load_builtin_network(std::string_view name);
std::vector<std::string> builtin_networks();

/// Errors: NotFound, BadFile (not ONNX, truncated), BadNetwork (an operator or shape that cannot be
/// run, with the node's name; NaN or infinite weights).
Result<Network> load_network(const std::filesystem::path& file);
Result<Network> parse_network(std::span<const std::byte> onnx, std::string name);

// ---- weights of the analog layers --------------------------------------------------------------

/// One layer whose weights live on the chip: a Conv or Dense node, as a matrix of outputs x inputs,
/// row-major. A bias is the last column: its input is constant 1.
struct AnalogLayer {
  std::string name;
  int node = 0;  ///< index into Network::nodes
  std::int64_t rows = 0;
  std::int64_t columns = 0;
  std::int64_t first_weight = 0;
};

/// Weights of some layers in one vector, layer after layer, in node order.
struct WeightSet {
  std::vector<AnalogLayer> layers;
  std::vector<float> values;
};

/// Makes layers digital, all others analog. A layer is called by its node's name, by its module's,
/// or "first" and "last".
/// Errors: BadNetwork (a name that no layer has, two layers of that name; no layer left for the
/// chip).
Result<void> choose_digital_layers(Network& network, std::span<const std::string> names);

/// Weights of the analog layers.
WeightSet weights_of(const Network& network);
/// Weights of the digital layers.
WeightSet digital_weights_of(const Network& network);

}  // namespace pcmlab
