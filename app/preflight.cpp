// SPDX-License-Identifier: Apache-2.0
#include "app/preflight.h"

#include <fmt/format.h>

#include <system_error>

#include "app/console.h"

namespace pcmlab::app {
namespace {

/// The folder of a file, or the nearest one above it that is there.
std::filesystem::path folder_there(const std::filesystem::path& file) {
  std::error_code error;
  std::filesystem::path folder = std::filesystem::absolute(file, error).parent_path();
  while (!std::filesystem::exists(folder, error) && folder != folder.root_path()) {
    folder = folder.parent_path();
  }
  return folder;
}

}  // namespace

std::vector<Moment> Preflight::timeline(const Plan& plan) const {
  std::vector<Moment> moments;
  double begun_s = 0;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    moments.push_back({begun_s, fmt::format("step {}: {}", i + 1, plan.steps[i].experiment)});
    for (const Moment& moment : steps[i].moments) {
      moments.push_back({begun_s + moment.after_s, moment.what});
    }
    begun_s += steps[i].chip_busy_s + steps[i].waiting_s;
    if (!virtual_time) begun_s += steps[i].host_s;
  }
  moments.push_back({begun_s, "end"});
  return moments;
}

Result<Preflight> preflight(const Plan& plan, const RunInputs& inputs,
                            const BoardInformation& board, const std::filesystem::path& database) {
  Preflight flight;
  flight.virtual_time = (board.capabilities & wire::kVirtualTime) != 0;
  PCM_ASSIGN(flight.steps, predict(plan, inputs, board));
  for (const Prediction& step : flight.steps) flight.total += step;
  const std::filesystem::path folder = folder_there(database);
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(folder, error);
  if (error) {
    return fail(ErrorCode::Io,
                fmt::format("cannot tell how much room there is in {}: {}", folder.string(),
                            error.message()),
                "choose another place with --database");
  }
  flight.free_bytes = static_cast<std::int64_t>(space.available);
  if (flight.free_bytes >= kRoomForEachByte * flight.total.bytes) {
    PCM_ASSIGN(flight.life, chip_life(plan, board, database));
    PCM_TRY(check_life(flight.life, flight.total));
    return flight;
  }
  return fail(
      ErrorCode::DiskFull,
      fmt::format("the run will add {} to the database, and {} has {} left: less than twice "
                  "as much",
                  bytes_text(flight.total.bytes), folder.string(), bytes_text(flight.free_bytes)),
      "make room, or choose another disk with --database");
}

}  // namespace pcmlab::app
