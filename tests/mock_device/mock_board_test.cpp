// SPDX-License-Identifier: Apache-2.0
// The board's side of protocol/README.md, frame by frame.
#include "mock_device/mock_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "protocol/crc32c.h"
#include "protocol/frame_reader.h"
#include "protocol/messages.h"
#include "tests/protocol/untimed.h"

namespace pcmlab::mock {
namespace {

using ::testing::ElementsAre;
using ::testing::ResultOf;
using wire::MessageType;
using wire::Refusal;

constexpr ArrayShape kShape{8, 32};
constexpr Duration kWidth{400};
constexpr Duration kOverhead{1000};

std::vector<DeviceAddress> devices(std::size_t count) {
  std::vector<DeviceAddress> addresses;
  for (std::size_t i = 0; i < count; ++i) addresses.push_back(kShape.at(i));
  return addresses;
}

wire::ProgramRequest program(std::uint64_t batch, std::size_t count,
                             std::uint16_t amplitude_10nA = 10000) {
  return {batch, kWidth, devices(count), std::vector<std::uint16_t>(count, amplitude_10nA)};
}

/// A frame with right CRCs around whatever is in it.
std::vector<std::byte> raw_frame(std::uint32_t sequence, std::uint8_t type, std::uint16_t flags,
                                 const std::vector<std::byte>& payload) {
  std::vector<std::byte> out(wire::kHeaderBytes + payload.size() + wire::kCrcBytes);
  const auto put = [&out](std::size_t at, auto value) {
    std::memcpy(out.data() + at, &value, sizeof value);
  };
  put(0, wire::kMagic);
  put(4, wire::kProtocolVersion);
  put(5, type);
  put(6, flags);
  put(8, sequence);
  put(12, static_cast<std::uint32_t>(payload.size()));
  const std::uint32_t header_crc = wire::crc32c(std::span(out).first(16));
  put(16, header_crc);
  std::copy(payload.begin(), payload.end(), out.begin() + wire::kHeaderBytes);
  put(wire::kHeaderBytes + payload.size(), wire::crc32c(payload, header_crc));
  return out;
}

class MockBoardTest : public ::testing::Test {
 protected:
  MockBoardTest() { start(); }

  void start() {
    settings.request_overhead = kOverhead;
    board.emplace(PcmChip(PcmParameters{}, kShape, 1, 1), settings);
  }

  /// Sends the request. \return its sequence number.
  std::uint32_t send(const wire::Request& request) {
    std::vector<std::byte> bytes;
    encode(request, ++sequence, bytes);
    board->receive(bytes);
    return sequence;
  }

  /// Lets the board work on all it has; its replies, with sequence numbers and types checked.
  std::vector<wire::Reply> replies() {
    while (board->work()) {
    }
    std::vector<std::byte> bytes;
    board->take_output(bytes);
    wire::FrameReader reader;
    reader.append(bytes);
    std::vector<wire::Reply> replies;
    while (const std::optional<wire::Frame> frame = reader.next()) {
      EXPECT_EQ(frame->sequence, ++answered) << "replies come in the order of the requests";
      Result<wire::Reply> reply = decode_reply(*frame);
      EXPECT_TRUE(reply);
      if (reply) replies.push_back(*reply);
    }
    EXPECT_EQ(reader.skipped_bytes(), 0U);
    return replies;
  }

  /// The one reply to this request.
  template <class Reply>
  Reply ask(const wire::Request& request) {
    send(request);
    const std::vector<wire::Reply> all = replies();
    EXPECT_EQ(all.size(), 1U);
    if (all.empty() || !std::holds_alternative<Reply>(all[0])) {
      const auto* refusal = all.empty() ? nullptr : std::get_if<wire::RefusalReply>(&all[0]);
      ADD_FAILURE() << (refusal == nullptr ? "another kind of reply" : refusal->detail);
      return {};
    }
    return std::get<Reply>(all[0]);
  }
  Refusal refusal_of(const wire::Request& request) {
    return ask<wire::RefusalReply>(request).reason;
  }

