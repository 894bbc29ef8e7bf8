// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/wall_clock.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <string>

namespace pcmlab {
namespace {

constexpr std::int64_t kNsPerS = 1'000'000'000;
constexpr std::int64_t kHour = 3600 * kNsPerS;

/// With the computer in Zurich.
class WallClock : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const zone = std::getenv("TZ");
    had_zone_ = zone != nullptr;
    if (had_zone_) zone_ = zone;
    setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
    tzset();
  }
  void TearDown() override {
    if (had_zone_) {
      setenv("TZ", zone_.c_str(), 1);
    } else {
      unsetenv("TZ");
    }
    tzset();
  }

  bool had_zone_ = false;
  std::string zone_;
  std::int64_t evening_ = 1764007200 * kNsPerS;  ///< 2025-11-24 19:00 in Zurich
};

TEST_F(WallClock, ATimeOfDayIsTheNextOne) {
  EXPECT_EQ(wall_clock_time("22:00", evening_).value(), evening_ + 3 * kHour);
  EXPECT_EQ(wall_clock_time("18:30", evening_).value(), evening_ + 47 * kHour / 2);
  EXPECT_EQ(wall_clock_time("19:00", evening_).value(), evening_ + 24 * kHour);
  EXPECT_EQ(wall_clock_time("19:00:30", evening_).value(), evening_ + 30 * kNsPerS);
}

TEST_F(WallClock, ADayMayBeNamed) {
  EXPECT_EQ(wall_clock_time("2025-11-25 02:00", evening_).value(), evening_ + 7 * kHour);
  EXPECT_EQ(wall_clock_time("2025-11-25T02:00", evening_).value(), evening_ + 7 * kHour);
  EXPECT_EQ(wall_clock_time("2025-11-24 18:00:00", evening_).value(), evening_ - kHour);
  EXPECT_EQ(wall_clock_time("2025-11-25T01:00Z", evening_).value(), evening_ + 7 * kHour);
}

TEST_F(WallClock, KnowsThatANightCanHave25Hours) {
  const std::int64_t saturday = wall_clock_time("2026-10-24 22:00", 0).value();
  EXPECT_EQ(wall_clock_time("22:00", saturday).value(), saturday + 25 * kHour);
}

TEST_F(WallClock, SaysWhatIsNoTime) {
  for (const char* wrong :
       {"", "now", "25:00", "12:61", "22", "2026-02-30 12:00", "22:00 or so", "22:00Z"}) {
    const auto time = wall_clock_time(wrong, evening_);
    ASSERT_FALSE(time) << wrong;
    EXPECT_EQ(time.error().code, ErrorCode::BadPlan);
    EXPECT_THAT(time.error().message, ::testing::HasSubstr("is not a time"));
  }
}

}  // namespace
}  // namespace pcmlab
