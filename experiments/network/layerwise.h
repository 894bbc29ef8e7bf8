// SPDX-License-Identifier: Apache-2.0
/// \file
/// A network computed one node after another, so that the values in between can be measured and
/// changed: statistics of batch norms, converters around analog layers. Slower than an Executor
/// with merged nodes. Internal to inference.cpp.
///
/// Thread rule: several threads may run one network at once, each in a LayerwiseSpace of its own;
/// setters only while none does.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "experiments/network/activations.h"
#include "experiments/network/executor.h"
#include "experiments/network/network.h"

namespace pcmlab {

/// Memory of one batch on its way through the network.
struct LayerwiseSpace {
  explicit LayerwiseSpace(const Executor& executor) : workspace(executor) {}
  Workspace workspace;
  std::vector<float> kept;  ///< a value while a converter has changed it
};

class LayerwiseNetwork {
 public:
  /// \param network  must outlive it.
  LayerwiseNetwork(const Network& network, Precision precision, int batch);
  LayerwiseNetwork(const LayerwiseNetwork&) = delete;
  LayerwiseNetwork& operator=(const LayerwiseNetwork&) = delete;

  /// For the weights of its analog steps.
  Executor& executor() { return executor_; }

  /// What a batch norm normalises with from now on. \param norm  in node order, as all below.
  void set_norm(std::size_t norm, const BatchNormStatistics& statistics);
  /// Converters of an analog layer, in node order; float32 only.
  void set_converters(std::size_t layer, std::optional<Quantiser> input,
                      std::optional<Quantiser> output);

  /// The whole network. \return logits of a batch, valid until the space is used again.
  std::span<const float> run(LayerwiseSpace& space, const float* pixels) const;

  /// Looks at what goes into and comes out of every analog layer, before any converter.
  using Watch = std::function<void(std::size_t layer, bool output, std::span<const float> values)>;
  void watch(LayerwiseSpace& space, const float* pixels, std::size_t images,
             const Watch& watch) const;

  // The same up to a batch norm: load(), then run_to() for one norm after another.
  std::size_t norms() const { return norms_.size(); }
  void load(LayerwiseSpace& space, const float* pixels) const { space.workspace.load(pixels); }
  void run_to(LayerwiseSpace& space, std::size_t norm) const;
  /// Of the norm's input. \param shift  by channel, near the mean.
  ChannelMoments moments(LayerwiseSpace& space, std::size_t norm, std::size_t images,
                         std::span<const float> shift) const;

 private:
  /// Steps of the computation that run in one go: a batch norm with the addition and the ReLU
  /// behind it, or one step of another kind.
  struct Unit {
    std::size_t step = 0;
    int norm = kNone, layer = kNone;
    ValueId input = 0, summand = kNone, output = 0;
    bool relu = false;
    bool read_again = false;     ///< the input, by another node
    bool laid_out_anew = false;  ///< a batch norm whose output lies otherwise in memory
  };
  struct Norm {
    std::size_t unit = 0;
    const BatchNormNode* node = nullptr;
    std::vector<float> slope, offset;  ///< by channel, 0 for those that only pad
  };
  struct Converters {
    std::optional<Quantiser> input, output;
  };

  void plan_units();
  std::size_t plan_norm(std::size_t step, Unit& unit) const;
  std::size_t readers(ValueId value) const;
  template <class Kind>
  bool is(std::size_t step) const;
  void run_unit(LayerwiseSpace& space, const Unit& unit) const;
  void run_analog(LayerwiseSpace& space, const Unit& unit) const;
  std::span<float> values_of(LayerwiseSpace& space, ValueId value, std::size_t images) const;

  const Network& network_;
  Precision precision_;
  Executor executor_;
  std::vector<Unit> units_;
  std::vector<Norm> norms_;
  std::vector<Converters> converters_;  ///< by analog layer
};

}  // namespace pcmlab