  MockBoardSettings settings;
  std::optional<MockBoard> board;
  std::uint32_t sequence = 0;
  std::uint32_t answered = 0;
};

// ---- frames ----------------------------------------------------------------------------------

TEST_F(MockBoardTest, AnswersRequestsThatComeByteByByte) {
  std::vector<std::byte> bytes;
  encode(wire::StatusRequest{}, ++sequence, bytes);
  for (const std::byte byte : bytes) board->receive(std::span(&byte, 1));
  EXPECT_EQ(replies().size(), 1U);
}

TEST_F(MockBoardTest, GivesNoAnswerToDamagedFramesNoiseAndReplies) {
  std::vector<std::byte> damaged;
  encode(program(1, 10), 77, damaged);
  damaged[30] ^= std::byte{1};
  board->receive(damaged);
  board->receive(std::vector<std::byte>(50, std::byte{0xAA}));
  std::vector<std::byte> reply;
  encode(wire::Reply{wire::StatusReply{}}, MessageType::Status, 78, reply);
  board->receive(reply);
  EXPECT_FALSE(board->work());
  EXPECT_EQ(board->bad_frames(), 1U);
  EXPECT_GE(board->skipped_bytes(), 50U);
  EXPECT_EQ(board->ignored_frames(), 1U);
  EXPECT_EQ(ask<wire::StatusReply>(wire::StatusRequest{}).pulses_executed, 0U);
}

TEST_F(MockBoardTest, RefusesTypesThatAreNotInTheListAndMalformedRequests) {
  const auto refusal_of_frame = [this](std::uint8_t type, std::uint16_t flags = 0,
                                       const std::vector<std::byte>& payload = {}) {
    board->receive(raw_frame(++sequence, type, flags, payload));
    const auto all = replies();
    const auto* refusal = all.empty() ? nullptr : std::get_if<wire::RefusalReply>(&all[0]);
    return refusal == nullptr ? Refusal{} : refusal->reason;
  };
  EXPECT_EQ(refusal_of_frame(0x55), Refusal::UnknownRequest);
  EXPECT_EQ(refusal_of_frame(0x00), Refusal::UnknownRequest);
  EXPECT_EQ(refusal_of_frame(0x03), Refusal::BadPayload);
  EXPECT_EQ(refusal_of_frame(0x06, 0, {std::byte{1}}), Refusal::BadPayload);
  EXPECT_EQ(refusal_of_frame(0x06, 1), Refusal::BadPayload);
}

TEST_F(MockBoardTest, AMalformedAbortAbortsNothing) {
  send(program(1, 1));
  board->receive(raw_frame(++sequence, 0x09, 0, {std::byte{1}}));
  const auto all = replies();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_TRUE(std::holds_alternative<wire::ProgramReply>(all[0]));
  EXPECT_EQ(std::get<wire::RefusalReply>(all[1]).reason, Refusal::BadPayload);
}

// ---- who it is -------------------------------------------------------------------------------

TEST_F(MockBoardTest, AgreesOnTheVersionThatBothSpeak) {
  EXPECT_EQ(ask<wire::HelloReply>(wire::HelloRequest{1, 9}).version, 1);
  EXPECT_EQ(refusal_of(wire::HelloRequest{2, 9}), Refusal::VersionMismatch);
}

TEST_F(MockBoardTest, SaysWhatItIsAndCanDo) {
  settings.serial = "PCM0042";
  settings.capabilities = wire::kVirtualTime;
  start();
  const auto information = ask<wire::InformationReply>(wire::InformationRequest{});
  EXPECT_EQ(information.serial, "PCM0042");
  EXPECT_EQ(information.shape, kShape);
  EXPECT_EQ(information.capabilities, wire::kVirtualTime);
  EXPECT_EQ(information.boot_epoch, 1U);
  EXPECT_EQ(information.adc_bits, 8);
  EXPECT_NEAR(information.adc_step.uS(), PcmParameters{}.adc_step_uS, 1e-9);
  EXPECT_EQ(information.sample_time, std::chrono::microseconds(1));
  EXPECT_EQ(information.limits, settings.limits);
}

// ---- reads -----------------------------------------------------------------------------------

TEST_F(MockBoardTest, ARectangleIsReadLikeTheListOfItsDevices) {
  const auto list = ask<wire::ReadReply>(
      wire::ReadRequest{wire::DeviceList{devices(64)}, 5, Voltage::from_mV(200)});
  start();
  answered = sequence;
  const auto rectangle =
      ask<wire::ReadReply>(wire::ReadRequest{wire::Rectangle{{}, 2, 32}, 5, Voltage::from_mV(200)});
  EXPECT_EQ(rectangle, list);
  EXPECT_EQ(list.code_sums.size(), 64U);
  EXPECT_EQ(list.first, kOverhead);
  EXPECT_EQ(list.last - list.first, std::chrono::microseconds(64 * 5));
}

TEST_F(MockBoardTest, RefusesDevicesOutsideTheArray) {
  const Voltage voltage = Voltage::from_mV(200);
  const DeviceAddress outside{WordLine{8}, BitLine{0}};
  EXPECT_EQ(refusal_of(wire::ReadRequest{wire::DeviceList{{{}, outside}}, 1, voltage}),
            Refusal::BadAddress);
  EXPECT_EQ(refusal_of(wire::ReadRequest{wire::Rectangle{{}, 1, 33}, 1, voltage}),
            Refusal::BadAddress);
  EXPECT_EQ(refusal_of(wire::ReadRequest{wire::Rectangle{{}, 65535, 65535}, 1, voltage}),
            Refusal::BadAddress);
  wire::ProgramRequest pulses = program(1, 3);
  pulses.addresses[2] = outside;
  EXPECT_EQ(refusal_of(pulses), Refusal::BadAddress);
}

TEST_F(MockBoardTest, RefusesMoreDevicesThanItTakes) {
  settings.limits.max_devices_per_request = 20;
  start();
  EXPECT_EQ(refusal_of(wire::ReadRequest{wire::Rectangle{{}, 1, 21}, 1, Voltage::from_mV(200)}),
            Refusal::LimitExceeded);
  EXPECT_EQ(refusal_of(program(1, 21)), Refusal::LimitExceeded);
  EXPECT_EQ(ask<wire::ProgramReply>(program(1, 20)).devices_done, 20U);
}

TEST_F(MockBoardTest, ReadsItsReferences) {
  const auto reply = ask<wire::ReadReferencesReply>(wire::ReadReferencesRequest{255, {}});
  ASSERT_EQ(reply.references.size(), PcmParameters{}.references_uS().size());
  for (const wire::ReferenceReading& reading : reply.references) {
    const double code = reading.code_sum / 255.0;
    EXPECT_NEAR(code * PcmParameters{}.adc_step_uS, reading.nominal.uS(), 0.1);
  }
}

// ---- pulses ----------------------------------------------------------------------------------

TEST_F(MockBoardTest, APulseBatchTakesTheTimeOfItsPulses) {
  wire::ProgramRequest request = program(9, 10);
  request.amplitudes_10nA[4] = request.amplitudes_10nA[5] = 0;
  const auto reply = ask<wire::ProgramReply>(request);
  EXPECT_EQ(reply.batch, 9U);
  EXPECT_EQ(reply.devices_done, 10U);
  EXPECT_EQ(reply.pulses_executed, 8U);
  EXPECT_EQ(reply.first, kOverhead);
  EXPECT_EQ(reply.last - reply.first, 8 * board->chip().pulse_time(kWidth));
  EXPECT_EQ(board->busy(), 8 * board->chip().pulse_time(kWidth));
  EXPECT_EQ(board->chip().pulses_of(kShape.at(3)), 1U);
  EXPECT_EQ(board->chip().pulses_of(kShape.at(4)), 0U);
}

TEST_F(MockBoardTest, AnInitialisationCountsEachPulseThatGoesOut) {
  const std::vector<wire::Pulse> pulses{{Current::from_uA(450), Duration(50)},
                                        {Current::from_uA(0), Duration(1000)},
                                        {Current::from_uA(100), Duration(1000)}};
  const auto reply =
      ask<wire::InitialiseReply>(wire::InitialiseRequest{3, pulses, wire::Rectangle{{}, 2, 10}});
  EXPECT_EQ(reply.devices_done, 20U);
  EXPECT_EQ(reply.pulses_executed, 40U);
  EXPECT_EQ(reply.last - reply.first, 20 * (board->chip().pulse_time(Duration(50)) +
                                            board->chip().pulse_time(Duration(1000))));
}

TEST_F(MockBoardTest, RefusesPulsesBeyondItsLimitsAndExecutesNoneOfThem) {
  EXPECT_EQ(ask<wire::ProgramReply>(program(1, 5, 50000)).pulses_executed, 5U);
  EXPECT_EQ(refusal_of(program(2, 5, 50001)), Refusal::LimitExceeded);
  for (const Duration width : {Duration(49), Duration(10001)}) {
    wire::ProgramRequest request = program(2, 5, 0);
    request.width = width;
    EXPECT_EQ(refusal_of(request), Refusal::LimitExceeded);
    const std::vector<wire::Pulse> pulses{{Current::from_uA(100), kWidth},
                                          {Current::from_uA(0), width}};
    EXPECT_EQ(refusal_of(wire::InitialiseRequest{2, pulses, wire::DeviceList{devices(5)}}),
              Refusal::LimitExceeded);
  }
  const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
  EXPECT_EQ(status.pulses_executed, 5U);
  EXPECT_EQ(status.recent_batches.size(), 1U);
  EXPECT_EQ(board->chip().pulses_of(kShape.at(0)), 1U);
}

TEST_F(MockBoardTest, LimitsThePulsesOfADeviceSinceBoot) {
  settings.limits.max_pulses_per_device = 2;
  start();
  ask<wire::ProgramReply>(program(1, 5));
  ask<wire::ProgramReply>(program(2, 4));
  EXPECT_EQ(refusal_of(program(3, 5)), Refusal::LimitExceeded);
  wire::ProgramRequest thrice = program(4, 3);
  thrice.addresses.assign(3, kShape.at(9));
  EXPECT_EQ(refusal_of(thrice), Refusal::LimitExceeded);
  wire::ProgramRequest fifth = program(5, 1);
  fifth.addresses[0] = kShape.at(4);
  EXPECT_EQ(ask<wire::ProgramReply>(fifth).pulses_executed, 1U);
  board->reboot();
  EXPECT_EQ(ask<wire::ProgramReply>(program(6, 5)).pulses_executed, 5U);
}

TEST_F(MockBoardTest, RefusesPulsesWhileItIsTooHotAndCountsNone) {
  settings.limits.max_pulses_per_device = 1;
  start();
  board->set_temperature(TemperatureProfile(Temperature::from_K(358.5)));
  EXPECT_EQ(refusal_of(program(1, 5)), Refusal::OverTemperature);
  EXPECT_NEAR(ask<wire::TemperatureReply>(wire::TemperatureRequest{}).chip.K(), 358.5, 1e-9);
  board->set_temperature(TemperatureProfile(Temperature::from_K(358)));
  EXPECT_EQ(ask<wire::ProgramReply>(program(1, 5)).pulses_executed, 5U);
}

TEST_F(MockBoardTest, NamesTheWorstOfSeveralReasons) {
  ask<wire::ProgramReply>(program(1, 1));
  board->set_temperature(TemperatureProfile(Temperature::from_K(400)));
  wire::ProgramRequest request = program(1, 3, 60000);
  request.addresses[1] = {WordLine{100}, BitLine{0}};
  EXPECT_EQ(refusal_of(request), Refusal::DuplicateBatch);
  request.batch = 2;
  EXPECT_EQ(refusal_of(request), Refusal::BadAddress);
  request.addresses[1] = {};
  EXPECT_EQ(refusal_of(request), Refusal::LimitExceeded);
  request.amplitudes_10nA = {1, 1, 1};
  EXPECT_EQ(refusal_of(request), Refusal::OverTemperature);
}

TEST_F(MockBoardTest, RemembersTheLast64BatchesAndRefusesTheirNumbers) {
  for (std::uint64_t batch = 1; batch <= 70; ++batch) ask<wire::ProgramReply>(program(batch, 1));
  const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
  ASSERT_EQ(status.recent_batches.size(), 64U);
  EXPECT_EQ(status.recent_batches.front().batch, 7U);
  EXPECT_EQ(untimed(status.recent_batches.back()), (wire::BatchRecord{70, 1, 1, 1}));
  EXPECT_EQ(refusal_of(program(7, 1)), Refusal::DuplicateBatch);
  EXPECT_EQ(refusal_of(wire::InitialiseRequest{
                70, {{Current::from_uA(1), kWidth}}, wire::DeviceList{devices(1)}}),
            Refusal::DuplicateBatch);
}

TEST_F(MockBoardTest, TightensLimitsAndNeverLoosensThem) {
  wire::Limits asked = settings.limits;
  asked.max_amplitude = Current::from_uA(200);
  asked.min_width = Duration(100);
  asked.max_width = Duration(20000);
  asked.max_pulses_per_device = 3;
  asked.max_requests_in_flight = 99;
  wire::Limits expected = settings.limits;
  expected.max_amplitude = Current::from_uA(200);
  expected.min_width = Duration(100);
  expected.max_pulses_per_device = 3;
  EXPECT_EQ(ask<wire::SetLimitsReply>(wire::SetLimitsRequest{asked}).limits, expected);
  EXPECT_EQ(ask<wire::SetLimitsReply>(wire::SetLimitsRequest{settings.limits}).limits, expected);
  EXPECT_EQ(refusal_of(program(1, 1, 20001)), Refusal::LimitExceeded);
  EXPECT_EQ(ask<wire::InformationReply>(wire::InformationRequest{}).limits, expected);
}

TEST_F(MockBoardTest, AlwaysAllowsOneRequestInFlight) {
  wire::Limits asked = settings.limits;
  asked.max_requests_in_flight = 0;
  wire::Limits expected = settings.limits;
  expected.max_requests_in_flight = 1;
  EXPECT_EQ(ask<wire::SetLimitsReply>(wire::SetLimitsRequest{asked}).limits, expected);
  EXPECT_EQ(ask<wire::InformationReply>(wire::InformationRequest{}).limits, expected);
}

// ---- queue -----------------------------------------------------------------------------------

TEST_F(MockBoardTest, ExecutesOneRequestAtATimeInTheOrderOfArrival) {
  send(program(1, 1));
  send(wire::StatusRequest{});
  send(program(2, 1));
  EXPECT_EQ(board->queued_requests(), 3U);
  EXPECT_TRUE(board->work());
  EXPECT_EQ(board->queued_requests(), 2U);
  EXPECT_EQ(board->pulses_executed(), 1U);
  const auto all = replies();
  ASSERT_EQ(all.size(), 3U);
  const auto& status = std::get<wire::StatusReply>(all[1]);
  EXPECT_EQ(status.queued_requests, 1U);
  EXPECT_EQ(status.recent_batches.size(), 1U);
}

TEST_F(MockBoardTest, RefusesInItsTurnWhatDoesNotFitIntoTheQueue) {
  settings.limits.max_requests_in_flight = 2;
  start();
  for (std::uint64_t batch = 1; batch <= 3; ++batch) send(program(batch, 1));
  const auto all = replies();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_TRUE(std::holds_alternative<wire::ProgramReply>(all[1]));
  EXPECT_EQ(std::get<wire::RefusalReply>(all[2]).reason, Refusal::QueueFull);
  EXPECT_EQ(board->pulses_executed(), 2U);
  EXPECT_EQ(ask<wire::ProgramReply>(program(3, 1)).pulses_executed, 1U);
}

TEST_F(MockBoardTest, AbortDropsWhatIsQueuedAndIsTakenByAFullQueue) {
  settings.limits.max_requests_in_flight = 3;
  start();
  for (std::uint64_t batch = 1; batch <= 3; ++batch) send(program(batch, 1));
  ASSERT_TRUE(board->work());
  send(wire::AbortRequest{});
  send(wire::StatusRequest{});
  const auto all = replies();
  ASSERT_EQ(all.size(), 5U);
  EXPECT_TRUE(std::holds_alternative<wire::ProgramReply>(all[0]));
  EXPECT_EQ(std::get<wire::RefusalReply>(all[1]).reason, Refusal::Aborted);
  EXPECT_EQ(std::get<wire::RefusalReply>(all[2]).reason, Refusal::Aborted);
  EXPECT_EQ(std::get<wire::AbortReply>(all[3]).requests_dropped, 2U);
  EXPECT_EQ(std::get<wire::StatusReply>(all[4]).recent_batches.size(), 1U);
  EXPECT_EQ(ask<wire::AbortReply>(wire::AbortRequest{}).requests_dropped, 0U);
}

TEST_F(MockBoardTest, ALostConnectionDropsTheQueueAndNothingElse) {
  ask<wire::ProgramReply>(program(1, 1));
  const BoardTime before = board->now();
  send(program(2, 1));
  send(program(3, 1));
  ASSERT_TRUE(board->work());
  board->connection_lost();
  EXPECT_FALSE(board->work());
  answered = sequence;
  const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
  EXPECT_EQ(status.boot_epoch, 1U);
  EXPECT_EQ(status.recent_batches.size(), 2U);
  EXPECT_GT(status.now, before);
}

// ---- time ------------------------------------------------------------------------------------

TEST_F(MockBoardTest, TimePassesByWorkAndByRequestAlone) {
  EXPECT_EQ(board->now(), Duration(0));
  EXPECT_EQ(ask<wire::StatusReply>(wire::StatusRequest{}).now, Duration(0));
  EXPECT_EQ(ask<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{std::chrono::hours(1)}).now,
            std::chrono::hours(1));
  EXPECT_EQ(board->busy(), Duration(0));
}

TEST_F(MockBoardTest, TimeDoesNotStepBack) {
  ask<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{std::chrono::hours(2)});
  EXPECT_EQ(ask<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{std::chrono::hours(1)}).now,
            std::chrono::hours(2));
}

