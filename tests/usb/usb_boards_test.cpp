// SPDX-License-Identifier: Apache-2.0
// Which boards there are, and which can be opened.
#include <gmock/gmock.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include "tests/usb/usb_fixture.h"

namespace pcmlab::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class UsbBoardsTest : public UsbTest {
 protected:
  static Error error_of_open(const UsbFilter& filter = {}) {
    auto opened = UsbTransport::open(filter);
    EXPECT_FALSE(opened);
    return opened ? Error{} : opened.error();
  }
};

/// This thread opens files as nobody, who has no more rights than a file gives to others.
class AsNobody {
 public:
  AsNobody() { setfsuid(65534); }
  ~AsNobody() { setfsuid(geteuid()); }
  AsNobody(const AsNobody&) = delete;
  AsNobody& operator=(const AsNobody&) = delete;
};

TEST_F(UsbBoardsTest, TheListTellsWhoTheyAreAndWhere) {
  device.plug();
  bus.add({.serial = "PCM0002", .port = 4, .speed_Mbit = 5000, .product_name = "second"}).plug();
  bus.add({.serial = "X", .vendor = 0x1d50, .port = 5}).plug();
  const auto boards = list_usb_boards();
  ASSERT_TRUE(boards) << boards.error().message;
  ASSERT_EQ(boards->size(), 2U);
  EXPECT_EQ(boards->front().serial, "PCM0001");
  EXPECT_EQ(boards->front().port, "1-1");
  EXPECT_EQ(boards->front().speed_Mbit, 480U);
  EXPECT_EQ(boards->front().problem, "");
  EXPECT_EQ(boards->back().vendor, 0x1209);
  EXPECT_EQ(boards->back().product, 1);
  EXPECT_EQ(boards->back().serial, "PCM0002");
  EXPECT_EQ(boards->back().product_name, "second");
  EXPECT_EQ(boards->back().port, "1-4");
  EXPECT_EQ(boards->back().speed_Mbit, 5000U);
  EXPECT_EQ(boards->back().problem, "");
  EXPECT_EQ(list_usb_boards({.serial = "PCM0002"})->size(), 1U);
}

TEST_F(UsbBoardsTest, AnEmptyBusHasNone) {
  const auto boards = list_usb_boards();
  ASSERT_TRUE(boards);
  EXPECT_THAT(*boards, IsEmpty());
  const Error error = error_of_open();
  EXPECT_EQ(error.code, ErrorCode::Disconnected);
  EXPECT_THAT(error.advice, HasSubstr("Plug the board in"));
}

TEST_F(UsbBoardsTest, TheOnlyBoardNeedsNoSerialNumber) {
  device.plug();
  const auto opened = UsbTransport::open();
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->description(), "usb 1-1 serial PCM0001");
  EXPECT_EQ((*opened)->board().product_name, "pcmlab test board");
}

TEST_F(UsbBoardsTest, OfSeveralTheSerialNumberChooses) {
  device.plug();
  bus.add({.serial = "PCM0002", .port = 4}).plug();
  const auto opened = UsbTransport::open({.serial = "PCM0002"});
  ASSERT_TRUE(opened);
  EXPECT_EQ((*opened)->description(), "usb 1-4 serial PCM0002");
}

TEST_F(UsbBoardsTest, SeveralWithoutASerialNumberAreAmbiguousAndNamed) {
  device.plug();
  bus.add({.serial = "PCM0002", .port = 4}).plug();
  const Error error = error_of_open();
  EXPECT_EQ(error.code, ErrorCode::Refused);
  EXPECT_THAT(error.message, AllOf(HasSubstr("PCM0001 (usb 1-1)"), HasSubstr("PCM0002 (usb 1-4)")));
  EXPECT_THAT(error.advice, HasSubstr("serial number"));
}

TEST_F(UsbBoardsTest, AMissingSerialNumberIsAnErrorThatNamesTheOthers) {
  device.plug();
  const Error error = error_of_open({.serial = "PCM0009"});
  EXPECT_EQ(error.code, ErrorCode::Disconnected);
  EXPECT_THAT(error.message, AllOf(HasSubstr("PCM0009"), HasSubstr("PCM0001")));
}

TEST_F(UsbBoardsTest, WithoutTheRightToTheNodeTheUdevRuleIsAdvised) {
  device.set_mode(0600);
  device.plug();
  bus.open_to_everybody();
  const AsNobody nobody;
  const Error error = error_of_open();
  EXPECT_EQ(error.code, ErrorCode::Refused);
  EXPECT_THAT(error.message, HasSubstr("/dev/bus/usb/001/002"));
  EXPECT_THAT(error.advice, HasSubstr("70-pcmlab.rules"));
  const auto boards = list_usb_boards();
  ASSERT_TRUE(boards);
  ASSERT_EQ(boards->size(), 1U);
  EXPECT_EQ(boards->front().serial, "PCM0001");
  EXPECT_THAT(boards->front().problem, HasSubstr("udevadm control --reload"));
}

TEST_F(UsbBoardsTest, ABoardThatIsInUseIsBusy) {
  const auto first = open();
  ASSERT_TRUE(first);
  const Error error = error_of_open();
  EXPECT_EQ(error.code, ErrorCode::Busy);
  EXPECT_THAT(error.message, HasSubstr("another program holds it"));
  EXPECT_THAT(list_usb_boards()->front().problem, HasSubstr("another program holds it"));
  EXPECT_TRUE(send(*first, "still mine"));
  EXPECT_EQ(text_of(receive(*first, 10)), "still mine");
}

TEST_F(UsbBoardsTest, ADeviceWithoutABoardsInterfaceIsNoBoard) {
  bus.add({.serial = "MOUSE", .port = 6, .interface_class = 3}).plug();
  const Error error = error_of_open();
  EXPECT_EQ(error.code, ErrorCode::Incompatible);
  EXPECT_THAT(error.message, HasSubstr("bulk endpoint in each direction"));
}

TEST_F(UsbBoardsTest, ABoardWithoutASerialNumberCanBeUsed) {
  UsbDevice& anonymous = bus.add({.serial = "", .port = 2});
  anonymous.attach(echo);
  anonymous.plug();
  const auto opened = UsbTransport::open();
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ((*opened)->description(), "usb 1-2 without a serial number");
}

}  // namespace
}  // namespace pcmlab::testing
