// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/inference.h"

#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "experiments/network/executor.h"

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

/// Calls work(worker, job) for every job, on as many threads as there are workers. A worker takes
/// the next job when it is done, so a busy core slows only its own. Rethrows the first exception.
template <class Work>
void share_jobs(std::size_t workers, std::size_t jobs, const Work& work) {
  std::atomic<std::size_t> next{0};
  std::exception_ptr failure;
  std::mutex failure_lock;
  const auto serve = [&](std::size_t worker) {
    const SingleThreaded guard;
    try {
      for (std::size_t job = next++; job < jobs; job = next++) work(worker, job);
    } catch (...) {
      const std::lock_guard lock(failure_lock);
      failure = std::current_exception();
      next = jobs;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t worker = 1; worker < std::min(workers, jobs); ++worker) {
      threads.emplace_back(serve, worker);
    }
    serve(0);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

std::string_view to_string(Precision precision) {
  return precision == Precision::Bfloat16 ? "bfloat16" : "float32";
}

Precision fastest_precision() {
  return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16 ? Precision::Bfloat16
                                                                          : Precision::Float32;
}

struct InferenceEngine::Impl {
  Impl(const Network& source, Precision precision, int batch)
      : network(source),
        weights(weights_of(network)),
        divisors(weights.layers.size(), 1.0f),
        executor(network, plan_of(network, Fusion::Full), precision, batch) {
    for (std::size_t i = 0; i < network.nodes.size(); ++i) {
      if (const auto* norm = std::get_if<BatchNormNode>(&network.nodes[i].kind)) {
        norms.push_back({static_cast<int>(i), norm, norm->mean, norm->variance});
      }
    }
    workers.reserve(index_of(omp_get_max_threads()));
    for (int i = 0; i < omp_get_max_threads(); ++i) workers.emplace_back(executor);
    fold();
  }

  /// Puts weights, divisors and batch norms into the executor.
  void fold() {
    const auto& steps = executor.plan().steps;
    for (std::size_t s = 0; s < steps.size(); ++s) {
      const auto layer = std::find_if(weights.layers.begin(), weights.layers.end(),
                                      [&](const auto& l) { return l.node == steps[s].node; });
      if (layer == weights.layers.end()) continue;
      const auto rows = static_cast<std::size_t>(layer->rows);
      scale.assign(rows, 1.0f / divisors[static_cast<std::size_t>(layer - weights.layers.begin())]);
      shift.assign(rows, 0.0f);
      const auto norm = std::find_if(norms.begin(), norms.end(),
                                     [&](const auto& n) { return n.node == steps[s].batch_norm; });
      if (norm != norms.end()) {
        for (std::size_t row = 0; row < rows; ++row) {
          const float slope = norm->constants->gamma[row] /
                              std::sqrt(norm->variance[row] + norm->constants->epsilon);
          scale[row] *= slope;
          shift[row] = norm->constants->beta[row] - norm->mean[row] * slope;
        }
      }
      executor.set_weights(s,
                           std::span(weights.values)
                               .subspan(static_cast<std::size_t>(layer->first_weight),
                                        rows * static_cast<std::size_t>(layer->columns)),
                           scale, shift);
    }
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
    const std::size_t size = index_of(in.channels) * index_of(in.height) * index_of(in.width);
    if (first > images.count() || count > images.count() - first ||
        images.pixels.size() != images.count() * size) {
      return fail(ErrorCode::Internal,
                  fmt::format("images {} to {} were asked for of {}, which has {}", first,
                              first + count, images.name, images.count()));
    }
    return {};
  }

  /// Calls use(position in the range, logits) for each image. On several threads at once.
  template <class Use>
  void run(const Dataset& images, std::size_t first, std::size_t count, const Use& use) {
    const std::size_t batch = index_of(executor.batch());
    const std::size_t width = classes();
    const std::size_t size = images.pixels.size() / std::max<std::size_t>(images.count(), 1);
    share_jobs(workers.size(), (count + batch - 1) / batch,
               [&](std::size_t worker, std::size_t job) {
                 const std::size_t from = job * batch;
                 const std::size_t filled = std::min(batch, count - from);
                 const float* pixels = images.pixels.data() + (first + from) * size;
                 std::vector<float> padded;
                 if (filled < batch) {
                   padded.assign(batch * size, 0.0f);
                   std::copy_n(pixels, filled * size, padded.data());
                   pixels = padded.data();
                 }
                 const std::span<const float> logits = workers[worker].run(pixels);
                 for (std::size_t i = 0; i < filled; ++i)
                   use(from + i, logits.subspan(i * width, width));
               });
  }

  Network network;
  WeightSet weights;
  std::vector<float> divisors;
  std::vector<BatchNormState> norms;
  Executor executor;
  std::vector<Workspace> workers;
  std::vector<float> scale, shift;  ///< of one layer at a time
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
    return InferenceEngine(std::make_unique<Impl>(network, precision, std::max(batch, 1)));
  } catch (const dnnl::error& error) {
    return fail(ErrorCode::BadNetwork,
                fmt::format("oneDNN cannot run network {} in {}: {}", network.name,
                            to_string(precision), error.what()));
  }
}

void InferenceEngine::set_weights(std::span<const float> values) {
  impl_->weights.values.assign(values.begin(), values.end());
  impl_->fold();
}

void InferenceEngine::set_output_divisors(std::span<const float> divisors) {
  impl_->divisors.assign(divisors.begin(), divisors.end());
  impl_->fold();
}

Result<std::vector<float>> InferenceEngine::logits(const Dataset& images, std::size_t first,
                                                   std::size_t count) {
  PCM_TRY(impl_->check(images, first, count));
  const std::size_t width = impl_->classes();
  std::vector<float> all(count * width);
  impl_->run(images, first, count, [&](std::size_t image, std::span<const float> logits) {
    std::copy(logits.begin(), logits.end(),
              all.begin() + static_cast<std::ptrdiff_t>(image * width));
  });
  return all;
}

Result<std::int64_t> InferenceEngine::count_correct(const Dataset& images) {
  PCM_TRY(impl_->check(images, 0, images.count()));
  std::atomic<std::int64_t> correct{0};
  impl_->run(images, 0, images.count(), [&](std::size_t image, std::span<const float> logits) {
    if (is_largest(logits, images.labels[image])) correct.fetch_add(1, std::memory_order_relaxed);
  });
  return correct.load();
}

}  // namespace pcmlab
