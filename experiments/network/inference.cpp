// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/inference.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optional>
#include <stdexcept>

#include "experiments/network/executor.h"
#include "experiments/network/share_jobs.h"

namespace pcmlab {
namespace {

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

/// \return whether the label's logit is the first of the largest; never with a NaN among them.
bool is_largest(std::span<const float> logits, std::size_t label) {
  if (label >= logits.size()) return false;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (i < label ? !(logits[i] < logits[label]) : !(logits[i] <= logits[label])) return false;
  }
  return true;
}

void require_size(std::size_t given, std::size_t wanted, const char* what) {
  if (given != wanted) {
    throw std::invalid_argument(fmt::format("{} {} instead of {}", given, what, wanted));
  }
}

}  // namespace

std::string_view to_string(Precision precision) {
  return precision == Precision::Bfloat16 ? "bfloat16" : "float32";
}

Precision fastest_precision() {
  return cpu_has(dnnl::cpu_isa::avx512_core_bf16) ? Precision::Bfloat16 : Precision::Float32;
}

struct InferenceEngine::Impl {
  Impl(const Network& source, Precision wanted, int batch)
      : network(source),
        precision(wanted),
        weights(weights_of(network)),
        digital(digital_weights_of(network)),
        divisors(weights.layers.size(), 1.0f),
        layer_of(network.nodes.size(), kNone),
        norm_of(network.nodes.size(), kNone),
        executor(network, computation_of(network, Fusion::Full), precision, batch) {
    for (std::size_t layer = 0; layer < weights.layers.size(); ++layer) {
      layer_of[index_of(weights.layers[layer].node)] = static_cast<int>(layer);
    }
    for (std::size_t i = 0; i < network.nodes.size(); ++i) {
      if (const auto* norm = std::get_if<BatchNormNode>(&network.nodes[i].kind)) {
        norm_of[i] = static_cast<int>(norms.size());
        norms.push_back({norm->mean, norm->variance});
      }
    }
    const int threads = omp_get_max_threads();
    workers.reserve(index_of(threads));
    for (int i = 0; i < threads; ++i) workers.emplace_back(executor);
    fill(executor);
  }

  /// Puts weights, divisors and batch norms into an executor.
  void fill(Executor& target) {
    const auto& steps = target.computation().steps;
    for (const AnalogLayer& layer : digital.layers) {
      const auto step = std::find_if(steps.begin(), steps.end(), [&](const ComputationStep& s) {
        return s.node == layer.node;
      });
      fill_layer(target, static_cast<std::size_t>(step - steps.begin()), digital, layer, 1.0f);
    }
    for (std::size_t s = 0; s < steps.size(); ++s) {
      const std::size_t node = index_of(steps[s].node);
      if (layer_of[node] != kNone) {
        const std::size_t layer = index_of(layer_of[node]);
        fill_layer(target, s, weights, weights.layers[layer], divisors[layer]);
      }
      if (norm_of[node] != kNone) {
        const BatchNormStatistics& norm = norms[index_of(norm_of[node])];
        target.set_batch_norm(s, norm.mean, norm.variance);
      }
    }
  }

  /// The divisor and the merged batch norm become a scale and a shift of each row.
  void fill_layer(Executor& target, std::size_t step, const WeightSet& set,
                  const AnalogLayer& layer, float divisor) {
    const auto rows = static_cast<std::size_t>(layer.rows);
    scale.assign(rows, 1.0f / divisor);
    shift.assign(rows, 0.0f);
    if (const int node = target.computation().steps[step].batch_norm; node != kNone) {
      const auto& constants = std::get<BatchNormNode>(network.nodes[index_of(node)].kind);
      const BatchNormStatistics& norm = norms[index_of(norm_of[index_of(node)])];
      for (std::size_t row = 0; row < rows; ++row) {
        const float slope =
            constants.gamma[row] / std::sqrt(norm.variance[row] + constants.epsilon);
        scale[row] *= slope;
        shift[row] = constants.beta[row] - norm.mean[row] * slope;
      }
    }
    const auto first = static_cast<std::size_t>(layer.first_weight);
    const auto count = rows * static_cast<std::size_t>(layer.columns);
    target.set_weights(step, std::span(set.values).subspan(first, count), scale, shift);
  }

  std::size_t classes() const {
    const ValueShape& shape = network.shapes[index_of(network.output)];
    return index_of(shape.channels) * index_of(shape.height) * index_of(shape.width);
  }