TEST_F(MockBoardTest, RefusesTimeBeyondTheEndOfItsClock) {
  ask<wire::AdvanceTimeReply>(wire::AdvanceTimeRequest{std::chrono::hours(24 * 365 * 200)});
  board->reboot();
  EXPECT_EQ(refusal_of(wire::AdvanceTimeRequest{std::chrono::hours(24 * 365 * 200)}),
            Refusal::LimitExceeded);
}

TEST_F(MockBoardTest, HasTimeForWorkWhenTheClockWasAdvancedAsFarAsItGoes) {
  BoardTime latest = BoardTime::max();
  const auto is_refused = [this](BoardTime until) {
    send(wire::AdvanceTimeRequest{until});
    return std::holds_alternative<wire::RefusalReply>(replies().at(0));
  };
  while (is_refused(latest)) latest -= latest / 100;
  const BoardTime before = board->now();
  EXPECT_GT(before, std::chrono::hours(24 * 365 * 200));
  for (int i = 0; i < 1000; ++i) {
    ask<wire::ReadReply>(wire::ReadRequest{wire::Rectangle{{}, 8, 32}, 255, Voltage{}});
  }
  EXPECT_GT(ask<wire::StatusReply>(wire::StatusRequest{}).now, before);
}

TEST_F(MockBoardTest, CountsAMalformedAbortThatItRefusedAsARequestInFlight) {
  for (int i = 0; i < 16; ++i) send(wire::StatusRequest{});
  board->receive(raw_frame(++sequence, 0x09, 0, std::vector<std::byte>(3)));
  send(wire::AbortRequest{});
  send(wire::AbortRequest{});
  const auto all = replies();
  ASSERT_EQ(all.size(), 19U);
  EXPECT_EQ(std::get<wire::RefusalReply>(all[16]).reason, Refusal::QueueFull);
  EXPECT_EQ(std::get<wire::AbortReply>(all[17]).requests_dropped, 16U);
  EXPECT_EQ(std::get<wire::AbortReply>(all[18]).requests_dropped, 0U);
}

