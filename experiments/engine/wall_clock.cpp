// SPDX-License-Identifier: Apache-2.0
#include "experiments/engine/wall_clock.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <optional>
#include <string_view>

namespace pcmlab {
namespace {

constexpr std::int64_t kNsPerS = 1'000'000'000;

/// What a format makes of all of a text.
std::optional<std::tm> read(const std::string& text, const char* format) {
  std::tm time{};
  const char* const end = strptime(text.c_str(), format, &time);
  if (end == nullptr || *end != '\0') return std::nullopt;
  return time;
}

/// \return nothing for a day that there is not, such as 30 February, or too far off.
std::optional<std::int64_t> utc_ns(std::tm time, bool is_utc = false) {
  constexpr std::time_t kLatest = 9'000'000'000;  // in the year 2255; nanoseconds end soon after
  const std::tm wanted = time;
  time.tm_isdst = -1;
  const std::time_t seconds = is_utc ? timegm(&time) : std::mktime(&time);
  if (time.tm_mday != wanted.tm_mday || time.tm_mon != wanted.tm_mon) return std::nullopt;
  if (seconds <= 0 || seconds > kLatest) return std::nullopt;
  return seconds * kNsPerS;
}

}  // namespace

Result<std::int64_t> wall_clock_time(const std::string& text, std::int64_t after_utc_ns) {
  std::string plain = text;
  std::replace(plain.begin(), plain.end(), 'T', ' ');
  const bool is_utc = plain.ends_with('Z');
  if (is_utc) plain.pop_back();
  for (const char* const format : {"%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"}) {
    const auto time = read(plain, format);
    if (!time) continue;
    if (const auto ns = utc_ns(*time, is_utc)) return *ns;
  }
  for (const char* const format : {"%H:%M", "%H:%M:%S"}) {
    const auto time = read(plain, format);
    if (!time || is_utc) continue;
    const std::time_t after = after_utc_ns / kNsPerS;
    std::tm day{};
    localtime_r(&after, &day);
    day.tm_hour = time->tm_hour;
    day.tm_min = time->tm_min;
    day.tm_sec = time->tm_sec;
    std::tm next = day;
    ++next.tm_mday;
    next.tm_isdst = -1;
    std::mktime(&next);  // 32 December becomes 1 January
    for (const std::tm& candidate : {day, next}) {
      const auto ns = utc_ns(candidate);
      if (ns && *ns > after_utc_ns) return *ns;
    }
  }
  return fail(
      ErrorCode::BadPlan, fmt::format("\"{}\" is not a time", text),
      "write 22:00, or 2026-12-24 18:00: this computer's local time; or a date and time in UTC "
      "with a Z");
}

}  // namespace pcmlab
