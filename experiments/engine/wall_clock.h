// SPDX-License-Identifier: Apache-2.0
/// \file
/// Times as people write them down. Pure functions but for the computer's time zone.
#pragma once

#include <cstdint>
#include <string>

#include "protocol/error.h"

namespace pcmlab {

/// \param text  local time: "22:00" (the next one after `after_utc_ns`), "2026-12-24 18:00", both
/// also with seconds; a T may stand for the space. A Z behind date and time: UTC
/// \return nanoseconds since 1970, UTC
/// Errors: BadPlan (neither, or a day or hour that there is not).
Result<std::int64_t> wall_clock_time(const std::string& text, std::int64_t after_utc_ns);

}  // namespace pcmlab
