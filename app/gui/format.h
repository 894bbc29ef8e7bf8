// SPDX-License-Identifier: Apache-2.0
/// \file
/// Numbers, times and texts as a person reads them on the screen: SI units, thin spaces between
/// thousands, local time. Pure functions.
#pragma once

#include <QString>
#include <cstdint>
#include <string_view>

namespace pcmlab::gui {

inline QString text(std::string_view utf8) {
  return QString::fromUtf8(utf8.data(), static_cast<int>(utf8.size()));
}

/// 723444 as "723 444", with narrow no-break spaces.
QString count_text(std::int64_t number);
/// 25 as "25 s", 5400 as "1.5 h", 86400 as "1 d"; three digits.
QString duration_text(double t_s);
/// Of a clock that runs down: 187 as "3:07", 9045 as "2:30:45", 180000 as "2 d 2:00:00".
QString countdown_text(double left_s);
/// "2026-11-23T19:59:43.474Z" as "23 Nov 2026 19:59" in local time; empty stays empty.
QString local_time_text(std::string_view utc);
/// Seconds between two such times; 0 if one is missing.
double seconds_between(std::string_view begin_utc, std::string_view end_utc);
/// From such a time until now.
double seconds_since(std::string_view utc);
/// 0.000123 V as "123 µV": three digits and an SI prefix. Without a unit: the number alone.
QString quantity_text(double value, const QString& unit);
/// Rounded to `digits` significant ones, without exponent where that is short, and U+2212 for
/// minus.
QString number_text(double value, int digits = 4);

}  // namespace pcmlab::gui