  Result<void> check(const Dataset& images, std::size_t first, std::size_t count) const {
    const ValueShape& in = network.shapes[0];
    const ValueShape given{images.channels, images.height, images.width};
    const bool as_vector = in.height == 1 && in.width == 1 &&
                           in.channels == given.channels * given.height * given.width;
    if (in != given && !as_vector) {
      return fail(ErrorCode::BadNetwork,
                  fmt::format("network {} takes {}x{}x{} images, {} has {}x{}x{}", network.name,
                              in.channels, in.height, in.width, images.name, given.channels,
                              given.height, given.width),
                  "Choose the dataset that the network was trained on.");
    }
    if (first > images.count() || count > images.count() - first) {
      return fail(ErrorCode::Internal,
                  fmt::format("images {} to {} were asked for of {}, which has {}", first,
                              first + count, images.name, images.count()));
    }
    return {};
  }

  /// Images [first, first + count) of a dataset, cut into batches.
  struct Batches {
    Batches(const Dataset& set, std::size_t from, std::size_t number, int batch)
        : images(set), first(from), count(number), size(index_of(batch)) {}
    std::size_t number() const { return (count + size - 1) / size; }
    std::size_t filled(std::size_t index) const { return std::min(size, count - index * size); }
    /// Writes one batch; one partly filled is completed by zeros. On several threads at once.
    Result<void> read(std::size_t index, std::vector<float>& pixels) const {
      pixels.assign(size * images.image_size(), 0.0f);
      return images.read(first + index * size, filled(index),
                         std::span(pixels).first(filled(index) * images.image_size()));
    }

    const Dataset& images;
    std::size_t first, count, size;
  };

  /// Calls use(position in the range, logits) for each image. On several threads at once.
  template <class Use>
  Result<void> run(const Dataset& images, std::size_t first, std::size_t count, const Use& use) {
    const Batches batches(images, first, count, executor.batch());
    const std::size_t width = classes();
    return each(batches, [&](std::size_t worker, std::size_t batch) -> Result<void> {
      std::vector<float> pixels;
      PCM_TRY(batches.read(batch, pixels));
      const std::span<const float> logits = workers[worker].run(pixels.data());
      for (std::size_t i = 0; i < batches.filled(batch); ++i) {
        use(batch * batches.size + i, logits.subspan(i * width, width));
      }
      return {};
    });
  }

  /// All batches go through one step before any goes through the next.
  Result<std::vector<BatchNormStatistics>> measure(const Dataset& images, std::size_t first,
                                                   std::size_t count) {
    if (!measuring) {
      measuring.emplace(network, computation_of(network, Fusion::None), precision,
                        executor.batch());
    }
    fill(*measuring);
    const Batches batches(images, first, count, measuring->batch());
    while (spaces.size() < batches.number()) spaces.emplace_back(*measuring);
    PCM_TRY(each(batches, [&](std::size_t, std::size_t i) -> Result<void> {
      std::vector<float> pixels;
      PCM_TRY(batches.read(i, pixels));
      spaces[i].load(pixels.data());
      return {};
    }));
    std::vector<BatchNormStatistics> measured;
    const auto& steps = measuring->computation().steps;
    for (std::size_t s = 0; s < steps.size(); ++s) {
      if (norm_of[index_of(steps[s].node)] != kNone) {
        measured.push_back(statistics(batches, steps[s].input));
        measuring->set_batch_norm(s, measured.back().mean, measured.back().variance);
      }
      compute(batches, [&](std::size_t i) { spaces[i].run_step(s); });
    }
    return measured;
  }

  /// Calls work(worker, batch), which may fail, for each batch, on several threads at once.
  template <class Work>
  Result<void> each(const Batches& batches, const Work& work) {
    return share_jobs(workers.size(), batches.number(), [&](std::size_t worker, std::size_t i) {
      const SingleThreaded guard;
      return work(worker, i);
    });
  }

  /// The same for work(batch) that cannot fail.
  template <class Work>
  void compute(const Batches& batches, const Work& work) {
    const Result<void> done = each(batches, [&](std::size_t, std::size_t i) -> Result<void> {
      work(i);
      return {};
    });
    if (!done) throw std::logic_error(done.error().message);
  }

  /// Mean and variance of a value over all batches, per channel.
  BatchNormStatistics statistics(const Batches& batches, ValueId value) {
    const ValueShape& shape = network.shapes[index_of(value)];
    const std::size_t channels = index_of(shape.channels);
    const std::size_t pixels = index_of(shape.height) * index_of(shape.width);
    const double n = static_cast<double>(batches.count * pixels);
    std::vector<std::vector<float>> values(batches.number());
    compute(batches, [&](std::size_t i) { spaces[i].read_value(value, values[i]); });

    // Sums of each batch, added in the order of the batches: the same on any number of threads.
    std::vector<std::vector<double>> parts(batches.number());
    const auto average = [&](const auto& term) {
      compute(batches, [&](std::size_t i) {
        parts[i].assign(channels, 0.0);
        const float* row = values[i].data();
        for (std::size_t k = batches.filled(i) * pixels; k > 0; --k, row += channels) {
          for (std::size_t c = 0; c < channels; ++c) {
            parts[i][c] += term(static_cast<double>(row[c]), c);
          }
        }
      });
      std::vector<double> total(channels, 0.0);
      for (const auto& part : parts) {
        for (std::size_t c = 0; c < channels; ++c) total[c] += part[c] / n;
      }
      return total;
    };
    const std::vector<double> mean = average([](double v, std::size_t) { return v; });
    const std::vector<double> variance =
        average([&](double v, std::size_t c) { return (v - mean[c]) * (v - mean[c]); });
    return {std::vector<float>(mean.begin(), mean.end()),
            std::vector<float>(variance.begin(), variance.end())};
  }

