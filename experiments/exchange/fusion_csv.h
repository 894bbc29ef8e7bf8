// SPDX-License-Identifier: Apache-2.0
/// \file
/// The CSV file in which aihwkit's fusion_export() and fusion_import() exchange conductances
/// (aihwkit/utils/export.py). Free functions without state.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "experiments/exchange/output_file.h"
#include "protocol/error.h"

namespace pcmlab {

/// One analog layer of the file.
struct FusionLayer {
  std::string id;           ///< which module of the model, in its order; as it stands in the file
  std::string class_name;   ///< "AnalogConv2d", "AnalogLinear"
  std::string name;         ///< of the module
  std::int64_t height = 0;  ///< outputs
  std::int64_t width = 0;   ///< inputs of one output, without a bias
  std::vector<float> g_uS;  ///< [output][input], tile after tile
};

/// Five header lines with one field a layer (id, class, num_weights, height, width), a line of
/// names, and one line of conductances a layer. Lines end and numbers are written as Python's csv
/// module does. Errors: those of OutputFile.
Result<void> write_fusion_csv(OutputFile& file, const std::vector<FusionLayer>& layers);

/// Errors: NotFound, Io; BadFile naming line and field (fields missing or too many, height * width
/// other than num_weights, what is no finite number, bytes behind the end).
Result<std::vector<FusionLayer>> read_fusion_csv(const std::filesystem::path& path);

}  // namespace pcmlab
