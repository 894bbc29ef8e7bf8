// SPDX-License-Identifier: Apache-2.0
#include "driver/pulse_budget.h"

#include <cstdio>
#include <string>
#include <utility>

#include "protocol/messages.h"

namespace pcmlab {
namespace {

std::string counted(std::uint64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

std::string heat_text(double heat_A2s) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g A^2 s", heat_A2s);
  return text;
}

bool has_pulse(const PulsesAsked& pulses, std::size_t i) {
  return pulses.amplitudes_10nA.empty() || pulses.amplitudes_10nA[i] > 0;
}

}  // namespace

PulsesAsked PulsesAsked::behind(std::size_t sent) const {
  PulsesAsked rest = *this;
  rest.addresses = addresses.subspan(sent);
  if (!amplitudes_10nA.empty()) rest.amplitudes_10nA = amplitudes_10nA.subspan(sent);
  return rest;
}

void PulseBudget::limit(ArrayShape shape, std::uint64_t max_pulses) {
  shape_ = shape;
  max_pulses_ = max_pulses;
  if (counts()) sent_.resize(shape.device_count());
}

void PulseBudget::set_life(ArrayShape shape, ChipLife life) {
  shape_ = shape;
  life_ = std::move(life);
  if (!counts()) return;
  sent_.resize(shape.device_count());
  life_.pulses.resize(shape.device_count());
  life_.heat_A2s.resize(shape.device_count());
  if (life_.max_heat_A2s > 0) heat_sent_A2s_.resize(shape.device_count());
}

Result<void> PulseBudget::take(const PulsesAsked& pulses) {
  if (!counts()) return {};
  for (std::size_t i = 0; i < pulses.addresses.size(); ++i) {
    if (!has_pulse(pulses, i)) continue;
    if (auto taken = take(pulses, i); !taken) {
      give_back(pulses, i);
      return taken;
    }
  }
  return {};
}

void PulseBudget::give_back(const PulsesAsked& pulses) {
  if (counts()) give_back(pulses, pulses.addresses.size());
}

Result<void> PulseBudget::take(const PulsesAsked& pulses, std::size_t i) {
  const std::size_t device = shape_.linear(pulses.addresses[i]);
  const auto refuse = [&](const std::string& would_be, const std::string& limit) {
    return fail(ErrorCode::LimitExceeded,
                std::string(pulses.what) + " " + counted(pulses.addresses.size(), "device") +
                    ": word line " + std::to_string(pulses.addresses[i].word_line.index) +
                    ", bit line " + std::to_string(pulses.addresses[i].bit_line.index) +
                    " would come to " + would_be + ", the limit is " + limit + "; nothing was sent",
                "Leave this device out, or raise the limit of what a device may bear.");
  };
  const std::uint64_t sent = std::uint64_t{sent_[device]} + pulses.each;
  if (max_pulses_ > 0 && sent > max_pulses_) {
    return refuse(counted(sent, "pulse"), std::to_string(max_pulses_));
  }
  if (life_.max_pulses > 0 && life_.pulses[device] + sent > life_.max_pulses) {
    return refuse(counted(life_.pulses[device] + sent, "pulse") + " in its life",
                  std::to_string(life_.max_pulses));
  }
  if (life_.max_heat_A2s > 0) {
    const double heat = life_.heat_A2s[device] + heat_sent_A2s_[device] + heat_of(pulses, i);
    if (heat > life_.max_heat_A2s) {
      return refuse(heat_text(heat) + " in its life", heat_text(life_.max_heat_A2s));
    }
    heat_sent_A2s_[device] += heat_of(pulses, i);
  }
  sent_[device] += pulses.each;
  return {};
}

void PulseBudget::give_back(const PulsesAsked& pulses, std::size_t end) {
  for (std::size_t i = 0; i < end; ++i) {
    if (!has_pulse(pulses, i)) continue;
    const std::size_t device = shape_.linear(pulses.addresses[i]);
    sent_[device] -= pulses.each;
    if (life_.max_heat_A2s > 0) heat_sent_A2s_[device] -= heat_of(pulses, i);
  }
}

double PulseBudget::heat_of(const PulsesAsked& pulses, std::size_t i) const {
  if (pulses.amplitudes_10nA.empty()) return pulses.heat_each_A2s;
  return pulse_heat(Current::from_uA(pulses.amplitudes_10nA[i] * wire::kAmplitudeStep_uA),
                    pulses.width);
}

}  // namespace pcmlab
