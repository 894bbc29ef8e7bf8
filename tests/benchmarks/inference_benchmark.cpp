// SPDX-License-Identifier: Apache-2.0
// The built-in network on the 10,000 test images of Fashion-MNIST, and what a new set of weights
// costs before it. Wall-clock time: inference runs on threads of its own.
#include <benchmark/benchmark.h>

#include <vector>

#include "experiments/network/adaptive_batch_norm.h"
#include "experiments/network/dataset.h"
#include "experiments/network/inference.h"
#include "experiments/network/network.h"

namespace pcmlab {
namespace {

const Network& network() {
  static const Network loaded = load_builtin_network("resnet32-fashion-mnist").value();
  return loaded;
}

const Dataset& images() {
  static const Dataset loaded = load_fashion_mnist(fashion_mnist_folder(), Split::Test, 0).value();
  return loaded;
}

/// Whether the CPU can; else the benchmark says why not.
bool runs(benchmark::State& state, Precision precision) {
  if (precision == Precision::Float32 || fastest_precision() == precision) return true;
  state.SkipWithError("this CPU has no bfloat16 instructions");
  return false;
}

void test_set(benchmark::State& state, Precision precision) {
  if (!runs(state, precision)) return;
  auto engine =
      InferenceEngine::create(network(), precision, static_cast<int>(state.range(0))).value();
  std::int64_t correct = 0;
  for (auto _ : state) correct = engine.count_correct(images()).value();
  state.counters["correct"] = static_cast<double>(correct);
  state.counters["images/s"] = benchmark::Counter(static_cast<double>(images().count()),
                                                  benchmark::Counter::kIsIterationInvariantRate);
}

/// AdaBS and the test set behind it: at most 1.6 times the test set alone.
void adapted_test_set(benchmark::State& state, Precision precision) {
  if (!runs(state, precision)) return;
  auto engine = InferenceEngine::create(network(), precision).value();
  const auto trained = engine.batch_norms();
  for (auto _ : state) {
    adapt_batch_norms(engine, images(), {}, [] { return Result<void>(); }).value();
    benchmark::DoNotOptimize(engine.count_correct(images()).value());
    engine.set_batch_norms(trained);
  }
}

/// With 8-bit converters in front of and behind every layer.
void converted_test_set(benchmark::State& state) {
  auto engine = InferenceEngine::create(network(), Precision::Float32).value();
  Converters converters{8, 8, engine.measure_converter_ranges(images(), 0, 200, 0.999).value()};
  if (!engine.set_converters(converters)) state.SkipWithError("converters were refused");
  std::int64_t correct = 0;
  for (auto _ : state) correct = engine.count_correct(images()).value();
  state.counters["correct"] = static_cast<double>(correct);
}

void swap_weights(benchmark::State& state, Precision precision) {
  if (!runs(state, precision)) return;
  auto engine = InferenceEngine::create(network(), precision).value();
  const std::vector<float> weights = weights_of(network()).values;
  for (auto _ : state) engine.set_weights(weights);
}

void create_engine(benchmark::State& state, Precision precision) {
  if (!runs(state, precision)) return;
  for (auto _ : state) {
    benchmark::DoNotOptimize(InferenceEngine::create(network(), precision).value());
  }
}

BENCHMARK_CAPTURE(test_set, bfloat16, Precision::Bfloat16)
    ->ArgName("batch")
    ->Arg(kDefaultBatch)
    ->Arg(8)
    ->Arg(50)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(test_set, float32, Precision::Float32)
    ->ArgName("batch")
    ->Arg(kDefaultBatch)
    ->Arg(8)
    ->Arg(50)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(adapted_test_set, bfloat16, Precision::Bfloat16)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(adapted_test_set, float32, Precision::Float32)
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK(converted_test_set)->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(swap_weights, bfloat16, Precision::Bfloat16)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(swap_weights, float32, Precision::Float32)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(create_engine, bfloat16, Precision::Bfloat16)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(create_engine, float32, Precision::Float32)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace pcmlab

BENCHMARK_MAIN();