TEST_F(MockBoardTest, RefusesWhatItIsNotCapableOf) {
  settings.capabilities = 0;
  start();
  EXPECT_EQ(refusal_of(wire::AdvanceTimeRequest{Duration(1)}), Refusal::Unsupported);
  EXPECT_EQ(refusal_of(wire::ReadReferencesRequest{1, {}}), Refusal::Unsupported);
}

TEST_F(MockBoardTest, ARebootForgetsEverythingButTheDevices) {
  ask<wire::ProgramReply>(program(1, 5));
  wire::Limits asked = settings.limits;
  asked.max_amplitude = Current::from_uA(1);
  ask<wire::SetLimitsReply>(wire::SetLimitsRequest{asked});
  send(wire::StatusRequest{});
  board->reboot(std::chrono::hours(1));
  EXPECT_FALSE(board->work());
  answered = sequence;
  const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
  EXPECT_EQ(status.boot_epoch, 2U);
  EXPECT_EQ(status.now, Duration(0));
  EXPECT_EQ(status.busy, Duration(0));
  EXPECT_EQ(status.pulses_executed, 0U);
  EXPECT_TRUE(status.recent_batches.empty());
  EXPECT_EQ(board->limits(), settings.limits);
  EXPECT_EQ(board->chip().pulses_of(kShape.at(0)), 1U);
}