  const Network network;
  const Precision precision;
  WeightSet weights;        ///< of the analog layers, as last set
  const WeightSet digital;  ///< of the digital layers, the network's own
  std::vector<float> divisors;
  std::vector<BatchNormStatistics> norms;
  std::vector<int> layer_of, norm_of;  ///< by node; kNone = not one of them
  Executor executor;
  std::vector<Workspace> workers;
  std::optional<Executor> measuring;  ///< one step a node; made when first needed
  std::vector<Workspace> spaces;      ///< of `measuring`, one a batch
  std::vector<float> scale, shift;    ///< of one layer at a time
};

InferenceEngine::InferenceEngine(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
InferenceEngine::InferenceEngine(InferenceEngine&&) noexcept = default;
InferenceEngine& InferenceEngine::operator=(InferenceEngine&&) noexcept = default;
InferenceEngine::~InferenceEngine() = default;

Result<InferenceEngine> InferenceEngine::create(const Network& network, Precision precision,
                                                int batch) {
  if (precision == Precision::Bfloat16 && fastest_precision() != Precision::Bfloat16) {
    return fail(ErrorCode::Unsupported, "this CPU has no bfloat16 instructions (avx512_bf16)",
                "Choose float32.");
  }
  try {
    return InferenceEngine(
        std::make_unique<Impl>(network, precision, batch > 0 ? batch : kDefaultBatch));
  } catch (const dnnl::error& error) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("oneDNN cannot run network {} in {}: {}", network.name,
                            to_string(precision), error.what()));
  }
}

void InferenceEngine::set_weights(std::span<const float> values) {
  require_size(values.size(), impl_->weights.values.size(), "weights");
  impl_->weights.values.assign(values.begin(), values.end());
  impl_->fill(impl_->executor);
}

void InferenceEngine::set_output_divisors(std::span<const float> divisors) {
  require_size(divisors.size(), impl_->divisors.size(), "output divisors");
  impl_->divisors.assign(divisors.begin(), divisors.end());
  impl_->fill(impl_->executor);
}

std::vector<BatchNormStatistics> InferenceEngine::batch_norms() const { return impl_->norms; }

void InferenceEngine::set_batch_norms(std::span<const BatchNormStatistics> statistics) {
  require_size(statistics.size(), impl_->norms.size(), "batch norms");
  for (std::size_t i = 0; i < statistics.size(); ++i) {
    BatchNormStatistics& norm = impl_->norms[i];
    require_size(statistics[i].mean.size(), norm.mean.size(), "means");
    require_size(statistics[i].variance.size(), norm.variance.size(), "variances");
    norm = statistics[i];
  }
  impl_->fill(impl_->executor);
}

Result<std::vector<BatchNormStatistics>> InferenceEngine::measure_batch_norms(const Dataset& images,
                                                                              std::size_t first,
                                                                              std::size_t count) {
  PCM_TRY(impl_->check(images, first, count));
  if (count == 0) return fail(ErrorCode::Internal, "batch norms cannot be measured on no images");
  return impl_->measure(images, first, count);
}

Result<std::vector<float>> InferenceEngine::logits(const Dataset& images, std::size_t first,
                                                   std::size_t count) {
  PCM_TRY(impl_->check(images, first, count));
  const std::size_t width = impl_->classes();
  std::vector<float> all(count * width);
  PCM_TRY(impl_->run(images, first, count, [&](std::size_t image, std::span<const float> logits) {
    std::copy(logits.begin(), logits.end(),
              all.begin() + static_cast<std::ptrdiff_t>(image * width));
  }));
  return all;
}

Result<std::int64_t> InferenceEngine::count_correct(const Dataset& images) {
  PCM_TRY(impl_->check(images, 0, images.count()));
  if (impl_->classes() != index_of(images.classes)) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("network {} tells {} classes apart, {} has {}", impl_->network.name,
                            impl_->classes(), images.name, images.classes),
                "Choose the dataset that the network was trained on.");
  }
  std::atomic<std::int64_t> correct{0};
  PCM_TRY(
      impl_->run(images, 0, images.count(), [&](std::size_t image, std::span<const float> logits) {
        if (is_largest(logits, images.labels[image]))
          correct.fetch_add(1, std::memory_order_relaxed);
      }));
  return correct.load();
}

}  // namespace pcmlab
