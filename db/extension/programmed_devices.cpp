// SPDX-License-Identifier: Apache-2.0
#include "db/extension/programmed_devices.h"

#include <fmt/format.h>

#include <algorithm>

namespace pcmlab::db::extension {
namespace {

constexpr const char* kHeader =
    "SELECT verify_samples, gain_uS_per_code, offset_uS, end_tick_ns, first_weight, device_count, "
    "step_id FROM programming LEFT JOIN placement ON programming_id = programming.id "
    "WHERE programming.id = ?";
constexpr const char* kLayers =
    "SELECT ordinal, name, first_weight, first_weight + outputs * inputs FROM layer "
    "WHERE step_id = ? ORDER BY first_weight";

// Blobs of a placement, and of a programming's result.
enum : std::size_t { kAddresses, kTargets };
constexpr std::size_t kLastPulseTicks = 5;

/// Parts of `intervals` that lie in one of `others`; both rise and have no overlaps.
std::vector<Interval> common(const std::vector<Interval>& intervals,
                             const std::vector<Interval>& others) {
  std::vector<Interval> result;
  for (const Interval& interval : intervals) {
    for (const Interval& other : others) {
      Interval both = interval;
      both.meet(other);
      if (!both.empty()) result.push_back(both);
    }
  }
  return result;
}

}  // namespace

ProgrammedDevices::ProgrammedDevices(sqlite3* database)
    : header_(database),
      layer_rows_(database),
      placement_(database,
                 {"placement_block", "programming_id", {"addresses_u32", "targets_uS_f32"}}),
      results_(database, {"programming_result",
                          "programming_id",
                          {"verdicts_u8", "iterations_u8", "pulses_u16", "last_amplitude_10nA_u16",
                           "last_code_sum_u16", "last_pulse_tick_ns_i64"}}) {}

Result<void> ProgrammedDevices::use(std::int64_t programming) {
  if (programming == programming_) return {};
  programming_ = -1;
  PCM_TRY(header_.start(kHeader, programming));
  PCM_ASSIGN(const bool found, header_.step());
  if (!found)
    return fail(ErrorCode::BadFile, fmt::format("there is no programming {}", programming));
  verify_samples_ = static_cast<int>(header_.integer(0));
  gain_uS_per_code_ = header_.real(1);
  offset_uS_ = header_.real(2);
  end_tick_ns_.reset();
  if (!header_.is_null(3)) end_tick_ns_ = header_.integer(3);
  first_weight_.reset();
  if (!header_.is_null(4)) first_weight_ = header_.integer(4);
  device_count_ = header_.integer(5);

  step_ = header_.integer(6);
  layers_loaded_ = false;
  programming_ = programming;
  return {};
}

Result<void> ProgrammedDevices::load_layers() {
  if (layers_loaded_) return {};
  layers_.clear();
  last_layer_ = 0;
  PCM_TRY(layer_rows_.start(kLayers, step_));
  for (;;) {
    PCM_ASSIGN(const bool more, layer_rows_.step());
    if (!more) break;
    layers_.push_back({layer_rows_.integer(0), layer_rows_.text(1), layer_rows_.integer(2),
                       layer_rows_.integer(3)});
  }
  layers_loaded_ = true;
  return {};
}

std::optional<std::int64_t> ProgrammedDevices::weight(std::int64_t device) const {
  if (!first_weight_) return std::nullopt;
  return *first_weight_ + device / 2;
}

Result<const LayerOfDevices*> ProgrammedDevices::layer(std::int64_t device) {
  PCM_TRY(load_layers());
  const auto of_device = weight(device);
  if (!of_device) return nullptr;
  const auto holds = [&](const LayerOfDevices& layer) {
    return layer.first_weight <= *of_device && *of_device < layer.end_weight;
  };
  if (last_layer_ < layers_.size() && holds(layers_[last_layer_])) return &layers_[last_layer_];
  const auto found = std::find_if(layers_.begin(), layers_.end(), holds);
  if (found == layers_.end()) return nullptr;
  last_layer_ = static_cast<std::size_t>(found - layers_.begin());
  return &*found;
}

Result<std::optional<DeviceAddress>> ProgrammedDevices::address(std::int64_t device) {
  PCM_ASSIGN(const bool found, placement_.seek(programming_, device));
  if (!found || device < placement_.first()) return std::nullopt;
  return unpacked(placement_.at<std::uint32_t>(kAddresses, device));
}

Result<std::optional<float>> ProgrammedDevices::target_uS(std::int64_t device) {
  PCM_ASSIGN(const bool found, placement_.seek(programming_, device));
  if (!found || device < placement_.first()) return std::nullopt;
  return placement_.at<float>(kTargets, device);
}

Result<std::optional<std::int64_t>> ProgrammedDevices::last_pulse_tick_ns(std::int64_t device) {
  PCM_ASSIGN(const bool found, results_.seek(programming_, device));
  if (!found || device < results_.first()) return std::nullopt;
  return results_.at<std::int64_t>(kLastPulseTicks, device);
}

Result<std::vector<Interval>> ProgrammedDevices::wanted(const Filter& filter,
                                                        const DeviceColumns& columns) {
  Interval all{0, device_count_ - 1};
  all.meet(filter[columns.device]);
  if (filter.limits(columns.weight)) {
    if (!first_weight_) return std::vector<Interval>{};
    Interval weights{*first_weight_, *first_weight_ + device_count_ / 2};
    weights.meet(filter[columns.weight]);
    if (weights.empty()) return std::vector<Interval>{};
    all.meet({2 * (weights.first - *first_weight_), 2 * (weights.last - *first_weight_) + 1});
  }
  std::vector<Interval> devices;
  if (!all.empty()) devices.push_back(all);
  if (filter.limits(columns.layer)) {
    PCM_TRY(load_layers());
    std::vector<Interval> of_layers;
    for (const LayerOfDevices& layer : layers_) {
      if (!first_weight_ || !filter[columns.layer].holds(layer.ordinal)) continue;
      of_layers.push_back(
          {2 * (layer.first_weight - *first_weight_), 2 * (layer.end_weight - *first_weight_) - 1});
    }
    devices = common(devices, of_layers);
  }
  if (filter.limits(columns.word_line) || filter.limits(columns.word_line + 1)) {
    PCM_TRY(on_lines(filter[columns.word_line], filter[columns.word_line + 1], devices));
  }
  return devices;
}

/// Leaves of `devices` those on these lines.
Result<void> ProgrammedDevices::on_lines(Interval word_lines, Interval bit_lines,
                                         std::vector<Interval>& devices) {
  std::vector<Interval> there;
  for (const Interval& interval : devices) {
    for (std::int64_t device = interval.first; device <= interval.last; ++device) {
      PCM_ASSIGN(const bool found, placement_.seek(programming_, device));
      if (!found) break;
      device = std::max(device, placement_.first());
      if (device > interval.last) break;
      const DeviceAddress at = unpacked(placement_.at<std::uint32_t>(kAddresses, device));
      if (!word_lines.holds(at.word_line.index) || !bit_lines.holds(at.bit_line.index)) continue;
      if (!there.empty() && there.back().last == device - 1) {
        there.back().last = device;
      } else {
        there.push_back({device, device});
      }
    }
  }
  devices = std::move(there);
  return {};
}

}  // namespace pcmlab::db::extension
