// SPDX-License-Identifier: Apache-2.0
// A programming over the USB during which the cable is pulled and put in again.
#include <gmock/gmock.h>

#include <atomic>
#include <map>
#include <optional>
#include <thread>

#include "driver/recovering_board.h"
#include "experiments/programming/placement.h"
#include "experiments/programming/program_and_verify.h"
#include "mock_device/board_thread.h"
#include "tests/experiments/paper_settings.h"
#include "tests/usb/usb_fixture.h"

namespace pcmlab::testing {
namespace {

constexpr ArrayShape kShape{64, 128};
constexpr std::size_t kDevices = 6000;
constexpr std::uint32_t kChunk = 256;

/// Devices that differ from each other, but do the same at each pulse and read the same at any
/// time. A read that is repeated shifts a device's later draws, so with noise a run that was
/// disturbed would measure other values, as good as those of an undisturbed one, but not the same.
mock::PcmParameters quiet_devices() {
  mock::PcmParameters parameters;
  parameters.adc_noise_lsb = 0;
  parameters.noise_amplitude = 0;
  parameters.melt_cycle_spread = parameters.melt_state_noise = 0;
  parameters.set_spread_slope = parameters.set_spread_uS = parameters.set_spread_memory_uS = 0;
  parameters.drift_mean_min = parameters.drift_mean_max = 0;
  parameters.drift_spread_min = parameters.drift_spread_max = 0;
  return parameters;
}

ProgramSettings settings() {
  ProgramSettings s = paper_settings();
  s.max_iterations = 12;
  s.give_up_after = 0;
  s.aim_age = {};  // targets do not depend on when exactly a device is read
  return s;
}

/// What a run leaves behind, in the database and on the chip.
struct Measured {
  std::vector<db::Verdict> verdicts;
  std::vector<std::uint8_t> iterations;
  std::vector<std::uint16_t> code_sums;
  std::vector<std::uint16_t> pulses;               ///< as the run counts them
  std::vector<std::uint64_t> pulses_of_chip;       ///< as the chip counts them
  std::map<std::uint64_t, std::uint32_t> batches;  ///< devices done, by the mock's ledger
  bool operator==(const Measured&) const = default;

  std::vector<std::uint64_t> pulses_of_run() const { return {pulses.begin(), pulses.end()}; }
};

/// Devices of which anything differs.
std::string difference(const Measured& a, const Measured& b) {
  std::string text;
  for (std::size_t d = 0; d < kDevices && text.size() < 500; ++d) {
    if (a.code_sums[d] == b.code_sums[d] && a.iterations[d] == b.iterations[d] &&
        a.pulses_of_chip[d] == b.pulses_of_chip[d]) {
      continue;
    }
    text += "; device " + std::to_string(d) + ": code sum " + std::to_string(a.code_sums[d]) +
            " for " + std::to_string(b.code_sums[d]) + ", iterations " +
            std::to_string(a.iterations[d]) + " for " + std::to_string(b.iterations[d]);
  }
  return text;
}

class UsbRunTest : public ::testing::Test {
 protected:
  /// One programming on a fresh chip. `disturb` runs beside it and may unplug and plug the device.
  /// Counts interruptions.
  std::optional<Measured> run(const std::function<void(const std::atomic<bool>& over)>& disturb) {
    mock::MockBoardSettings mock_settings;
    mock_settings.serial = device.settings().serial;
    mock_settings.limits.max_devices_per_request = kChunk;
    mock_settings.ledger_batches = 100000;
    auto mock = std::make_shared<mock::BoardThread>(
        std::make_unique<mock::FaultyBoard>(mock::PcmChip(quiet_devices(), kShape, 42, 1),
                                            mock_settings, mock::FaultPlan{}),
        mock::BoardPace{.latency = std::chrono::microseconds(20)}, [this] { device.changed(); });
    device.attach(usb_function(mock));
    device.plug();

    std::optional<Measured> measured;
    {
      auto transport = UsbTransport::open();
      EXPECT_TRUE(transport) << transport.error().message;
      auto opened = TestBoard::open(std::move(*transport));
      EXPECT_TRUE(opened) << opened.error().message;
      RecoveringBoard board(std::move(*opened), {});
      std::atomic<bool> over = false;
      std::thread beside([&] { disturb(over); });
      measured = program(board, *mock);
      over = true;
      beside.join();
      interruptions += board.interruptions();
    }
    device.attach(nullptr);
    device.unplug();
    return measured;
  }

