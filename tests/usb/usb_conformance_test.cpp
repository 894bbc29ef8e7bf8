// SPDX-License-Identifier: Apache-2.0
// The checks of `pcmlab selftest` over UsbTransport, on a mock board along the wall clock.
#include <gmock/gmock.h>

#include "driver/conformance/conformance.h"
#include "mock_device/board_thread.h"
#include "tests/usb/usb_fixture.h"

namespace pcmlab::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class UsbConformanceTest : public ::testing::Test {
 protected:
  ~UsbConformanceTest() override {
    device.attach(nullptr);  // the mock's thread ends while the device is still there to be told
    mock.reset();
  }

  conformance::Report run(const mock::BoardPace& pace) {
    mock::MockBoardSettings settings;
    settings.serial = device.settings().serial;
    if (pace.time_scale > 0) settings.capabilities &= ~std::uint32_t{wire::kVirtualTime};
    mock = std::make_shared<mock::BoardThread>(
        std::make_unique<mock::FaultyBoard>(
            mock::PcmChip(mock::PcmParameters{}, ArrayShape{32, 512}, 42, 1), settings,
            mock::FaultPlan{}),
        pace, [this] { device.changed(); });
    device.attach(usb_function(mock));
    device.plug();
    auto transport = UsbTransport::open();
    if (!transport) {
      ADD_FAILURE() << transport.error().message;
      return {};
    }
    conformance::Settings wanted;
    wanted.silence = std::chrono::milliseconds(2);
    return conformance::run(**transport, wanted);
  }

  static std::vector<std::string> ids(const conformance::Report& report,
                                      conformance::Verdict verdict) {
    std::vector<std::string> found;
    for (const conformance::Outcome& outcome : report.outcomes) {
      if (outcome.verdict == verdict) found.push_back(outcome.check.id + ": " + outcome.found);
    }
    return found;
  }

  UsbBus bus;
  UsbDevice& device = bus.add();
  std::shared_ptr<mock::BoardThread> mock;
};

TEST_F(UsbConformanceTest, TheMockBoardPassesInRealTime) {
  mock::BoardPace pace;
  pace.time_scale = 1;
  pace.latency = std::chrono::microseconds(125);
  pace.bytes_per_s = 40e6;
  const conformance::Report report = run(pace);
  EXPECT_THAT(ids(report, conformance::Verdict::Failed), IsEmpty());
  EXPECT_GE(report.count(conformance::Verdict::Passed), 85U);
  EXPECT_THAT(report.notes, IsEmpty());
}

TEST_F(UsbConformanceTest, TheMockBoardPassesInVirtualTime) {
  const conformance::Report report = run({});
  EXPECT_THAT(ids(report, conformance::Verdict::Failed), IsEmpty());
  EXPECT_THAT(ids(report, conformance::Verdict::Skipped),
              ElementsAre("reads.sum_over_16_bits: 255 samples of this ADC fit 16 bits",
                          "clock.wall: needs real time, the board has virtual time"));
}

}  // namespace
}  // namespace pcmlab::testing
