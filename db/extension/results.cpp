// SPDX-License-Identifier: Apache-2.0
#include "db/extension/results.h"

namespace pcmlab::db::extension {

Result<void> give(sqlite3_context* context, ProgrammedDevices& devices, std::int64_t device,
                  DeviceColumn column) {
  switch (column) {
    case DeviceColumn::Layer:
    case DeviceColumn::LayerName: {
      PCM_ASSIGN(const LayerOfDevices* const layer, devices.layer(device));
      if (layer == nullptr) return {};
      if (column == DeviceColumn::Layer) {
        give(context, layer->ordinal);
      } else {
        give(context, std::string_view(layer->name));
      }
      return {};
    }
    case DeviceColumn::Weight:
      give(context, devices.weight(device));
      return {};
    case DeviceColumn::Polarity:
      if (devices.weight(device)) give(context, std::int64_t{device % 2 == 0 ? 1 : -1});
      return {};
    case DeviceColumn::WordLine:
    case DeviceColumn::BitLine: {
      PCM_ASSIGN(const auto address, devices.address(device));
      if (!address) return {};
      give(context, std::int64_t{column == DeviceColumn::WordLine ? address->word_line.index
                                                                  : address->bit_line.index});
      return {};
    }
    case DeviceColumn::TargetUs: {
      PCM_ASSIGN(const auto target_uS, devices.target_uS(device));
      if (target_uS) give(context, static_cast<double>(*target_uS));
      return {};
    }
  }
  return {};
}

}  // namespace pcmlab::db::extension