  static std::optional<Measured> program(Board& board, mock::BoardThread& mock) {
    db::Placement placement;
    placement.shape = kShape;
    placement.addresses = place_devices(kDevices, kShape, {}).value();
    for (std::size_t d = 0; d < kDevices; ++d) {
      placement.targets_uS.push_back(d % 2 == 0 ? 0.004f * static_cast<float>(d) : 0.0f);
    }
    db::RunStore store = db::RunStore::open(":memory:").value();
    db::RunStart start;
    start.name = "test";
    start.board = board.information();
    const db::RowId run = store.begin_run(start).value();
    const db::RowId step = store.begin_step(run, 0, "program", "{}").value();
    db::ProgrammingStart programming;
    programming.run = run;
    programming.step = step;
    programming.gain_uS_per_code = 0.2;
    const db::RowId id = store.begin_programming(programming).value();
    EXPECT_TRUE(store.set_placement(id, placement));
    const auto clock = make_clock(board);
    RunControl control;
    ProgramAndVerify loop(board, *clock, store, id, settings(), Calibration{}, control);
    auto outcome = loop.run(placement, [](const ProgramPass&) { return Result<void>(); });
    EXPECT_TRUE(outcome) << outcome.error().message;
    if (!outcome) return std::nullopt;

    Measured measured;
    measured.verdicts = std::move(outcome->devices.verdicts);
    measured.iterations = std::move(outcome->devices.iterations);
    measured.code_sums = std::move(outcome->devices.last_code_sums);
    measured.pulses = std::move(outcome->devices.pulses);
    mock.visit([&](mock::FaultyBoard& faulty) {
      for (const DeviceAddress& address : placement.addresses) {
        measured.pulses_of_chip.push_back(faulty.board().chip().pulses_of(address));
      }
      for (const mock::AppliedBatch& applied : faulty.board().ledger()) {
        measured.batches[original_batch(applied.batch.batch)] += applied.batch.devices_done;
      }
    });
    return measured;
  }

  UsbBus bus;
  UsbDevice& device = bus.add();
  std::uint64_t interruptions = 0;
};

TEST_F(UsbRunTest, UnpluggedAtAnyMomentItMeasuresTheSameAndNoPulseIsLostOrDoubled) {
#ifdef PCMLAB_SANITIZED
  constexpr int kUnplugs = 10;
#else
  constexpr int kUnplugs = 100;
#endif
  const auto undisturbed = run([](const std::atomic<bool>&) {});
  ASSERT_TRUE(undisturbed);
  ASSERT_EQ(interruptions, 0U);
  for (std::size_t d = 0; d < kDevices; ++d) {
    ASSERT_EQ(undisturbed->pulses_of_chip[d], undisturbed->pulses[d]) << "device " << d;
  }
  std::mt19937 random(17);
  int unplugs = 0;
  for (int k = 0; unplugs < kUnplugs; ++k) {
    const auto disturbed = run([&](const std::atomic<bool>& over) {
      // At so many more transfers each time; whatever is on the way then is lost.
      while (!over) {
        const std::uint64_t at =
            device.counters().outs + std::uniform_int_distribution<unsigned>(1, 120)(random);
        const auto reached = [&] { return over || device.counters().outs >= at; };
        while (!device.wait_until(reached, soon())) {
        }
        if (over) return;
        device.unplug();
        device.plug();
        ++unplugs;
      }
    });
    ASSERT_TRUE(disturbed) << "run " << k;
    ASSERT_EQ(disturbed->pulses_of_chip, disturbed->pulses_of_run()) << "run " << k;
    ASSERT_EQ(disturbed->batches, undisturbed->batches) << "run " << k;
    ASSERT_TRUE(*disturbed == *undisturbed) << "run " << k << difference(*disturbed, *undisturbed);
  }
  // Between two calls to the board nothing is interrupted.
  EXPECT_GE(interruptions, static_cast<std::uint64_t>(unplugs / 2));
}

}  // namespace
}  // namespace pcmlab::testing
