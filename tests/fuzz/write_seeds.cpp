// SPDX-License-Identifier: Apache-2.0
// Writes the inputs that fuzzing begins with: write_seeds FOLDER makes FOLDER/TARGET/seed-NUMBER.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/fuzz/targets.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("Usage: write_seeds FOLDER\n", stderr);
    return 2;
  }
  try {
    for (const pcmlab::fuzz::Target& target : pcmlab::fuzz::kTargets) {
      const std::filesystem::path folder = std::filesystem::path(argv[1]) / target.name;
      std::filesystem::create_directories(folder);
      int number = 0;
      for (const auto& seed : pcmlab::fuzz::seeds(target.name)) {
        std::ofstream file(folder / ("seed-" + std::to_string(number++)), std::ios::binary);
        file.write(reinterpret_cast<const char*>(seed.data()),
                   static_cast<std::streamsize>(seed.size()));
        if (!file.flush()) throw std::runtime_error("cannot write into " + folder.string());
      }
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "write_seeds: %s\n", error.what());
    return 1;
  }
  return 0;
}