TEST_F(MockBoardTest, ASlowBoardIsBusyForLongerThanItPromises) {
  settings.slowness = 3;
  start();
  EXPECT_EQ(ask<wire::InformationReply>(wire::InformationRequest{}).sample_time,
            std::chrono::microseconds(1));
  const auto read = ask<wire::ReadReply>(
      wire::ReadRequest{wire::DeviceList{devices(10)}, 5, Voltage::from_mV(200)});
  EXPECT_EQ(read.last - read.first, std::chrono::microseconds(3 * 50));
  const auto pulses = ask<wire::ProgramReply>(program(1, 10));
  EXPECT_EQ(pulses.last - pulses.first, 3 * 10 * board->chip().pulse_time(kWidth));
  EXPECT_EQ(ask<wire::StatusReply>(wire::StatusRequest{}).busy,
            std::chrono::microseconds(150) + (pulses.last - pulses.first));
}

// ---- stopped at work, and what was applied ---------------------------------------------------

TEST_F(MockBoardTest, ABatchThatIsStoppedAtWorkHasGivenItsFirstDevicesTheirPulses) {
  settings.limits.max_pulses_per_device = 1;
  start();
  wire::ProgramRequest request = program(1, 10);
  request.amplitudes_10nA[1] = 0;
  send(request);
  ASSERT_TRUE(board->work(0.45));
  board->connection_lost();
  answered = sequence;
  const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
  EXPECT_THAT(status.recent_batches,
              ElementsAre(ResultOf(untimed, wire::BatchRecord{1, 10, 4, 3})));
  EXPECT_EQ(status.pulses_executed, 3U);
  EXPECT_EQ(status.busy, 3 * board->chip().pulse_time(kWidth));
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(board->chip().pulses_of(kShape.at(i)), i < 4 && i != 1 ? 1U : 0U) << i;
  }
  // Those that were not reached have used up none of their pulses.
  wire::ProgramRequest rest = program(2, 6);
  for (std::size_t i = 0; i < 6; ++i) rest.addresses[i] = kShape.at(4 + i);
  EXPECT_EQ(ask<wire::ProgramReply>(rest).pulses_executed, 6U);
}

