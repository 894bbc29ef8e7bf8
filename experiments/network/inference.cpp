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
#include "experiments/network/layerwise.h"
#include "experiments/network/share_jobs.h"

namespace pcmlab {
namespace {

constexpr std::size_t index_of(int i) { return static_cast<std::size_t>(i); }

/// \return the first of the largest; none with a NaN among them.
std::optional<std::size_t> largest(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (std::isnan(logits[i])) return std::nullopt;
    if (logits[i] > logits[best]) best = i;
  }
  return best;
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
        input_of_norm.push_back(network.nodes[i].inputs[0]);
      }
    }
    const int threads = omp_get_max_threads();
    workers.reserve(index_of(threads));
    for (int i = 0; i < threads; ++i) workers.emplace_back(executor);
    fill(executor);
  }

  void changed() {
    fill(executor);
    stale = true;
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
    const bool behind_converter = &target != &executor && converters.output_bits > 0;
    scale.assign(rows, behind_converter ? 1.0f : 1.0f / divisor);
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

  Result<void> need_float32() const {
    if (precision == Precision::Float32) return {};
    return fail(ErrorCode::Unsupported,
                "converters need float32: bfloat16 has 8 bits of its own and would round again",
                "Choose float32.");
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
    const bool converting = converters.input_bits > 0 || converters.output_bits > 0;
    if (converting) prepare_layerwise(workers.size());
    return each(batches, [&](std::size_t worker, std::size_t batch) -> Result<void> {
      std::vector<float> pixels;
      PCM_TRY(batches.read(batch, pixels));
      const std::span<const float> logits = converting
                                                ? layerwise->run(spaces[worker], pixels.data())
                                                : workers[worker].run(pixels.data());
      for (std::size_t i = 0; i < batches.filled(batch); ++i) {
        use(batch * batches.size + i, logits.subspan(i * width, width));
      }
      return {};
    });
  }

  /// The layerwise network with weights, norms and converters of now, and memory for `batches`.
  void prepare_layerwise(std::size_t batches) {
    if (!layerwise) layerwise.emplace(network, precision, executor.batch());
    while (spaces.size() < batches) spaces.emplace_back(layerwise->executor());
    if (!stale) return;
    stale = false;
    fill(layerwise->executor());
    for (std::size_t norm = 0; norm < norms.size(); ++norm) {
      layerwise->set_norm(norm, norms[norm]);
    }
    for (std::size_t layer = 0; layer < weights.layers.size(); ++layer) {
      std::optional<Quantiser> input, output;
      if (converters.input_bits > 0) {
        const ConverterRange& range = converters.ranges[layer];
        input = Quantiser::of(converters.input_bits, range.input, range.input_signed);
      }
      if (converters.output_bits > 0) {
        output = Quantiser::of(converters.output_bits, converters.ranges[layer].output, true,
                               1 / divisors[layer]);
      }
      layerwise->set_converters(layer, input, output);
    }
  }

  /// All batches come to a batch norm before any goes on behind it.
  Result<std::vector<BatchNormStatistics>> measure(const Dataset& images, std::size_t first,
                                                   std::size_t count) {
    const Batches batches(images, first, count, executor.batch());
    prepare_layerwise(batches.number());
    stale = true;  // its norms are the mini-batch's from here on
    std::vector<BatchNormStatistics> measured;
    std::vector<ChannelMoments> parts(batches.number());
    for (std::size_t norm = 0; norm < norms.size(); ++norm) {
      const std::vector<float>& centre = norms[norm].mean;
      PCM_TRY(each(batches, [&](std::size_t, std::size_t i) -> Result<void> {
        if (norm == 0) {
          std::vector<float> pixels;
          PCM_TRY(batches.read(i, pixels));
          layerwise->load(spaces[i], pixels.data());
        }
        layerwise->run_to(spaces[i], norm);
        parts[i] = layerwise->moments(spaces[i], norm, batches.filled(i), centre);
        return {};
      }));
      const ValueShape& shape = network.shapes[index_of(input_of_norm[norm])];
      const double values =
          static_cast<double>(count * index_of(shape.height) * index_of(shape.width));
      // Added in the order of the batches: the same on any number of threads.
      BatchNormStatistics statistics;
      for (std::size_t c = 0; c < centre.size(); ++c) {
        double sum = 0, squares = 0;
        for (const ChannelMoments& part : parts) {
          sum += part.sums[c];
          squares += part.squares[c];
        }
        const double off = sum / values;
        statistics.mean.push_back(static_cast<float>(static_cast<double>(centre[c]) + off));
        statistics.variance.push_back(
            static_cast<float>(std::max(0.0, squares / values - off * off)));
      }
      layerwise->set_norm(norm, statistics);
      measured.push_back(std::move(statistics));
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

  Result<std::vector<ConverterRange>> measure_ranges(const Dataset& images, std::size_t first,
                                                     std::size_t count, double fraction) {
    const Batches batches(images, first, count, executor.batch());
    prepare_layerwise(workers.size());
    struct Seen {
      MagnitudeHistogram input, output;
    };
    std::vector<std::vector<Seen>> seen(workers.size(), std::vector<Seen>(weights.layers.size()));
    PCM_TRY(each(batches, [&](std::size_t worker, std::size_t i) -> Result<void> {
      std::vector<float> pixels;
      PCM_TRY(batches.read(i, pixels));
      layerwise->watch(
          spaces[worker], pixels.data(), batches.filled(i),
          [&](std::size_t layer, bool output, std::span<const float> values) {
            Seen& of_layer = seen[worker][layer];
            (output ? of_layer.output : of_layer.input).add(values.data(), values.size());
          });
      return {};
    }));
    std::vector<ConverterRange> ranges;
    for (std::size_t layer = 0; layer < weights.layers.size(); ++layer) {
      Seen& all = seen[0][layer];
      for (std::size_t worker = 1; worker < seen.size(); ++worker) {
        all.input.add(seen[worker][layer].input);
        all.output.add(seen[worker][layer].output);
      }
      ranges.push_back(
          {all.input.quantile(fraction), all.output.quantile(fraction), all.input.any_negative()});
    }
    return ranges;
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
  std::vector<ValueId> input_of_norm;
  Converters converters;
  std::optional<LayerwiseNetwork> layerwise;  ///< made when first needed
  std::vector<LayerwiseSpace> spaces;         ///< of `layerwise`, one a batch or worker
  bool stale = true;                          ///< `layerwise` is not as set up
  std::vector<float> scale, shift;            ///< of one layer at a time
};

std::int64_t Confusion::correct() const {
  std::int64_t correct = 0;
  const std::size_t width = index_of(classes);
  for (std::size_t c = 0; c < width; ++c) correct += counts[c * width + c];
  return correct;
}

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
  impl_->changed();
}

void InferenceEngine::set_output_divisors(std::span<const float> divisors) {
  require_size(divisors.size(), impl_->divisors.size(), "output divisors");
  impl_->divisors.assign(divisors.begin(), divisors.end());
  impl_->changed();
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
  impl_->changed();
}

Result<void> InferenceEngine::set_converters(const Converters& converters) {
  if (converters.input_bits > 0 || converters.output_bits > 0) {
    PCM_TRY(impl_->need_float32());
    require_size(converters.ranges.size(), impl_->weights.layers.size(), "converter ranges");
  }
  impl_->converters = converters;
  impl_->stale = true;
  return {};
}

Result<std::vector<ConverterRange>> InferenceEngine::measure_converter_ranges(const Dataset& images,
                                                                              std::size_t first,
                                                                              std::size_t count,
                                                                              double fraction) {
  PCM_TRY(impl_->need_float32());
  PCM_TRY(impl_->check(images, first, count));
  return impl_->measure_ranges(images, first, count, fraction);
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

Result<Confusion> InferenceEngine::classify(const Dataset& images) {
  PCM_TRY(impl_->check(images, 0, images.count()));
  if (impl_->classes() != index_of(images.classes)) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("network {} tells {} classes apart, {} has {}", impl_->network.name,
                            impl_->classes(), images.name, images.classes),
                "Choose the dataset that the network was trained on.");
  }
  const std::size_t classes = impl_->classes();
  std::vector<std::atomic<std::uint32_t>> counts(classes * classes);
  const auto count = [&](std::size_t image, std::span<const float> logits) {
    const std::size_t label = images.labels[image];
    const auto taken_for = largest(logits);
    if (!taken_for || label >= classes) return;
    counts[label * classes + *taken_for].fetch_add(1, std::memory_order_relaxed);
  };
  PCM_TRY(impl_->run(images, 0, images.count(), count));
  return Confusion{images.classes, {counts.begin(), counts.end()}};
}

Result<std::int64_t> InferenceEngine::count_correct(const Dataset& images) {
  PCM_ASSIGN(const Confusion confusion, classify(images));
  return confusion.correct();
}

}  // namespace pcmlab
