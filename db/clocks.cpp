// SPDX-License-Identifier: Apache-2.0
#include "db/clocks.h"

#include <array>
#include <charconv>
#include <cstdio>

namespace pcmlab::db {

std::int64_t now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

std::string utc_text(std::int64_t utc_ns) {
  const std::time_t second = utc_ns / 1'000'000'000;
  const int millisecond = static_cast<int>(utc_ns / 1'000'000 % 1000);
  std::tm fields{};
  gmtime_r(&second, &fields);
  std::array<char, 80> text{};
  std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                fields.tm_year + 1900, fields.tm_mon + 1, fields.tm_mday, fields.tm_hour,
                fields.tm_min, fields.tm_sec, millisecond);
  return text.data();
}

std::string utc_now() { return utc_text(now_ns(CLOCK_REALTIME)); }

std::int64_t utc_ns_of(const std::string& text) {
  std::tm fields{};
  const char* const rest = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &fields);
  if (rest == nullptr || *rest != '.') {
    return 0;
  }
  std::int64_t millisecond = 0;
  std::from_chars(rest + 1, text.c_str() + text.size(), millisecond);
  return (static_cast<std::int64_t>(timegm(&fields)) * 1000 + millisecond) * 1'000'000;
}

std::int64_t boottime_of(const Stamp& stamp) {
  return stamp.boottime_ns != 0 ? stamp.boottime_ns : now_ns(CLOCK_BOOTTIME);
}

std::string utc_of(const Stamp& stamp) {
  return utc_text(stamp.utc_ns != 0 ? stamp.utc_ns : now_ns(CLOCK_REALTIME));
}

}  // namespace pcmlab::db