TEST_F(MockBoardTest, AnInitialisationThatIsStoppedAtWorkIsRecordedAsFarAsItCame) {
  const std::vector<wire::Pulse> twice(2, {Current::from_uA(450), kWidth});
  send(wire::InitialiseRequest{1, twice, wire::Rectangle{{}, 1, 10}});
  ASSERT_TRUE(board->work(0.7));
  send(wire::InitialiseRequest{2, twice, wire::Rectangle{{}, 1, 10}});
  ASSERT_TRUE(board->work(0));
  board->connection_lost();
  answered = sequence;
  const auto status = ask<wire::StatusReply>(wire::StatusRequest{});
  EXPECT_THAT(status.recent_batches,
              ElementsAre(ResultOf(untimed, wire::BatchRecord{1, 10, 7, 14}),
                          ResultOf(untimed, wire::BatchRecord{2, 10, 0, 0})));
  EXPECT_EQ(board->chip().pulses_of(kShape.at(6)), 2U);
  EXPECT_EQ(board->chip().pulses_of(kShape.at(7)), 0U);
}

TEST_F(MockBoardTest, KeepsALedgerOfTheLastBatchesOverReboots) {
  ask<wire::ProgramReply>(program(1, 1));
  EXPECT_TRUE(board->ledger().empty()) << "not asked for";
  settings.ledger_batches = 3;
  start();
  answered = sequence;
  ask<wire::ProgramReply>(program(1, 1));
  ask<wire::ProgramReply>(program(2, 5));
  refusal_of(program(2, 5));
  const BoardTime before_reboot = board->now();
  board->reboot(std::chrono::seconds(1));
  ask<wire::ProgramReply>(program(2, 5));
  send(program(4, 10));
  ASSERT_TRUE(board->work(0.5));
  ASSERT_EQ(board->ledger().size(), 3U);
  EXPECT_EQ(untimed(board->ledger()[0].batch), (wire::BatchRecord{2, 5, 5, 5}));
  EXPECT_EQ(board->ledger()[0].boot_epoch, 1U);
  EXPECT_EQ(
      board->ledger()[1],
      (AppliedBatch{2,
                    before_reboot + std::chrono::seconds(1) + kOverhead,
                    {2, 5, 5, 5, kOverhead, kOverhead + 5 * board->chip().pulse_time(kWidth)}}));
  EXPECT_EQ(untimed(board->ledger()[2].batch), (wire::BatchRecord{4, 10, 5, 5}));
}

}  // namespace
}  // namespace pcmlab::mock
