// SPDX-License-Identifier: Apache-2.0
/// \file
/// A run that takes a second: a small network on a small mock chip.
#pragma once

#include <fstream>
#include <string>

#include "tests/app/command_line.h"
#include "tests/experiments/network/onnx_file.h"

namespace pcmlab::app {

/// Writes network and plan into a folder: 1,194 weights, programmed and read eight times in a day,
/// accuracies on 200 images. \param run  further keys of the section [run]. \return the plan's
/// path.
inline std::string small_plan(const TemporaryFolder& folder, const std::string& run = {}) {
  test::OnnxFile network({3, 32, 32}, 7);
  const std::string features =
      network.relu(network.conv("images", {.out = 32, .in = 3, .stride_h = 4, .stride_w = 4}));
  const auto bytes = network.bytes(network.dense(network.average(features), 32, 10));
  std::ofstream(folder / "small.onnx", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  std::string plan = "[run]\n";
  plan += run;
  plan += "[mock]\nword_lines = 64\nbit_lines = 64\nthreads = 1\n[network]\nfile = \"";
  plan += (folder / "small.onnx").string();
  plan +=
      "\"\n[images]\nlimit = 200\n"
      "[[step]]\nexperiment = \"program\"\n"
      "[[step]]\nexperiment = \"retention\"\npoints = 8\n"
      "[[step]]\nexperiment = \"accuracy\"\n";
  return folder.file("plan.toml", plan);
}

}  // namespace pcmlab::app
