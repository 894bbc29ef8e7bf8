// SPDX-License-Identifier: Apache-2.0
#include "app/board.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "app/build_info.h"
#include "app/mock.h"
#include "driver/recording.h"
#include "driver/recording_transport.h"
#include "driver/recovering_board.h"
#include "driver/replay_transport.h"
#include "driver/test_board.h"
#include "driver/trace_transport.h"
#include "driver/usb_transport.h"

namespace pcmlab::app {
namespace {

UsbFilter usb_filter(const Plan& plan) {
  const ParameterValues& board = plan.section("board");
  return {static_cast<std::uint16_t>(board.integer("usb_vendor")),
          static_cast<std::uint16_t>(board.integer("usb_product")), board.text("serial")};
}

Result<std::unique_ptr<Transport>> transport_of(const Plan& plan, Purpose purpose) {
  const ParameterValues& board = plan.section("board");
  const std::string& recording = board.text("recording");
  if (board.text("kind") == "replay") {
    if (recording.empty()) {
      return fail(ErrorCode::BadPlan, "[board] kind = \"replay\" needs a recording",
                  "set recording to a file that [board] record made");
    }
    PCM_ASSIGN(std::unique_ptr<Transport> replay, ReplayTransport::open(recording));
    return replay;
  }
  if (!recording.empty()) {
    return fail(ErrorCode::BadPlan,
                fmt::format("[board] has recording = \"{}\", but kind = \"{}\"", recording,
                            board.text("kind")),
                "to replay it set kind = \"replay\"; to make a recording use the key record");
  }
  if (board.text("kind") == "usb") {
    PCM_ASSIGN(std::unique_ptr<Transport> usb, UsbTransport::open(usb_filter(plan)));
    return usb;
  }
  return mock_transport(plan.section("mock"), plan.section("faults"),
                        purpose == Purpose::Resume ? PlannedFaults::OfTheChip : PlannedFaults::All);
}

/// What RecordingWriter::create() would find, without making the file.
Result<void> check_can_be_made(const std::filesystem::path& file) {
  std::error_code ignored;
  if (std::filesystem::exists(file, ignored)) {
    return fail(ErrorCode::Io,
                fmt::format("[board] record: {} exists and is never overwritten", file.string()),
                "name another file, or move that one away");
  }
  const std::filesystem::path folder = std::filesystem::absolute(file, ignored).parent_path();
  if (!std::filesystem::is_directory(folder, ignored)) {
    return fail(ErrorCode::Io,
                fmt::format("[board] record: there is no folder {}", folder.string()),
                "make it, or record into another one");
  }
  return {};
}

/// The first line of a recording's header: the board that was recorded.
std::string recorded_board(const std::string& file) {
  std::array<char, 65536> begin{};
  std::ifstream in(file, std::ios::binary);
  in.read(begin.data(), begin.size());
  const auto bytes = std::as_bytes(std::span(begin)).first(static_cast<std::size_t>(in.gcount()));
  const auto recording = parse_recording({bytes.begin(), bytes.end()}, file);
  return recording && !recording->header.empty() ? recording->header.front() : std::string();
}

/// Without whether and where it is recorded.
std::string describe_source(const Plan& plan) {
  const ParameterValues& board = plan.section("board");
  if (board.text("kind") == "usb") {
    const UsbFilter filter = usb_filter(plan);
    return fmt::format("board {}on the USB, {:04x}:{:04x}",
                       filter.serial.empty() ? "" : filter.serial + " ", filter.vendor,
                       filter.product);
  }
  if (board.text("kind") != "replay") {
    return describe_mock(plan.section("mock"), plan.section("faults"));
  }
  const std::string recorded = recorded_board(board.text("recording"));
  return "replay of " + board.text("recording") + (recorded.empty() ? "" : ": " + recorded);
}

/// A recording does not come back when one waits for it.
std::chrono::milliseconds wait_for_board(const Plan& plan) {
  const ParameterValues& board = plan.section("board");
  if (board.text("kind") == "replay") return {};
  return std::chrono::milliseconds(std::llround(1000 * board.real("wait_for_board_s")));
}

}  // namespace

Result<std::unique_ptr<Transport>> open_transport(const Plan& plan, Purpose purpose) {
  PCM_ASSIGN(std::unique_ptr<Transport> transport, transport_of(plan, purpose));
  const std::string& record = plan.section("board").text("record");
  if (!record.empty() && purpose == Purpose::Check) PCM_TRY(check_can_be_made(record));
  if (!record.empty() && purpose == Purpose::Run) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const std::vector<std::string> header = {
        describe_source(plan), fmt::format("pcmlab {} ({})", kVersion, kGitRevision),
        fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now))};
    PCM_ASSIGN(std::unique_ptr<RecordingWriter> writer, RecordingWriter::create(record, header));
    transport = std::make_unique<RecordingTransport>(std::move(transport), std::move(writer));
  }
  return transport;
}

Result<std::unique_ptr<Board>> open_board(const Plan& plan, Purpose purpose,
                                          std::function<void(const BoardEvent&)> tell,
                                          std::stop_token stop,
                                          std::optional<EarlierWork> earlier) {
  PCM_ASSIGN(std::unique_ptr<Transport> transport, open_transport(plan, purpose));
  PCM_ASSIGN(std::unique_ptr<TestBoard> board, TestBoard::open(std::move(transport)));
  RecoverySettings recovery;
  recovery.wait_for_board = wait_for_board(plan);
  recovery.tell = std::move(tell);
  recovery.stop = std::move(stop);
  recovery.earlier = earlier;
  return std::make_unique<RecoveringBoard>(std::move(board), std::move(recovery));
}

Result<std::unique_ptr<Board>> open_rehearsal(const Plan& plan,
                                              std::function<void(const std::string&)> tell) {
  PCM_ASSIGN(auto mock, mock_transport(plan.section("mock"), plan.section("faults"),
                                       PlannedFaults::OfTheChip));
  PCM_ASSIGN(std::unique_ptr<TestBoard> board,
             TestBoard::open(std::make_unique<TraceTransport>(std::move(mock), std::move(tell))));
  return std::make_unique<RecoveringBoard>(std::move(board));
}

bool is_simulated(const Plan& plan) { return plan.section("board").text("kind") == "mock"; }

std::string describe_board(const Plan& plan) {
  const std::string& record = plan.section("board").text("record");
  return record.empty() ? describe_source(plan) : describe_source(plan) + "; recorded to " + record;
}

}  // namespace pcmlab::app
