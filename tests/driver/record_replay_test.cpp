// SPDX-License-Identifier: Apache-2.0
// Conversations recorded, and replayed as a board.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <functional>
#include <optional>

#include "driver/loopback_transport.h"
#include "driver/recording_transport.h"
#include "driver/replay_transport.h"
#include "driver/test_board.h"
#include "mock_device/faulty_board.h"
#include "tests/db/test_files.h"
#include "tests/driver/file_size_limit.h"
#include "tests/driver/scripted_board.h"

namespace pcmlab {
namespace {

using db::error_of;
using db::must;
using ::testing::AllOf;
using testing::devices;
using ::testing::ElementsAre;
using testing::FileSizeLimit;
using ::testing::HasSubstr;
using testing::kWidth;
using ::testing::Not;
using testing::PulseLog;
using testing::ReadLog;
using testing::scattered;
using testing::ScriptedBoard;
using testing::ScriptedTransport;

constexpr ArrayShape kShape{16, 64};
const std::vector<Pulse> kReset{{Current::from_uA(450), Duration(400)}};

/// Everything that a program gets to know from a board, as text.
struct Diary {
  std::vector<std::string> lines;

  void note(const std::string& line) { lines.push_back(line); }
  template <class T>
  bool note(const std::string& what, const Result<T>& result) {
    lines.push_back(what + ": " +
                    (result ? "good"
                            : std::string(to_string(result.error().code)) + ", " +
                                  result.error().message + ", " + result.error().advice));
    return result.has_value();
  }
  ReadSink read_sink() {
    return [this](const ReadChunk& chunk) -> Result<void> {
      std::string line = "read " + std::to_string(chunk.begin) + " at " +
                         std::to_string(chunk.first.count()) + " to " +
                         std::to_string(chunk.last.count()) + ":";
      for (const std::uint16_t sum : chunk.code_sums) line.append(" ").append(std::to_string(sum));
      lines.push_back(line);
      return {};
    };
  }
  PulseSink pulse_sink() {
    return [this](const PulseChunk& chunk) -> Result<void> {
      lines.push_back("batch " + std::to_string(chunk.batch) + ": " +
                      std::to_string(chunk.pulses_executed) + " pulses at " +
                      std::to_string(chunk.first.count()));
      return {};
    };
  }
};

/// What is done with a board, the same when it is recorded and when it is replayed.
using Story = std::function<void(TestBoard& board, Diary& diary)>;

Diary tell(std::unique_ptr<Transport> transport, const Story& story) {
  Diary diary;
  auto board = TestBoard::open(std::move(transport));
  if (!diary.note("open", board)) return diary;
  story(**board, diary);
  const LineCounters counters = (*board)->line_counters();
  diary.note(std::to_string(counters.repeated_requests) + " repeated, " +
             std::to_string(counters.ignored_replies) + " ignored, " +
             std::to_string(counters.bad_frames) + " bad frames, " +
             std::to_string(counters.skipped_bytes) + " bytes skipped");
  return diary;
}

class RecordReplay : public ::testing::Test {
 protected:
  std::unique_ptr<RecordingWriter> writer() {
    return must(RecordingWriter::create(file, std::vector<std::string>{"test"}));
  }
  /// The other end of a mock board with a chip of its own.
  std::unique_ptr<Transport> mock_line() {
    mock::MockBoardSettings settings;
    settings.limits.max_devices_per_request = 100;
    mock.emplace(mock::PcmChip(mock::PcmParameters{}, kShape, 42, 1), settings, faults);
    cable = std::make_shared<LoopbackCable>();
    LoopbackEnd end;
    end.take = [this](std::span<const std::byte> bytes) { mock->receive(bytes); };
    end.give = [this](std::vector<std::byte>& into) {
      const std::size_t before = into.size();
      while (into.size() == before && mock->work()) mock->take_output(into);
      if (!mock->unplugged()) return;
      cable->unplug();
      cable->replug();
    };
    end.disconnected = [this] { mock->connection_lost(); };
    return std::make_unique<LoopbackTransport>(std::move(end), cable);
  }
  Diary record(const Story& story) {
    return tell(std::make_unique<RecordingTransport>(mock_line(), writer()), story);
  }
  Diary replay(const Story& story) { return tell(must(ReplayTransport::open(file)), story); }

