// SPDX-License-Identifier: Apache-2.0
// UsbTransport and a board that echoes: bytes through libusb and back.
#include <gmock/gmock.h>

#include "tests/usb/usb_fixture.h"

namespace pcmlab::testing {
namespace {

using ::testing::HasSubstr;
using UsbTransportTest = UsbTest;

TEST_F(UsbTransportTest, BytesGoToTheBoardAndComeBack) {
  const auto transport = open();
  ASSERT_TRUE(transport);
  EXPECT_EQ(transport->description(), "usb 1-1 serial PCM0001");
  ASSERT_TRUE(send(*transport, "hello"));
  EXPECT_EQ(text_of(receive(*transport, 5)), "hello");
}

}  // namespace
}  // namespace pcmlab::testing
