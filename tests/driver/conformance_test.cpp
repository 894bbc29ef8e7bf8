// SPDX-License-Identifier: Apache-2.0
// Boards that keep the rules pass every check; what a report says of one that does not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "driver/conformance/conformance.h"
#include "driver/loopback_transport.h"
#include "mock_device/chip_model.h"
#include "mock_device/mock_board.h"
#include "tests/driver/bad_board.h"
#include "tests/driver/conformance_report.h"

namespace pcmlab::conformance {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using wire::Frame;
using wire::MessageType;

TEST(Conformance, TheMockBoardOfEveryPresetPassesEverything) {
  for (const mock::ChipModel& model : mock::chip_presets()) {
    const auto board = std::make_shared<BadBoard>(make_board(model, model.shape));
    const Report report = run(*transport_to(board), quick());
    EXPECT_THAT(failures(report), IsEmpty()) << model.name;
    EXPECT_THAT(ids(report, Verdict::Skipped), ElementsAre("reads.sum_over_16_bits", "clock.wall"))
        << model.name;
    EXPECT_THAT(report.notes, IsEmpty());
  }
}

TEST(Conformance, ABoardWithoutVirtualTimeAndReferencesPasses) {
  mock::MockBoardSettings settings;
  settings.capabilities = 0;
  const auto board =
      std::make_shared<BadBoard>(make_board(mock::chip_presets().front(), kSmall, settings));
  const Report report = run(*transport_to(board), quick());
  EXPECT_THAT(failures(report), IsEmpty());
  // Its limits are left alone, unless somebody wants it.
  EXPECT_EQ(board->board.limits(), settings.limits);
  EXPECT_THAT(ids(report, Verdict::Skipped), ::testing::Contains("set_limits.tighter"));
}

TEST(Conformance, BoardsWithNarrowLimitsPass) {
  mock::MockBoardSettings settings;
  settings.limits.max_requests_in_flight = 1;
  settings.limits.max_devices_per_request = 1;
  settings.limits.max_amplitude = Current::from_uA(655.35);
  settings.limits.max_pulses_per_device = 1000;
  for (const std::uint32_t devices : {1u, 2u, 3u, 700u}) {
    settings.limits.max_devices_per_request = devices;
    for (const int in_flight : {1, 2, 3, 32}) {
      settings.limits.max_requests_in_flight = static_cast<std::uint8_t>(in_flight);
      const auto board = std::make_shared<BadBoard>(
          make_board(mock::chip_presets().front(), ArrayShape{4, 20}, settings));
      const Report report = run(*transport_to(board), quick());
      EXPECT_THAT(failures(report), IsEmpty()) << devices << " devices, " << in_flight;
    }
  }
}

TEST(Conformance, OnlyTheDevicesAnnouncedGetPulsesAndNoMoreThanAnnounced) {
  const auto board = std::make_shared<BadBoard>(make_board(mock::chip_presets().front(), kSmall));
  std::vector<DeviceAddress> devices;
  std::uint64_t each = 0;
  Observer observer;
  observer.board = [&](const std::vector<DeviceAddress>& announced, std::uint64_t pulses,
                       Current strongest) {
    devices = announced;
    each = pulses;
    EXPECT_EQ(strongest, board->board.limits().max_amplitude);
  };
  Settings settings = quick();
  settings.pulse_devices = 20;
  settings.pulse_word_line = 7;
  settings.first_pulse_bit_line = 40;
  const Report report = run(*transport_to(board), settings, observer);
  EXPECT_EQ(devices.size(), 20U);
  EXPECT_EQ(report.pulsed, devices);
  EXPECT_EQ(report.pulses, board->board.pulses_executed());
  for (std::size_t i = 0; i < kSmall.device_count(); ++i) {
    const DeviceAddress address = kSmall.at(i);
    const bool may =
        address.word_line.index == 7 && address.bit_line.index >= 40 && address.bit_line.index < 60;
    EXPECT_LE(board->board.chip().pulses_of(address), may ? each : 0) << i;
  }
}

TEST(Conformance, NoRequestHasAStrongerPulseThanWanted) {
  const auto board = std::make_shared<BadBoard>(make_board(mock::chip_presets().front(), kSmall));
  double strongest_uA = 0;
  board->request = [&](BadBoard&, Frame& frame) {
    const auto note = [&](double amplitude_uA) {
      strongest_uA = std::max(strongest_uA, amplitude_uA);
    };
    const Result<wire::Request> request = decode_request(frame);
    if (!request) return true;
    if (const auto* program = std::get_if<wire::ProgramRequest>(&*request)) {
      for (const auto amplitude : program->amplitudes_10nA) note(amplitude / 100.0);
    } else if (const auto* initialise = std::get_if<wire::InitialiseRequest>(&*request)) {
      for (const auto& pulse : initialise->sequence) note(pulse.amplitude.uA());
    }
    return true;
  };
  Settings settings = quick();
  settings.max_amplitude = Current::from_uA(350);
  const Report report = run(*transport_to(board), settings);
  EXPECT_THAT(failures(report), IsEmpty());
  EXPECT_DOUBLE_EQ(strongest_uA, 350);
  EXPECT_THAT(ids(report, Verdict::Skipped), ::testing::Contains("limits.amplitude"));
}

TEST(Conformance, DevicesOutsideTheArrayGetNoPulses) {
  const auto board = std::make_shared<BadBoard>(make_board(mock::chip_presets().front(), kSmall));
  Settings settings = quick();
  for (const auto& [word_line, bit_line] : {std::pair{32, 0}, {0, 128}}) {
    settings.pulse_word_line = static_cast<std::uint16_t>(word_line);
    settings.first_pulse_bit_line = static_cast<std::uint16_t>(bit_line);
    const Report report = run(*transport_to(board), settings);
    EXPECT_THAT(failures(report), IsEmpty());
    EXPECT_EQ(report.pulses, 0U);
    EXPECT_EQ(board->board.pulses_executed(), 0U);
  }
}

TEST(Conformance, WithoutPulsesNoPulseAndNoBatchIsSent) {
  const auto board = std::make_shared<BadBoard>(make_board(mock::chip_presets().front(), kSmall));
  int batches = 0;
  board->request = [&batches](BadBoard&, Frame& frame) {
    const MessageType type = request_of(frame);
    if (type == MessageType::Program || type == MessageType::Initialise) ++batches;
    return true;
  };
  Settings settings = quick();
  settings.pulse_devices = 0;
  const Report report = run(*transport_to(board), settings);
  EXPECT_THAT(failures(report), IsEmpty());
  EXPECT_EQ(batches, 0);
  EXPECT_EQ(report.pulses, 0U);
}

TEST(Conformance, ALostConnectionIsOpenedAgainAndTheOthersGoOn) {
  const auto board = std::make_shared<BadBoard>(make_board(mock::chip_presets().front(), kSmall));
  auto cable = std::make_shared<LoopbackCable>();
  LoopbackEnd end;
  int words = 0;
  end.take = [board](std::span<const std::byte> bytes) { board->take(bytes); };
  end.give = [&](Bytes& into) {
    board->give(into);
    if (++words != 500) return;
    cable->unplug();
    cable->replug();
  };
  end.disconnected = [board] { board->lose_connection(); };
  LoopbackTransport transport(std::move(end), cable);
  const Report report = run(transport, quick());
  EXPECT_EQ(report.count(Verdict::Failed), 1U) << failures(report);
  ASSERT_EQ(report.notes.size(), 1U);
  EXPECT_THAT(report.notes.front(), HasSubstr("opened again"));
}

TEST(Conformance, ASilentBoardEndsItSoon) {
  const auto board = std::make_shared<BadBoard>(make_board(mock::chip_presets().front(), kSmall));
  board->request = [](BadBoard&, Frame&) { return false; };
  const Report report = run(*transport_to(board), quick());
  EXPECT_EQ(report.count(Verdict::Passed), 0U);
  EXPECT_LE(report.count(Verdict::Failed), 8U);
  EXPECT_FALSE(report.board);
  EXPECT_THAT(report.notes.back(), HasSubstr("the rest was not run"));
}

TEST(Conformance, AFailureHasTheFramesAndWhatWasExpected) {
  const auto board = std::make_shared<BadBoard>(make_board(mock::chip_presets().front(), kSmall));
  board->reply = [](BadBoard&, const Frame& request, std::vector<Frame>& replies) {
    if (request_of(request) == MessageType::Temperature) replies.front().payload.pop_back();
  };
  Settings settings = quick();
  settings.only = "reads.temperature";
  const Report report = run(*transport_to(board), settings);
  const Outcome& outcome = report.outcomes.back();
  EXPECT_EQ(outcome.check.id, "reads.temperature");
  EXPECT_EQ(outcome.verdict, Verdict::Failed);
  EXPECT_EQ(outcome.expected, "a well-formed reply");
  EXPECT_THAT(outcome.found, HasSubstr("ends too early"));
  EXPECT_THAT(hex(outcome.request), ::testing::StartsWith("50 43 4D 42 01 07 00 00"));
  EXPECT_THAT(hex(outcome.reply), ::testing::StartsWith("50 43 4D 42 01 87 00 00"));
}

TEST(Conformance, EveryCheckNamesASectionAndHasItsOwnId) {
  std::vector<std::string> seen;
  for (const CheckInfo& check : checks()) {
    EXPECT_THAT(check.section, Not(IsEmpty())) << check.id;
    EXPECT_THAT(check.what, Not(IsEmpty())) << check.id;
    EXPECT_THAT(seen, Not(::testing::Contains(check.id)));
    seen.push_back(check.id);
  }
  EXPECT_GE(seen.size(), 70U);
}

}  // namespace
}  // namespace pcmlab::conformance