  db::TemporaryFolder folder;
  const std::filesystem::path file = folder / "board.rec";
  mock::FaultPlan faults;
  std::optional<mock::FaultyBoard> mock;
  std::shared_ptr<LoopbackCable> cable;
  std::vector<DeviceAddress> all = devices(kShape, 0, kShape.device_count());
};

/// Programs the whole array: reset, ten rounds of pulses whose amplitudes depend on what was read.
void program_array(TestBoard& board, Diary& diary, std::span<const DeviceAddress> all) {
  diary.note(board.information().serial);
  Limits limits{};
  limits.max_amplitude = Current::from_uA(460);
  diary.note("limits", board.set_limits(limits));
  diary.note("calibration", board.calibrate({}));
  diary.note("reset", board.initialise(1, kReset, all, diary.pulse_sink()));
  std::vector<std::uint16_t> amplitudes(all.size(), 10000);
  for (std::uint64_t round = 1; round <= 10; ++round) {
    diary.note("program", board.program(100 * round, kWidth, all, amplitudes, diary.pulse_sink()));
    ReadLog log;
    diary.note("verify", board.read(all, {}, log.sink()));
    for (std::size_t d = 0; d < log.sums.size(); ++d) {
      amplitudes[d] = log.sums[d] > 150 ? 0 : static_cast<std::uint16_t>(amplitudes[d] + 500);
    }
    diary.note("wait", board.advance_time_to(std::chrono::hours(round)));
  }
  diary.note("read", board.read(scattered(kShape, 250), {.samples = 9}, diary.read_sink()));
  const auto status = board.status();
  if (diary.note("status", status)) diary.note(std::to_string(status->pulses_executed));
  diary.note("temperature", board.temperature());
  diary.note("abort", board.abort());
}

TEST_F(RecordReplay, AWholeProgrammingIsReplayedAsItWas) {
  const Story story = [this](TestBoard& board, Diary& diary) { program_array(board, diary, all); };
  const Diary recorded = record(story);
  EXPECT_GT(recorded.lines.size(), 100U);
  for (const std::string& line : recorded.lines) EXPECT_THAT(line, Not(HasSubstr("refused")));
  EXPECT_EQ(replay(story).lines, recorded.lines);
  // As often as one likes, and the replay itself can be recorded.
  const auto again = folder / "again.rec";
  const Diary copied =
      tell(std::make_unique<RecordingTransport>(
               must(ReplayTransport::open(file)),
               must(RecordingWriter::create(again, std::vector<std::string>{"a replay"}))),
           story);
  EXPECT_EQ(copied.lines, recorded.lines);
  EXPECT_EQ(tell(must(ReplayTransport::open(again)), story).lines, recorded.lines);
}

TEST_F(RecordReplay, TheRecordingNeedsNoBoardToEndProperly) {
  const Story story = [](TestBoard& board, Diary& diary) { diary.note("s", board.status()); };
  record(story);
  EXPECT_FALSE(must(load_recording(file)).cut_off);
  EXPECT_THAT(must(load_recording(file)).header, ElementsAre("test"));
}

TEST_F(RecordReplay, AKilledProcessLosesNothingThatItHadAnAnswerTo) {
  const pid_t process = fork();
  if (process == 0) {
    record([](TestBoard& board, Diary& diary) {
      static_cast<void>(board.read(scattered(kShape, 250), {}, diary.read_sink()));
      std::raise(SIGKILL);
    });
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(process, &status, 0), process);
  ASSERT_TRUE(WIFSIGNALED(status));
  const Recording recording = must(load_recording(file));
  EXPECT_TRUE(recording.cut_off);
  const auto count = [&](RecordKind kind) {
    return std::count_if(recording.records.begin(), recording.records.end(),
                         [kind](const Record& record) { return record.kind == kind; });
  };
  // Hello, Information and three reads.
  EXPECT_EQ(count(RecordKind::ToBoard), 5);
  EXPECT_EQ(count(RecordKind::FromBoard), 5);
}

TEST_F(RecordReplay, AnUnpluggedBoardAndItsReturnAreReplayed) {
  // The third acknowledgement is cut: 20 bytes of header, 32 of payload, 4 of CRC each.
  const auto story = [this](bool live) {
    return [this, live](TestBoard& board, Diary& diary) {
      const std::vector<std::uint16_t> amplitudes(all.size(), 10000);
      if (live) cable->unplug_after_bytes_to_host(2 * 56 + 10);
      diary.note("program", board.program(1, kWidth, all, amplitudes, diary.pulse_sink()));
      diary.note("while it is out", board.status());
      diary.note("too early", board.reopen());
      diary.note("still too early", board.reopen());
      if (live) cable->replug();
      diary.note("reopen", board.reopen());
      const auto status = board.status();
      if (diary.note("status", status)) diary.note(std::to_string(status->pulses_executed));
      diary.note("the rest", board.program(4, kWidth, std::span(all).subspan(300),
                                           std::span(amplitudes).subspan(300), diary.pulse_sink()));
      if (live) cable->unplug();
      diary.note("out again", board.status());
    };
  };
  const Diary recorded = record(story(true));
  const std::string text = ::testing::PrintToString(recorded.lines);
  EXPECT_THAT(text, AllOf(HasSubstr("too early: disconnected"), HasSubstr("reopen: good"),
                          HasSubstr("the rest: good"), HasSubstr("out again: disconnected")));
  EXPECT_EQ(replay(story(false)).lines, recorded.lines);
}

TEST_F(RecordReplay, ACableLostInTheMiddleOfARequestIsReplayed) {
  const auto story = [this](bool live) {
    return [this, live](TestBoard& board, Diary& diary) {
      if (live) cable->unplug_after_bytes_to_board(100);
      diary.note("read", board.read(scattered(kShape, 250), {}, diary.read_sink()));
      if (live) cable->replug();
      diary.note("reopen", board.reopen());
      diary.note("read", board.read(scattered(kShape, 250), {}, diary.read_sink()));
    };
  };
  const Diary recorded = record(story(true));
  EXPECT_THAT(recorded.lines[1], HasSubstr("disconnected"));
  EXPECT_EQ(replay(story(false)).lines, recorded.lines);
}

TEST_F(RecordReplay, EveryFaultOfTheLineIsReplayed) {
  // Lost, damaged, cut, doubled and late frames of both directions, and unplugged boards.
  std::size_t repeated = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    std::filesystem::remove(file);
    faults = {};
    faults.seed = seed;
    faults.line.requests = {0.03, 0.03, 0.03, 0.03};
    faults.line.replies = {0.03, 0.03, 0.03, 0.03};
    faults.line.late_replies = 0.05;
    faults.line.spared = 2;
    faults.disconnect = {0, 0, 0.01};
    const Story story = [this](TestBoard& board, Diary& diary) {
      for (std::uint64_t round = 0; round < 6; ++round) {
        const auto read = board.read(scattered(kShape, 700), {}, diary.read_sink());
        diary.note("read", read);
        const std::vector<std::uint16_t> amplitudes(all.size(), 9000);
        diary.note("program",
                   board.program(1 + 20 * round, kWidth, all, amplitudes, diary.pulse_sink()));
        diary.note("status", board.status());
        if (!read && read.error().code == ErrorCode::Disconnected) {
          diary.note("reopen", board.reopen());
        }
      }
    };
    const Diary recorded = record(story);
    EXPECT_EQ(replay(story).lines, recorded.lines) << seed;
    repeated += recorded.lines.back().starts_with("0 repeated") ? 0 : 1;
  }
  EXPECT_GT(repeated, 10U);
}

TEST_F(RecordReplay, ARecordingThatWasCutOffReplaysUpToThereAndSaysSo) {
  const Story story = [this](TestBoard& board, Diary& diary) {
    diary.note("read", board.read(all, {}, diary.read_sink()));
  };
  const Diary whole = record(story);
  const std::string content = db::bytes_of_file(file);
  for (std::size_t size = 0; size < content.size(); size += 97) {
    db::write_file(file, content.substr(0, size));
    const Diary cut = replay(story);
    const std::string& outcome =
        cut.lines.size() < 2 ? cut.lines[0] : cut.lines[cut.lines.size() - 2];
    ASSERT_THAT(outcome, AllOf(HasSubstr("disconnected"), HasSubstr("the recording ends here"),
                               HasSubstr("it was cut off")))
        << size;
    for (std::size_t i = 1; i + 2 < cut.lines.size(); ++i) ASSERT_EQ(cut.lines[i], whole.lines[i]);
  }
}

TEST_F(RecordReplay, AFullDiskEndsTheConversationAndTheFileReplaysUpToThere) {
  std::size_t rounds = 0;
  const Story story = [this, &rounds](TestBoard& board, Diary& diary) {
    Result<void> result;
    for (rounds = 0; result && rounds < 100; ++rounds) {
      result = board.read(all, {}, diary.read_sink());
    }
    diary.note("outcome", result);
    diary.note("later", board.status());
    diary.note("reopen", board.reopen());
  };
  Diary recorded;
  {
    const FileSizeLimit limit(20'000);
    recorded = record(story);
  }
  EXPECT_GT(rounds, 2U);
  EXPECT_LT(rounds, 100U);
  for (std::size_t back = 2; back <= 4; ++back) {
    EXPECT_THAT(recorded.lines[recorded.lines.size() - back],
                AllOf(HasSubstr(": disk full, "), HasSubstr("recording the conversation"),
                      HasSubstr(file.string()), HasSubstr("Make room")));
  }
  EXPECT_TRUE(must(load_recording(file)).cut_off);
  const std::size_t recorded_rounds = rounds;
  const Diary replayed = replay(story);
  EXPECT_EQ(rounds, recorded_rounds);
  EXPECT_THAT(replayed.lines[replayed.lines.size() - 4],
              AllOf(HasSubstr("disconnected"), HasSubstr("cut off")));
}

// ---- differences -----------------------------------------------------------------------------

/// One call to a board, recorded one way and replayed another.
class ReplayDifference : public ::testing::Test {
 protected:
  using Call = std::function<Result<void>(TestBoard&)>;

  void record(const Call& call) {
    std::filesystem::remove(file);
    auto board = must(TestBoard::open(std::make_unique<RecordingTransport>(
        std::make_unique<ScriptedTransport>(std::make_shared<ScriptedBoard>()),
        must(RecordingWriter::create(file, {})))));
    must(board->status());
    must(call(*board));
  }
  Error replay(const Call& call) {
    auto board = must(TestBoard::open(must(ReplayTransport::open(file))));
    must(board->status());
    Error error = error_of(call(*board));
    // It is final.
    EXPECT_EQ(error_of(board->status()).code, error.code);
    EXPECT_EQ(error_of(board->reopen()).code, error.code);
    return error;
  }
  Error difference(const Call& recorded, const Call& asked) {
    record(recorded);
    return replay(asked);
  }

  db::TemporaryFolder folder;
  const std::filesystem::path file = folder / "board.rec";
};

/// Calls with something to change.
struct ProgramCall {
  std::uint64_t batch = 12;
  Duration width{400};
  std::vector<DeviceAddress> addresses = scattered(kShape, 5);
  std::vector<std::uint16_t> amplitudes{9000, 9100, 9310, 9000, 9000};

  Result<void> operator()(TestBoard& board) const {
    return board.program(batch, width, addresses, amplitudes, PulseLog().sink());
  }
};

TEST_F(ReplayDifference, ABatchNumberComesWithTheDatabaseAsTheReason) {
  ProgramCall asked;
  asked.batch = 17;
  const Error higher = difference(ProgramCall(), asked);
  EXPECT_EQ(higher.code, ErrorCode::Refused);
  EXPECT_THAT(higher.message,
              AllOf(HasSubstr("replay of " + file.string() +
                              " differs at request 4 of 4 (Program, "
                              "5 devices, batch 12, recorded at 0."),
                    HasSubstr("): batch number 17, recorded 12;"), Not(HasSubstr("width 400"))));
  EXPECT_THAT(higher.advice, HasSubstr("replay into one that has not seen this board"));
  asked.batch = 1;
  EXPECT_THAT(difference(ProgramCall(), asked).advice,
              HasSubstr("replay into a copy of it from before that run"));
}

TEST_F(ReplayDifference, ADevicesAmplitudeIsNamedWithTheDevice) {
  ProgramCall asked;
  asked.amplitudes[2] = 9520;
  const Error one = difference(ProgramCall(), asked);
  EXPECT_THAT(one.message, HasSubstr("): device 3 of 5 (word line 1, bit line 15): amplitude 95.20 "
                                     "uA, recorded 93.10 uA;"));
  EXPECT_THAT(one.advice, HasSubstr("replay with the plan"));
  asked.amplitudes[4] = 9520;
  asked.width = Duration(500);
  EXPECT_THAT(difference(ProgramCall(), asked).message,
              HasSubstr("): width 500 ns, recorded 400 ns; device 3 of 5 (word line 1, bit line "
                        "15): amplitude 95.20 uA, recorded 93.10 uA (and 1 more);"));
}

TEST_F(ReplayDifference, OtherDevicesAreNamedByTheirLines) {
  ProgramCall asked;
  asked.addresses[1] = DeviceAddress{WordLine{9}, BitLine{42}};
  EXPECT_THAT(difference(ProgramCall(), asked).message,
              HasSubstr("device 2 of 5: word line 9, bit line 42, recorded word line 0, bit line "
                        "42"));
  asked = ProgramCall();
  asked.addresses.pop_back();
  asked.amplitudes.pop_back();
  EXPECT_THAT(difference(ProgramCall(), asked).message,
              HasSubstr("): number of devices 4, recorded 5;"));
}

TEST_F(ReplayDifference, AnotherKindOfRequestIsNamed) {
  const Call read = [](TestBoard& board) {
    return board.read(scattered(kShape, 7), {}, ReadLog().sink());
  };
  EXPECT_THAT(difference(read, ProgramCall()).message,
              HasSubstr("differs at request 4 of 4 (Read, 7 devices, recorded at"));
  EXPECT_THAT(difference(read, ProgramCall()).message,
              HasSubstr("the recording has Read here, the program asked for Program"));
}

TEST_F(ReplayDifference, ReadsDifferInSamplesVoltageAndDevices) {
  const auto read = [](std::size_t devices, const ReadSettings& settings) -> Call {
    return [=](TestBoard& board) {
      return board.read(scattered(kShape, devices), settings, ReadLog().sink());
    };
  };
  EXPECT_THAT(difference(read(7, {}), read(7, {.samples = 9})).message,
              HasSubstr("): samples 9, recorded 5"));
  EXPECT_THAT(difference(read(7, {}), read(7, {.read_voltage = Voltage::from_mV(150)})).message,
              HasSubstr("): read voltage 150 mV, recorded 200 mV"));
  EXPECT_THAT(difference(read(7, {}), read(8, {})).message,
              HasSubstr("): number of devices 8, recorded 7"));
  // Ten devices in a request: the second request of the call differs.
  EXPECT_THAT(difference(read(17, {}), read(18, {})).message,
              AllOf(HasSubstr("request 5 of 5"), HasSubstr("number of devices 8, recorded 7")));
  const Call square = [](TestBoard& board) {
    return board.read(devices(kShape, 0, 7), {}, ReadLog().sink());
  };
  EXPECT_THAT(difference(read(7, {}), square).message,
              HasSubstr("device 1 of 7: word line 0, bit line 0, recorded word line 0, bit line "
                        "5 (and 6 more)"));
}

TEST_F(ReplayDifference, TheOtherRequestsSayWhatDiffersToo) {
  const auto initialise = [](const std::vector<Pulse>& sequence) -> Call {
    return [sequence](TestBoard& board) {
      return board.initialise(3, sequence, scattered(kShape, 5), PulseLog().sink());
    };
  };
  const Pulse stronger{Current::from_uA(460), Duration(400)};
  EXPECT_THAT(difference(initialise(kReset), initialise({stronger})).message,
              HasSubstr("): pulse 1 of the sequence 460.00 uA for 400 ns, recorded 450.00 uA for "
                        "400 ns"));
  EXPECT_THAT(difference(initialise(kReset), initialise({kReset[0], stronger})).message,
              HasSubstr("): pulses in the sequence 2, recorded 1;"));
  const auto wait = [](Duration by) -> Call {
    return [by](TestBoard& board) -> Result<void> {
      PCM_TRY(board.advance_time_to(by));
      return {};
    };
  };
  EXPECT_THAT(difference(wait(Duration(5)), wait(Duration(6))).message,
              HasSubstr("): time 6 ns, recorded 5 ns"));
  const auto limit = [](double amplitude_uA) -> Call {
    return [amplitude_uA](TestBoard& board) -> Result<void> {
      Limits limits{};
      limits.max_amplitude = Current::from_uA(amplitude_uA);
      PCM_TRY(board.set_limits(limits));
      return {};
    };
  };
  EXPECT_THAT(difference(limit(90), limit(95)).message,
              HasSubstr("): highest amplitude 95.00 uA, recorded 90.00 uA"));
}

TEST_F(ReplayDifference, BeyondTheEndThereIsNothing) {
  const Call nothing = [](TestBoard&) -> Result<void> { return {}; };
  record(nothing);
  const Error error = replay(ProgramCall());
  EXPECT_EQ(error.code, ErrorCode::Disconnected);
  EXPECT_THAT(error.message, AllOf(HasSubstr("the recording ends here, after 3 requests and 0."),
                                   HasSubstr("the program asked for Program, 5 devices, batch 12"),
                                   Not(HasSubstr("cut off"))));
}

// ---- the transport alone ---------------------------------------------------------------------

/// Recordings put together record by record, and what a program without patience hears of them.
class ReplayTransportTest : public ::testing::Test {
 protected:
  static std::vector<std::byte> request(std::uint32_t sequence) {
    std::vector<std::byte> frame;
    encode(wire::Request(wire::StatusRequest{}), sequence, frame);
    return frame;
  }
  static std::vector<std::byte> reply(std::uint32_t sequence) {
    std::vector<std::byte> frame;
    encode(wire::Reply(wire::StatusReply{}), wire::MessageType::Status, sequence, frame);
    return frame;
  }
  static std::vector<std::byte> joined(std::vector<std::byte> a, const std::vector<std::byte>& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
  }
  void sent(std::span<const std::byte> bytes) { must(writer->record(RecordKind::ToBoard, bytes)); }
  void came(std::span<const std::byte> bytes) {
    must(writer->record(RecordKind::FromBoard, bytes));
  }
  void failed(RecordKind kind, ErrorCode code) {
    must(writer->record(kind, Error{code, "as it was", "do this"}));
  }
  void start() {
    must(writer->close());
    transport = must(ReplayTransport::open(file));
  }
  Result<void> send(std::span<const std::byte> bytes) { return transport->send(bytes, {}); }
  Result<std::vector<std::byte>> receive() {
    std::vector<std::byte> bytes;
    PCM_TRY(transport->receive(bytes, {}));
    return bytes;
  }

  db::TemporaryFolder folder;
  const std::filesystem::path file = folder / "made.rec";
  std::unique_ptr<RecordingWriter> writer = must(RecordingWriter::create(file, {}));
  std::unique_ptr<ReplayTransport> transport;
};

TEST_F(ReplayTransportTest, AReplyComesOnceItsRequestWasSentAndNotBefore) {
  // Both were sent before the first answer was fetched; a replaying program may fetch earlier.
  sent(request(1));
  sent(request(2));
  came(joined(reply(1), reply(2)));
  start();
  must(send(request(1)));
  EXPECT_EQ(must(receive()), reply(1));
  must(send(request(2)));
  EXPECT_EQ(must(receive()), reply(2));
}

TEST_F(ReplayTransportTest, WaitingWhereTheRecordingGoesOnIsADifference) {
  sent(request(1));
  sent(request(2));
  came(reply(1));
  start();
  must(send(request(1)));
  must(receive());
  const Error error = error_of(receive());
  EXPECT_EQ(error.code, ErrorCode::Refused);
  EXPECT_THAT(error.message, AllOf(HasSubstr("differs at request 2 of 2 (Status, recorded at"),
                                   HasSubstr("the program waits for the board instead")));
  EXPECT_EQ(error_of(send(request(2))).message, error.message);
}

TEST_F(ReplayTransportTest, NoiseKeepsItsPlaceAndRepliesAreWholeAgain) {
  const std::vector<std::byte> noise(5, std::byte{0x55});
  std::vector<std::byte> damaged = reply(2);
  damaged[25] ^= std::byte{1};
  const auto answer = reply(3);
  sent(request(1));
  came(joined(reply(1), noise));
  sent(request(2));
  came(damaged);
  sent(request(3));
  came(std::span(answer).first(10));
  came(std::span(answer).subspan(10));
  came(answer);  // said twice
  start();
  must(send(request(1)));
  EXPECT_EQ(must(receive()), reply(1));
  EXPECT_EQ(must(receive()), noise);
  EXPECT_EQ(error_of(receive()).code, ErrorCode::Timeout);  // after noise, and it is not final
  must(send(request(2)));
  EXPECT_EQ(must(receive()), damaged);
  must(send(request(3)));
  const std::vector<std::byte> half = must(receive());
  EXPECT_EQ(joined(half, must(receive())), answer);
  EXPECT_EQ(must(receive()), answer);
  const Error end = error_of(receive());
  EXPECT_EQ(end.code, ErrorCode::Disconnected);
  EXPECT_THAT(end.message, HasSubstr("the program waits for the board"));
}

TEST_F(ReplayTransportTest, TimeoutsComeWhereTheyWereAndAtOnce) {
  sent(request(1));
  failed(RecordKind::ReceiveFailed, ErrorCode::Timeout);
  sent(request(2));
  came(joined(reply(1), reply(2)));
  failed(RecordKind::ReceiveFailed, ErrorCode::Timeout);
  sent(request(3));
  failed(RecordKind::SendFailed, ErrorCode::Timeout);
  start();
  must(send(request(1)));
  const Error late = error_of(receive());
  EXPECT_EQ(late.code, ErrorCode::Timeout);
  EXPECT_EQ(late.message, "as it was");
  EXPECT_EQ(late.advice, "do this");
  must(send(request(2)));
  EXPECT_EQ(must(receive()), reply(1));
  EXPECT_EQ(must(receive()), reply(2));
  EXPECT_EQ(error_of(receive()).code, ErrorCode::Timeout);
  EXPECT_EQ(error_of(send(request(3))).message, "as it was");
}

TEST_F(ReplayTransportTest, IsDisconnectedUntilItIsReopenedAsRecorded) {
  sent(request(1));
  came(joined(reply(1), reply(1)));
  sent(request(2));
  failed(RecordKind::SendFailed, ErrorCode::Disconnected);
  failed(RecordKind::ReopenFailed, ErrorCode::Timeout);
  must(writer->record(RecordKind::Reopened));
  sent(request(3));
  came(reply(3));
  start();
  must(send(request(1)));
  EXPECT_EQ(must(receive()), reply(1));
  EXPECT_EQ(error_of(send(request(2))).code, ErrorCode::Disconnected);
  EXPECT_EQ(must(receive()), reply(1));  // was on its way already
  EXPECT_EQ(error_of(receive()).code, ErrorCode::Disconnected);
  EXPECT_EQ(error_of(send(request(3))).code, ErrorCode::Disconnected);
  EXPECT_EQ(error_of(transport->reopen({})).code, ErrorCode::Timeout);
  EXPECT_EQ(error_of(send(request(3))).code, ErrorCode::Disconnected);
  must(transport->reopen({}));
  must(send(request(3)));
  EXPECT_EQ(must(receive()), reply(3));
  const Error error = error_of(transport->reopen({}));
  EXPECT_EQ(error.code, ErrorCode::Disconnected);
  EXPECT_THAT(error.message, HasSubstr("the program opens the connection again"));
}

TEST_F(ReplayTransportTest, ReopeningElsewhereIsADifference) {
  sent(request(1));
  came(reply(1));
  must(writer->record(RecordKind::Reopened));
  sent(request(2));
  start();
  const Error early = error_of(transport->reopen({}));
  EXPECT_EQ(early.code, ErrorCode::Refused);
  EXPECT_THAT(early.message, AllOf(HasSubstr("request 1 of 2 (Status"),
                                   HasSubstr("the program opens the connection again instead")));
  transport = must(ReplayTransport::open(file));
  must(send(request(1)));
  const Error late = error_of(send(request(2)));
  EXPECT_EQ(late.code, ErrorCode::Refused);
  EXPECT_THAT(late.message, AllOf(HasSubstr("where the connection was opened again (recorded at"),
                                  HasSubstr("the program asked for Status")));
}

TEST_F(ReplayTransportTest, AFailureThatNobodyHeardIsADifference) {
  sent(request(1));
  failed(RecordKind::ReceiveFailed, ErrorCode::Disconnected);
  must(writer->record(RecordKind::Reopened));
  start();
  must(send(request(1)));
  EXPECT_THAT(error_of(transport->reopen({})).message, HasSubstr("has not heard of \"as it was\""));
}

TEST_F(ReplayTransportTest, SequenceNumbersAndBytesThatAreNoRequestDifferToo) {
  sent(request(1));
  start();
  EXPECT_THAT(error_of(send(request(2))).message, HasSubstr("sequence number 2, recorded 1"));
  transport = must(ReplayTransport::open(file));
  std::vector<std::byte> damaged = request(1);
  damaged[9] = std::byte{0x7f};
  EXPECT_THAT(error_of(send(damaged)).message, HasSubstr("sent byte 9: 0x7f, recorded 0x00"));
  transport = must(ReplayTransport::open(file));
  const std::vector<std::byte> whole = request(1);
  EXPECT_THAT(error_of(send(std::span(whole).first(10))).message,
              HasSubstr("): bytes 10, recorded 24"));
}

TEST_F(ReplayTransportTest, EveryChangedByteOfARequestIsNoticed) {
  std::vector<std::byte> frame;
  wire::ProgramRequest program{7, Duration(400), scattered(kShape, 3), {9000, 9100, 9200}};
  encode(wire::Request(program), 1, frame);
  sent(frame);
  must(writer->close());
  for (std::size_t at = 0; at < frame.size(); ++at) {
    std::vector<std::byte> changed = frame;
    changed[at] ^= std::byte{0x10};
    transport = must(ReplayTransport::open(file));
    const Error error = error_of(send(changed));
    ASSERT_EQ(error.code, ErrorCode::Refused) << at;
    ASSERT_THAT(error.message, HasSubstr("): sent byte " + std::to_string(at) + ": "));
  }
}

TEST_F(ReplayTransportTest, AnEmptyRecordingAnswersNothing) {
  must(writer->close());
  db::write_file(file, "");
  transport = must(ReplayTransport::open(file));
  EXPECT_EQ(transport->description(), "replay of " + file.string());
  EXPECT_THAT(error_of(send(request(1))).message,
              AllOf(HasSubstr("ends here, after 0 requests"), HasSubstr("cut off")));
}

/// A line whose far end looks into the recording as soon as something arrives.
class WatchfulTransport final : public Transport {
 public:
  WatchfulTransport(std::filesystem::path file, std::size_t& seen)
      : file_(std::move(file)), seen_(seen) {}
  Result<void> send(std::span<const std::byte> bytes, Deadline /*deadline*/) override {
    const Recording so_far = must(load_recording(file_));
    if (so_far.records.empty()) return {};
    const Record& last = so_far.records.back();
    const bool same = last.kind == RecordKind::ToBoard &&
                      std::equal(bytes.begin(), bytes.end(), last.bytes.begin(), last.bytes.end());
    if (same) ++seen_;
    return {};
  }
  Result<void> receive(std::vector<std::byte>& /*into*/, Deadline /*deadline*/) override {
    return {};
  }
  Result<void> reopen(Deadline /*deadline*/) override { return {}; }
  std::string description() const override { return "watchful"; }

 private:
  std::filesystem::path file_;
  std::size_t& seen_;
};

TEST(RecordingTransport, ARequestIsInTheFileBeforeItIsOnItsWay) {
  const db::TemporaryFolder folder;
  const auto file = folder / "early.rec";
  std::size_t seen = 0;
  RecordingTransport transport(std::make_unique<WatchfulTransport>(file, seen),
                               must(RecordingWriter::create(file, {})));
  for (unsigned char i = 0; i < 10; ++i) {
    const std::vector<std::byte> bytes(100 + i, std::byte{i});
    must(transport.send(bytes, {}));
  }
  EXPECT_EQ(seen, 10u);
}

}  // namespace
}  // namespace pcmlab
