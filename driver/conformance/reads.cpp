// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>

#include "driver/conformance/checks.h"

namespace pcmlab::conformance {
namespace {

using wire::Refusal;

const Voltage kReadVoltage = Voltage::from_mV(200);

Result<wire::ReadReply> read(Bench& bench, wire::DeviceSelection devices, unsigned samples = 1) {
  const wire::ReadRequest request{std::move(devices), static_cast<std::uint8_t>(samples),
                                  kReadVoltage};
  PCM_ASSIGN(auto reply, bench.get<wire::ReadReply>(request));
  const std::size_t count = device_count(request.devices);
  if (reply.code_sums.size() != count) {
    return failed(text("one sum for each of ", count, " devices"), text(reply.code_sums.size()));
  }
  const unsigned highest = samples * bench.top_code();
  const auto too_high = std::find_if(reply.code_sums.begin(), reply.code_sums.end(),
                                     [highest](std::uint16_t sum) { return sum > highest; });
  if (too_high != reply.code_sums.end()) {
    return failed(text("sums of at most ", highest), text(*too_high));
  }
  return reply;
}

Result<std::string> list(Bench& bench) {
  const std::size_t most = std::min<std::size_t>(300, bench.board().limits.max_devices_per_request);
  for (const std::size_t count : {std::size_t{1}, most}) {
    PCM_TRY(read(bench, wire::DeviceList{bench.any_devices(count)}));
  }
  // The last device of the array, and one named twice.
  const DeviceAddress last = bench.board().shape.at(bench.board().shape.device_count() - 1);
  PCM_TRY(read(bench, wire::DeviceList{{last}}));
  if (most >= 3) PCM_TRY(read(bench, wire::DeviceList{{last, last, last}}));
  return std::string();
}

Result<std::string> rectangle(Bench& bench) {
  const ArrayShape shape = bench.board().shape;
  const std::uint32_t most = bench.board().limits.max_devices_per_request;
  const auto bit_lines = static_cast<std::uint16_t>(std::min<std::uint32_t>(shape.bit_lines, most));
  const auto word_lines =
      static_cast<std::uint16_t>(std::min<std::uint32_t>(shape.word_lines, most / bit_lines));
  PCM_TRY(read(bench, wire::Rectangle{{}, 1, bit_lines}));
  PCM_TRY(read(bench, wire::Rectangle{{}, word_lines, bit_lines}));
  const DeviceAddress last = shape.at(shape.device_count() - 1);
  PCM_TRY(read(bench, wire::Rectangle{last, 1, 1}));
  return text("up to ", word_lines, " x ", bit_lines);
}

Result<std::string> most_devices(Bench& bench) {
  constexpr std::uint32_t kTooLong = 1'000'000;  // for one frame
  const std::uint32_t most = bench.board().limits.max_devices_per_request;
  if (most > kTooLong) return skipped(text("more than ", kTooLong, " devices in a request"));
  PCM_TRY(read(bench, wire::DeviceList{bench.any_devices(most)}));
  PCM_TRY(
      bench.refused(wire::ReadRequest{wire::DeviceList{bench.any_devices(std::size_t{most} + 1)}, 1,
                                      kReadVoltage},
                    Refusal::LimitExceeded, text("a read of ", most + 1, " devices")));
  return text(most, " devices");
}

Result<std::string> samples(Bench& bench) {
  const std::vector<DeviceAddress> devices =
      bench.any_devices(std::min<std::size_t>(500, bench.board().limits.max_devices_per_request));
  const unsigned many = std::min(255u, 65535u / bench.top_code());
  const auto mean_code = [&](unsigned count) -> Result<double> {
    PCM_ASSIGN(const auto reply, read(bench, wire::DeviceList{devices}, count));
    const double sum = std::accumulate(reply.code_sums.begin(), reply.code_sums.end(), 0.0);
    return sum / static_cast<double>(devices.size()) / count;
  };
  PCM_ASSIGN(const double of_one, mean_code(1));
  PCM_ASSIGN(const double of_many, mean_code(many));
  if (std::abs(of_one - of_many) > 1 + 0.1 * of_many) {
    return failed(
        text("the sum of ", many, " samples is ", many, " times that of one: mean code ", of_one),
        text("mean code ", of_many));
  }
  return text("mean code ", of_one, " of 1, ", of_many, " of ", many);
}

Result<std::string> outside(Bench& bench) {
  const ArrayShape shape = bench.board().shape;
  const DeviceAddress inside{};
  const DeviceAddress below{WordLine{shape.word_lines}, BitLine{0}};
  const DeviceAddress beside{WordLine{0}, BitLine{shape.bit_lines}};
  const DeviceAddress far{WordLine{65535}, BitLine{65535}};
  const auto refuse = [&bench](wire::DeviceSelection devices, std::string_view what) {
    return bench.refused(wire::ReadRequest{std::move(devices), 1, kReadVoltage},
                         Refusal::BadAddress, what);
  };
  for (const DeviceAddress address : {below, beside, far}) {
    PCM_TRY(refuse(wire::DeviceList{{address}}, "a device outside the array"));
    PCM_TRY(refuse(wire::DeviceList{{inside, address}}, "a second device outside the array"));
    PCM_TRY(refuse(wire::Rectangle{address, 1, 1}, "a rectangle outside the array"));
  }
  if (shape.bit_lines < 65535) {
    const auto wide = static_cast<std::uint16_t>(shape.bit_lines + 1);
    PCM_TRY(refuse(wire::Rectangle{inside, 1, wide}, "a rectangle that reaches beyond the array"));
  }
  if (shape.word_lines < 65535) {
    const auto high = static_cast<std::uint16_t>(shape.word_lines + 1);
    PCM_TRY(refuse(wire::Rectangle{inside, high, 1}, "a rectangle that reaches beyond the array"));
  }
  PCM_TRY(refuse(wire::Rectangle{inside, 65535, 65535}, "a rectangle of 4 thousand million"));
  return std::string();
}

Result<std::string> sum_over_16_bits(Bench& bench) {
  const unsigned most = 65535u / bench.top_code();
  if (most >= 255) return skipped("255 samples of this ADC fit 16 bits");
  PCM_TRY(bench.refused(wire::ReadRequest{wire::DeviceList{bench.any_devices(1)},
                                          static_cast<std::uint8_t>(most + 1), kReadVoltage},
                        Refusal::LimitExceeded, text(most + 1, " samples")));
  return std::string();
}

Result<std::string> no_effect(Bench& bench) {
  PCM_ASSIGN(const auto before, bench.status());
  PCM_TRY(read(bench, wire::DeviceList{bench.any_devices(1)}));
  PCM_TRY(bench.unchanged(before, "reads"));
  return std::string();
}

Result<std::string> temperature(Bench& bench) {
  PCM_ASSIGN(const auto reply, bench.get<wire::TemperatureReply>(wire::TemperatureRequest{}));
  if (reply.chip.K() < 200 || reply.chip.K() > 500) {
    return failed("a temperature of a chip, in mK", text(reply.chip.K(), " K"));
  }
  return text(reply.chip.K(), " K, limit ", bench.board().limits.max_temperature.K(), " K");
}

}  // namespace

void add_reads(Checks& checks) {
  const std::string section = "0x03 Read";
  checks.insert(
      checks.end(),
      {{{"reads.list", "Devices", "a list is read as written, repetitions included", kInformation},
        list},
       {{"reads.rectangle", "Devices", "a rectangle is read", kInformation}, rectangle},
       {{"reads.most_devices", "Limits", "as many devices as allowed, and no more", kInformation},
        most_devices},
       {{"reads.samples", section, "codes are summed over the samples", kInformation}, samples},
       {{"reads.outside", "Refusal", "a device outside the array is a BadAddress", kInformation},
        outside},
       {{"reads.sum_over_16_bits", section, "sums beyond 16 bits are a LimitExceeded",
         kInformation},
        sum_over_16_bits},
       {{"reads.no_effect", "0x06 Status", "reads leave no records and count no pulses",
         kInformation},
        no_effect},
       {{"reads.temperature", "0x07 Temperature", "the chip's temperature is plausible",
         kInformation},
        temperature}});
}

}  // namespace pcmlab::conformance
