// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "protocol/messages.h"

namespace pcmlab {

/// What a record says but for the times.
inline wire::BatchRecord untimed(wire::BatchRecord record) {
  record.first = record.last = {};
  return record;
}

}  // namespace pcmlab
