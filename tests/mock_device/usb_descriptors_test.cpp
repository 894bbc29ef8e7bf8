// SPDX-License-Identifier: Apache-2.0
#include "mock_device/usb_descriptors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pcmlab::mock {
namespace {

using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::Optional;
using Bytes = std::vector<std::uint8_t>;

TEST(UsbDescriptors, OfHighSpeedAreUsb2) {
  const UsbDescriptors descriptors({}, UsbSpeed::High);
  EXPECT_THAT(descriptors.find(1, 0), Optional(Eq(Bytes{18, 1, 0x00, 0x02, 0xff, 0, 0, 64, 0x09,
                                                        0x12, 0x01, 0, 0x00, 0x01, 1, 2, 3, 1})));
  EXPECT_THAT(
      descriptors.find(2, 0),
      Optional(Eq(Bytes{9, 2, 32, 0, 1,    1, 0,    0xc0, 50, 9, 4, 0,    0, 2,    0xff, 0,
                        0, 0, 7,  5, 0x01, 2, 0x00, 2,    0,  7, 5, 0x81, 2, 0x00, 2,    0})));
  EXPECT_THAT(descriptors.find(6, 0), Optional(Eq(Bytes{10, 6, 0, 2, 0xff, 0, 0, 64, 1, 0})));
  EXPECT_EQ(descriptors.find(7, 0).value().at(22), 64);  // full-speed packets
  EXPECT_EQ(descriptors.find(15, 0), std::nullopt);
}

TEST(UsbDescriptors, OfSuperSpeedHaveCompanionsAndAnObjectStore) {
  const UsbDescriptors descriptors({}, UsbSpeed::Super);
  const Bytes device = descriptors.find(1, 0).value();
  EXPECT_EQ(device[3], 3);  // USB 3.0
  EXPECT_EQ(device[7], 9);  // control packets of 2^9 bytes
  EXPECT_THAT(descriptors.find(2, 0),
              Optional(Eq(Bytes{9, 2, 44, 0,    1, 1,    0, 0xc0, 50, 9,  4,  0,  0,  2, 0xff,
                                0, 0, 0,  7,    5, 0x01, 2, 0x00, 4,  0,  6,  48, 15, 0, 0,
                                0, 7, 5,  0x81, 2, 0x00, 4, 0,    6,  48, 15, 0,  0,  0})));
  const Bytes store = descriptors.find(15, 0).value();
  EXPECT_EQ(store.size(), store[2]);
  EXPECT_EQ(descriptors.find(6, 0), std::nullopt);
  EXPECT_EQ(descriptors.find(7, 0), std::nullopt);
}

TEST(UsbDescriptors, SayTheSerialNumberInUtf16) {
  UsbIdentity identity;
  identity.serial = "B7";
  const UsbDescriptors descriptors(identity, UsbSpeed::High);
  EXPECT_THAT(descriptors.find(3, 0), Optional(ElementsAre(4, 3, 9, 4)));
  EXPECT_THAT(descriptors.find(3, 3), Optional(ElementsAre(6, 3, 'B', 0, '7', 0)));
  EXPECT_EQ(descriptors.find(3, 4), std::nullopt);
}

TEST(UsbDescriptors, CutTextsThatAStringDescriptorCannotHold) {
  UsbIdentity identity;
  identity.serial = std::string(1000, 'x');
  const Bytes text = UsbDescriptors(identity, UsbSpeed::High).find(3, 3).value();
  EXPECT_EQ(text.size(), 254U);
  EXPECT_EQ(text[0], 254);
}

}  // namespace
}  // namespace pcmlab::mock
