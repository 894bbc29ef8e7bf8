// SPDX-License-Identifier: Apache-2.0
/// \file
/// The host's clocks and UTC text, as the results database keeps them. Private to db/.
/// Functions without state, callable from any thread.
#pragma once

#include <cstdint>
#include <ctime>
#include <string>

#include "db/records.h"

namespace pcmlab::db {

/// Nanoseconds of a clock of clock_gettime(2).
std::int64_t now_ns(clockid_t clock);

/// 2026-01-31T12:34:56.789Z, which SQLite's date functions understand.
std::string utc_text(std::int64_t utc_ns);

std::string utc_now();

/// The inverse of utc_text(), 0 for anything else.
std::int64_t utc_ns_of(const std::string& text);

// The host's clocks of a stamp; now for one that is 0.
std::int64_t boottime_of(const Stamp& stamp);
std::string utc_of(const Stamp& stamp);

}  // namespace pcmlab::db
