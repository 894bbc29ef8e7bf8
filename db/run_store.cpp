// SPDX-License-Identifier: Apache-2.0
#include "db/run_store.h"

#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <sstream>
#include <type_traits>

#include "db/schema.h"
#include "protocol/crc32c.h"

namespace pcmlab::db {

// Blobs are little-endian on disk and are copied as they are.
static_assert(std::endian::native == std::endian::little);

namespace {

// ---- names -----------------------------------------------------------------------------------

constexpr std::array kRunStates{RunState::Running, RunState::Complete, RunState::Stopped,
                                RunState::Failed, RunState::Interrupted};
constexpr std::array kBatchKinds{BatchKind::Reset, BatchKind::Staircase, BatchKind::Program};

template <class Values>
Result<typename Values::value_type> parse(const Values& values, const std::string& name) {
  for (const auto value : values) {
    if (to_string(value) == name) {
      return value;
    }
  }
  return fail(ErrorCode::BadFile, "unknown value '" + name + "'", "Use the newer pcmlab.");
}

// ---- clocks, processes, numbers --------------------------------------------------------------

std::int64_t now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

/// 2026-01-31T12:34:56.789Z, which SQLite's date functions understand.
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

/// The inverse of utc_text(), 0 for anything else.
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

/// A random (version 4) UUID.
std::string make_uuid() {
  std::array<unsigned char, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    const std::int64_t time = now_ns(CLOCK_REALTIME);
    std::memcpy(bytes.data(), &time, sizeof time);
  }
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) {
      text += '-';
    }
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 0xf];
  }
  return text;
}

/// A process, told from a later one of the same number and from those of other machines.
struct ProcessIdentity {
  std::string host;
  std::string host_boot_id;
  std::int64_t pid = 0;
  std::int64_t start_ticks = 0;  ///< 0: not known
};

/// Start of a process in clock ticks since boot; 0: not known; none: it is over.
std::optional<std::int64_t> start_ticks_of(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(file, line);
  const auto name_end = line.rfind(')');  // the name may hold anything
  if (name_end == std::string::npos) {
    return 0;
  }
  std::istringstream fields(line.substr(name_end + 1));
  std::string state;
  fields >> state;
  if (state == "Z" || state == "X") {
    return std::nullopt;  // dead, only not yet waited for
  }
  constexpr int kFieldsBetween = 18;  // state is field 3, starttime field 22 (proc(5))
  std::string skipped;
  for (int i = 0; i < kFieldsBetween; ++i) {
    fields >> skipped;
  }
  std::int64_t ticks = 0;
  fields >> ticks;
  return ticks;
}

ProcessIdentity this_process() {
  ProcessIdentity identity;
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  identity.host = host.data();
  std::ifstream("/proc/sys/kernel/random/boot_id") >> identity.host_boot_id;
  identity.pid = getpid();
  identity.start_ticks = start_ticks_of(identity.pid).value_or(0);
  return identity;
}

/// Whether a process of this machine is over. Of other machines nothing is known: not gone.
bool is_gone(const ProcessIdentity& process, const ProcessIdentity& self) {
  if (process.host != self.host) {
    return false;
  }
  if (process.host_boot_id != self.host_boot_id) {
    return true;
  }
  if (process.pid <= 0 || (kill(static_cast<pid_t>(process.pid), 0) != 0 && errno == ESRCH)) {
    return true;
  }
  const auto start_ticks = start_ticks_of(process.pid);
  return !start_ticks ||
         (*start_ticks != 0 && process.start_ticks != 0 && *start_ticks != process.start_ticks);
}

// ---- blobs -----------------------------------------------------------------------------------

template <class Number>
std::span<const std::byte> bytes_of(const std::vector<Number>& numbers) {
  return std::as_bytes(std::span(numbers));
}

template <class Number>
std::span<const std::byte> bytes_of(const std::vector<Number>& numbers, std::size_t first,
                                    std::size_t count) {
  return std::as_bytes(std::span(numbers).subspan(first, count));
}

template <class... Blobs>
std::uint32_t crc_of(const Blobs&... blobs) {
  std::uint32_t crc = 0;
  ((crc = wire::crc32c(blobs, crc)), ...);
  return crc;
}

template <class Number>
void append(std::vector<Number>& numbers, std::span<const std::byte> blob) {
  if (blob.empty()) {
    return;
  }
  const std::size_t old_size = numbers.size();
  numbers.resize(old_size + blob.size() / sizeof(Number));
  std::memcpy(numbers.data() + old_size, blob.data(),
              blob.size() / sizeof(Number) * sizeof(Number));
}

template <class Number>
std::vector<Number> numbers_of(std::span<const std::byte> blob) {
  std::vector<Number> numbers;
  append(numbers, blob);
  return numbers;
}

Result<void> check_crc(std::int64_t stored, std::uint32_t computed, const std::string& what) {
  if (stored != static_cast<std::int64_t>(computed)) {
    return fail(ErrorCode::BadFile, what + " is damaged: its checksum is wrong",
                "Take this part from a backup; the others can still be read.");
  }
  return {};
}

/// For blocks in device order: one must begin where the last one ended.
Result<void> check_contiguous(std::int64_t expected, std::int64_t first, const std::string& what) {
  if (first == expected) {
    return {};
  }
  return fail(ErrorCode::BadFile,
              first > expected
                  ? "devices " + std::to_string(expected) + " to " + std::to_string(first - 1) +
                        " of " + what + " are missing"
                  : "device " + std::to_string(first) + " of " + what + " is there more than once");
}

Result<void> check_count(std::int64_t expected, std::int64_t count, const std::string& what) {
  if (count == expected) {
    return {};
  }
  return fail(ErrorCode::BadFile,
              what + " has " + std::to_string(count) + " devices of " + std::to_string(expected));
}

// ---- reading and writing ---------------------------------------------------------------------

tl::unexpected<Error> not_found(const std::string& what, RowId id) {
  return fail(ErrorCode::NotFound, "there is no " + what + " " + std::to_string(id));
}

/// Runs `body` in a transaction (or a savepoint of the open one) and keeps its work if it succeeds.
template <class Body>
auto write(Database& database, const std::string& doing, const Body& body) -> decltype(body()) {
  const auto attempt = [&]() -> decltype(body()) {
    PCM_ASSIGN(auto transaction, database.begin(Access::Write));
    auto result = body();
    if (result) {
      PCM_TRY(transaction.commit());
    }
    return result;
  };
  auto result = attempt();
  if (!result) {
    return tl::unexpected<Error>(result.error().during(doing));
  }
  return result;
}

/// Runs `body` on one state of the database.
template <class Body>
auto read(Database& database, const std::string& doing, const Body& body) -> decltype(body()) {
  const auto attempt = [&]() -> decltype(body()) {
    PCM_ASSIGN(const auto transaction, database.begin(Access::Read));
    return body();
  };
  auto result = attempt();
  if (!result) {
    return tl::unexpected<Error>(result.error().during(doing));
  }
  return result;
}

/// All rows of a query; `row` makes one value of the statement's current row.
template <class Row, class... Values>
auto rows_of(Database& database, std::string_view sql, const Row& row, const Values&... values)
    -> Result<std::vector<typename std::invoke_result_t<Row, Statement&>::value_type>> {
  std::vector<typename std::invoke_result_t<Row, Statement&>::value_type> rows;
  PCM_ASSIGN(auto statement, database.prepare(sql));
  statement.bind(values...);
  for (;;) {
    PCM_ASSIGN(const bool more, statement.step());
    if (!more) {
      return rows;
    }
    PCM_ASSIGN(auto value, row(statement));
    rows.push_back(std::move(value));
  }
}

std::string number(std::int64_t value) { return std::to_string(value); }
std::string number(std::size_t value) { return std::to_string(value); }

constexpr std::string_view kSelectRun =
    "SELECT run.id, uuid, name, state, started_utc, ended_utc, error, plan_text, seed,"
    " program_version, git_revision, operator_name, sample, host, host_boot_id, pid,"
    " pid_start_ticks, serial, board_firmware, board_description, board_boot_epoch, network_name,"
    " network_sha256, weight_count, device_count, images"
    " FROM run LEFT JOIN board ON board.id = run.board_id ";

Result<RunRow> run_of(const Statement& row, const ProcessIdentity& self) {
  RunRow run;
  int column = 0;
  run.id = row.integer(column++);
  run.uuid = row.text(column++);
  run.name = row.text(column++);
  PCM_ASSIGN(run.state, parse(kRunStates, row.text(column++)));
  run.started_utc = row.text(column++);
  run.ended_utc = row.text(column++);
  run.error = row.text(column++);
  run.plan_text = row.text(column++);
  run.seed = static_cast<std::uint64_t>(row.integer(column++));
  run.program_version = row.text(column++);
  run.git_revision = row.text(column++);
  run.operator_name = row.text(column++);
  run.sample = row.text(column++);
  ProcessIdentity process;
  process.host = row.text(column++);
  process.host_boot_id = row.text(column++);
  process.pid = row.integer(column++);
  process.start_ticks = row.integer(column++);
  run.host = process.host;
  run.pid = process.pid;
  run.board_serial = row.text(column++);
  run.board_firmware = row.text(column++);
  run.board_description = row.text(column++);
  run.boot_epoch = static_cast<std::uint64_t>(row.integer(column++));
  run.network_name = row.text(column++);
  run.network_sha256 = row.text(column++);
  run.weights = row.integer(column++);
  run.devices = row.integer(column++);
  run.images = row.text(column++);
  if (run.state == RunState::Running && is_gone(process, self)) {
    run.state = RunState::Interrupted;
  }
  return run;
}

Result<RunRow> find_run(Database& database, RowId id) {
  PCM_ASSIGN(auto statement, database.prepare(std::string(kSelectRun) + "WHERE run.id = ?"));
  PCM_ASSIGN(const bool found, statement.bind(id).step());
  if (found) {
    return run_of(statement, this_process());
  }
  constexpr std::size_t kMostNamed = 10;
  PCM_ASSIGN(const auto others, rows_of(database, "SELECT id, name FROM run ORDER BY id DESC",
                                        [](const Statement& row) -> Result<std::string> {
                                          return row.text(0) + " (" + row.text(1) + ")";
                                        }));
  std::string there_are;
  for (std::size_t i = 0; i < std::min(others.size(), kMostNamed); ++i) {
    there_are += (i == 0 ? "" : ", ") + others[i];
  }
  return fail(ErrorCode::NotFound,
              "there is no run " + number(id) + " in " + database.file() +
                  (others.empty() ? ", and no other" : "; there are " + there_are) +
                  (others.size() > kMostNamed ? " and older ones" : ""),
              "Name one of the runs there are.");
}

/// The id of a row, and that it is there. `sql` selects it by the value.
Result<RowId> find(Database& database, std::string_view sql, RowId id, const std::string& what) {
  PCM_ASSIGN(auto statement, database.prepare(sql));
  PCM_ASSIGN(const bool found, statement.bind(id).step());
  if (!found) {
    return not_found(what, id);
  }
  return statement.integer(0);
}

/// Devices of the run's placement; none before it is set.
Result<std::optional<std::int64_t>> placed_devices(Database& database, RowId run) {
  PCM_ASSIGN(auto statement,
             database.prepare("SELECT device_count FROM placement WHERE run_id = ?"));
  PCM_ASSIGN(const bool found, statement.bind(run).step());
  return found ? std::optional(statement.integer(0)) : std::nullopt;
}

struct BatchPlace {
  RowId id = 0;
  std::int64_t devices = 0;
};

Result<BatchPlace> find_batch(Database& database, RowId programming, std::uint64_t batch) {
  PCM_ASSIGN(auto statement, database.prepare("SELECT id, device_count FROM pulse_batch"
                                              " WHERE programming_id = ? AND batch = ?"));
  PCM_ASSIGN(const bool found, statement.bind(programming, batch).step());
  if (!found) {
    return fail(ErrorCode::NotFound, "batch " + std::to_string(batch) + " was never intended");
  }
  return BatchPlace{statement.integer(0), statement.integer(1)};
}

Result<RowId> insert_run(Database& database, const RunStart& start) {
  std::optional<RowId> board;
  if (!start.board.serial.empty()) {
    PCM_ASSIGN(auto insert, database.prepare("INSERT INTO board (serial, first_seen_utc)"
                                             " VALUES (?, ?) ON CONFLICT (serial) DO NOTHING"));
    PCM_TRY(insert.execute(start.board.serial, utc_now()));
    PCM_ASSIGN(auto select, database.prepare("SELECT id FROM board WHERE serial = ?"));
    PCM_TRY(select.bind(start.board.serial).step());
    board = select.integer(0);
  }
  std::optional<std::string> sha256;
  if (start.network) {
    sha256 = start.network->sha256;
    PCM_ASSIGN(auto insert,
               database.prepare("INSERT INTO network (sha256, name, onnx) VALUES (?, ?, ?)"
                                " ON CONFLICT (sha256) DO NOTHING"));
    PCM_TRY(insert.execute(*sha256, start.network->name, bytes_of(start.network->onnx)));
  }
  const ProcessIdentity process = this_process();
  const wire::InformationReply& said = start.board;
  PCM_ASSIGN(
      auto insert,
      database.prepare(
          "INSERT INTO run (uuid, name, started_utc, plan_text, seed, program_version,"
          " git_revision, operator_name, sample, images, host, host_boot_id, pid, pid_start_ticks,"
          " board_id, board_description, board_firmware, board_boot_epoch, board_capabilities,"
          " word_lines, bit_lines, adc_bits, adc_step_uS, sample_time_ns, max_amplitude_uA,"
          " min_width_ns, max_width_ns, max_pulses_per_device, max_temperature_K, network_sha256,"
          " network_name, weight_count, device_count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
          " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  PCM_TRY(insert.execute(
      make_uuid(), start.name, utc_now(), start.plan_text, start.seed, start.program_version,
      start.git_revision, start.operator_name, start.sample, start.images, process.host,
      process.host_boot_id, process.pid, process.start_ticks, board, start.board_description,
      said.firmware, said.boot_epoch, said.capabilities, said.shape.word_lines,
      said.shape.bit_lines, said.adc_bits, said.adc_step.uS(), said.sample_time.count(),
      said.limits.max_amplitude.uA(), said.limits.min_width.count(), said.limits.max_width.count(),
      said.limits.max_pulses_per_device, said.limits.max_temperature.K(), sha256,
      start.network ? start.network->name : "", start.network ? start.network->weights : 0,
      start.network ? start.network->devices : 0));
  return database.last_insert_id();
}

Result<void> insert_placement(Database& database, RowId run, const Placement& placement) {
  const std::size_t count = placement.addresses.size();
  if (placement.targets_uS.size() != count) {
    return fail(ErrorCode::Internal, number(count) + " addresses but " +
                                         number(placement.targets_uS.size()) + " targets");
  }
  PCM_ASSIGN(auto insert, database.prepare("INSERT INTO placement (run_id, word_lines, bit_lines,"
                                           " device_count) VALUES (?, ?, ?, ?)"));
  PCM_TRY(insert.execute(run, placement.shape.word_lines, placement.shape.bit_lines, count));
  PCM_ASSIGN(auto insert_block,
             database.prepare("INSERT INTO placement_block (run_id, first_device, device_count,"
                              " crc32c, addresses_u32, targets_uS_f32) VALUES (?, ?, ?, ?, ?, ?)"));
  std::vector<bool> taken(placement.shape.device_count());
  std::vector<std::uint32_t> packed;
  for (std::size_t first = 0; first < count; first += kMaxBlockDevices) {
    const std::size_t size = std::min(kMaxBlockDevices, count - first);
    packed.resize(size);
    for (std::size_t i = 0; i < size; ++i) {
      const DeviceAddress address = placement.addresses[first + i];
      if (!placement.shape.contains(address) || taken[placement.shape.linear(address)]) {
        return fail(ErrorCode::Internal, "device " + number(first + i) + " at word line " +
                                             std::to_string(address.word_line.index) +
                                             ", bit line " +
                                             std::to_string(address.bit_line.index) +
                                             " is outside the array, or where another device is");
      }
      taken[placement.shape.linear(address)] = true;
      packed[i] =
          static_cast<std::uint32_t>(address.word_line.index) << 16 | address.bit_line.index;
    }
    const auto addresses = bytes_of(packed);
    const auto targets = bytes_of(placement.targets_uS, first, size);
    PCM_TRY(insert_block.execute(run, first, size, crc_of(addresses, targets), addresses, targets));
  }
  return {};
}

Result<void> insert_result(Database& database, RowId programming, const ProgrammingResult& result) {
  const std::size_t count = result.verdicts.size();
  if (result.iterations.size() != count || result.pulses.size() != count ||
      result.last_amplitudes_10nA.size() != count || result.last_code_sums.size() != count ||
      result.last_pulse_ticks_ns.size() != count) {
    return fail(ErrorCode::Internal, "the columns of the result differ in length");
  }
  PCM_ASSIGN(
      auto insert,
      database.prepare(
          "INSERT INTO programming_result (programming_id, first_device, device_count,"
          " crc32c, verdicts_u8, iterations_u8, pulses_u16, last_amplitude_10nA_u16,"
          " last_code_sum_u16, last_pulse_tick_ns_i64) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  for (std::size_t first = 0; first < count; first += kMaxBlockDevices) {
    const std::size_t size = std::min(kMaxBlockDevices, count - first);
    const auto verdicts = bytes_of(result.verdicts, first, size);
    const auto iterations = bytes_of(result.iterations, first, size);
    const auto pulses = bytes_of(result.pulses, first, size);
    const auto amplitudes = bytes_of(result.last_amplitudes_10nA, first, size);
    const auto sums = bytes_of(result.last_code_sums, first, size);
    const auto ticks = bytes_of(result.last_pulse_ticks_ns, first, size);
    PCM_TRY(insert.execute(programming, first, size,
                           crc_of(verdicts, iterations, pulses, amplitudes, sums, ticks), verdicts,
                           iterations, pulses, amplitudes, sums, ticks));
  }
  return {};
}

/// What a sweep should hold: its own count when it is complete, else the placement's.
struct SweepExtent {
  bool complete = false;
  std::optional<std::int64_t> devices;
};

Result<SweepExtent> extent_of(Database& database, RowId sweep) {
  PCM_ASSIGN(auto statement,
             database.prepare("SELECT complete, coalesce(sweep.device_count,"
                              " placement.device_count) FROM sweep"
                              " LEFT JOIN placement ON placement.run_id = sweep.run_id"
                              " WHERE sweep.id = ?"));
  PCM_ASSIGN(const bool found, statement.bind(sweep).step());
  if (!found) {
    return not_found("sweep", sweep);
  }
  SweepExtent extent;
  extent.complete = statement.integer(0) != 0;
  if (!statement.is_null(1)) {
    extent.devices = statement.integer(1);
  }
  return extent;
}

}  // namespace

std::string_view to_string(RunState state) {
  switch (state) {
    case RunState::Running:
      return "running";
    case RunState::Complete:
      return "complete";
    case RunState::Stopped:
      return "stopped";
    case RunState::Failed:
      return "failed";
    case RunState::Interrupted:
      return "interrupted";
  }
  return "unknown";
}

std::string_view to_string(BatchKind kind) {
  switch (kind) {
    case BatchKind::Reset:
      return "reset";
    case BatchKind::Staircase:
      return "staircase";
    case BatchKind::Program:
      return "program";
  }
  return "unknown";
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::Reset:
      return "reset";
    case Verdict::Converged:
      return "converged";
    case Verdict::MaxIterations:
      return "out of iterations";
    case Verdict::StuckLow:
      return "stuck low";
    case Verdict::StuckHigh:
      return "stuck high";
  }
  return "unknown";
}

RunStore::RunStore(Database database) : database_(std::move(database)) {}

Result<RunStore> RunStore::open(const std::filesystem::path& file,
                                std::chrono::milliseconds busy_timeout) {
  PCM_ASSIGN(auto database, Database::open(file, OpenMode::ReadWriteCreate, busy_timeout));
  PCM_TRY(migrate(database));
  return RunStore(std::move(database));
}

Result<RunStore> RunStore::open_read_only(const std::filesystem::path& file,
                                          std::chrono::milliseconds busy_timeout) {
  PCM_ASSIGN(auto database, Database::open(file, OpenMode::ReadOnly, busy_timeout));
  PCM_TRY(check_schema(database));
  return RunStore(std::move(database));
}

Result<Transaction> RunStore::transaction() { return database_.begin(Access::Write); }

// ---- writing ---------------------------------------------------------------------------------

Result<RowId> RunStore::begin_run(const RunStart& start) {
  return write(database_, "beginning run '" + start.name + "'",
               [&] { return insert_run(database_, start); });
}

Result<void> RunStore::finish_run(RowId run, RunState state, const std::string& error) {
  return write(database_, "ending run " + number(run), [&]() -> Result<void> {
    if (state == RunState::Running) {
      return fail(ErrorCode::Internal, "'running' is no end");
    }
    PCM_ASSIGN(auto update, database_.prepare("UPDATE run SET state = ?, ended_utc = ?, error = ?"
                                              " WHERE id = ? AND state = 'running'"));
    PCM_TRY(update.execute(to_string(state), utc_now(), error, run));
    if (database_.changes() == 0) {
      PCM_ASSIGN(const auto row, find_run(database_, run));
      return fail(ErrorCode::Database, "it is already " + std::string(to_string(row.state)));
    }
    return {};
  });
}

Result<RowId> RunStore::begin_step(RowId run, int ordinal, const std::string& experiment,
                                   const std::string& parameters_json) {
  return write(
      database_, "beginning step " + number(std::int64_t{ordinal}) + " of run " + number(run),
      [&]() -> Result<RowId> {
        PCM_ASSIGN(auto insert,
                   database_.prepare("INSERT INTO step (run_id, ordinal, experiment,"
                                     " parameters_json, begun_utc) VALUES (?, ?, ?, ?, ?)"));
        PCM_TRY(insert.execute(run, ordinal, experiment, parameters_json, utc_now()));
        return database_.last_insert_id();
      });
}

Result<void> RunStore::finish_step(RowId step, RunState state, double wall_s) {
  return write(database_, "ending step " + number(step), [&]() -> Result<void> {
    PCM_ASSIGN(auto update, database_.prepare("UPDATE step SET state = ?, wall_s = ?"
                                              " WHERE id = ? AND state = 'running'"));
    PCM_TRY(update.execute(to_string(state), wall_s, step));
    if (database_.changes() == 0) {
      return not_found("running step", step);
    }
    return {};
  });
}

Result<void> RunStore::add_event(RowId run, const std::string& kind, const std::string& text) {
  return write(database_, "noting an event of run " + number(run), [&]() -> Result<void> {
    PCM_ASSIGN(auto insert, database_.prepare("INSERT INTO event (run_id, kind, text, utc,"
                                              " boottime_ns) VALUES (?, ?, ?, ?, ?)"));
    return insert.execute(run, kind, text, utc_now(), now_ns(CLOCK_BOOTTIME));
  });
}

Result<void> RunStore::set_progress(RowId run, const ProgressRow& progress) {
  return write(database_, "noting the progress of run " + number(run), [&]() -> Result<void> {
    PCM_ASSIGN(auto insert,
               database_.prepare("INSERT OR REPLACE INTO run_progress (run_id, activity, done,"
                                 " total, eta_s, heartbeat_utc, heartbeat_boottime_ns)"
                                 " VALUES (?, ?, ?, ?, ?, ?, ?)"));
    return insert.execute(run, progress.activity, progress.done, progress.total, progress.eta_s,
                          utc_now(), now_ns(CLOCK_BOOTTIME));
  });
}

Result<void> RunStore::add_layers(RowId run, std::span<const LayerRow> layers) {
  return write(database_, "adding the layers of run " + number(run), [&]() -> Result<void> {
    PCM_ASSIGN(auto insert,
               database_.prepare("INSERT INTO layer (run_id, ordinal, name, outputs, inputs,"
                                 " first_weight, max_abs_weight, g_max_uS)"
                                 " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
    for (const LayerRow& layer : layers) {
      PCM_TRY(insert.execute(run, layer.ordinal, layer.name, layer.rows, layer.columns,
                             layer.first_weight, layer.max_abs_weight, layer.g_max_uS));
    }
    return {};
  });
}

Result<void> RunStore::set_placement(RowId run, const Placement& placement) {
  return write(database_, "adding the placement of run " + number(run),
               [&] { return insert_placement(database_, run, placement); });
}

Result<RowId> RunStore::begin_programming(const ProgrammingStart& start) {
  return write(
      database_, "beginning a programming of run " + number(start.run), [&]() -> Result<RowId> {
        PCM_ASSIGN(auto insert,
                   database_.prepare("INSERT INTO programming (run_id, step_id, verify_samples,"
                                     " read_voltage_mV, gain_uS_per_code, offset_uS, begun_utc)"
                                     " VALUES (?, ?, ?, ?, ?, ?, ?)"));
        PCM_TRY(insert.execute(start.run, start.step, start.verify_samples, start.read_voltage_mV,
                               start.gain_uS_per_code, start.offset_uS, utc_now()));
        return database_.last_insert_id();
      });
}

Result<void> RunStore::add_batches(RowId programming, std::span<const BatchRow> batches) {
  return write(
      database_, "adding batches to programming " + number(programming), [&]() -> Result<void> {
        PCM_ASSIGN(const RowId board,
                   find(database_,
                        "SELECT board_id FROM programming JOIN run ON run.id = programming.run_id"
                        " WHERE programming.id = ? AND board_id IS NOT NULL",
                        programming, "programming with a board"));
        PCM_ASSIGN(auto insert,
                   database_.prepare(
                       "INSERT INTO pulse_batch (programming_id, board_id, batch, kind, iteration,"
                       " width_ns, intended_utc, device_count, crc32c, devices_u32,"
                       " amplitudes_10nA_u16) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
        for (const BatchRow& batch : batches) {
          const auto devices = bytes_of(batch.devices);
          const auto amplitudes = bytes_of(batch.amplitudes_10nA);
          PCM_TRY(insert.execute(programming, board, batch.batch, to_string(batch.kind),
                                 batch.iteration, batch.width_ns, utc_now(), batch.devices.size(),
                                 crc_of(devices, amplitudes), devices,
                                 amplitudes.empty() ? std::nullopt : std::optional(amplitudes)));
        }
        return {};
      });
}

Result<void> RunStore::add_outcomes(RowId programming, std::span<const BatchOutcome> outcomes) {
  return write(
      database_, "adding outcomes to programming " + number(programming), [&]() -> Result<void> {
        PCM_ASSIGN(
            auto insert,
            database_.prepare("INSERT INTO pulse_batch_outcome (pulse_batch_id, pulses_executed,"
                              " first_tick_ns, last_tick_ns, boottime_ns, utc)"
                              " VALUES (?, ?, ?, ?, ?, ?)"));
        for (const BatchOutcome& outcome : outcomes) {
          PCM_ASSIGN(const auto place, find_batch(database_, programming, outcome.batch));
          PCM_TRY(insert.execute(place.id, outcome.pulses_executed, outcome.stamp.first_tick_ns,
                                 outcome.stamp.last_tick_ns, boottime_of(outcome.stamp),
                                 utc_of(outcome.stamp)));
        }
        return {};
      });
}

Result<void> RunStore::add_verify(RowId programming, std::span<const BatchVerify> reads) {
  return write(
      database_, "adding verify reads to programming " + number(programming),
      [&]() -> Result<void> {
        PCM_ASSIGN(auto insert,
                   database_.prepare(
                       "INSERT INTO pulse_batch_verify (pulse_batch_id, first_tick_ns,"
                       " last_tick_ns, boottime_ns, utc, device_count, crc32c, code_sums_u16)"
                       " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
        for (const BatchVerify& verify : reads) {
          PCM_ASSIGN(const auto place, find_batch(database_, programming, verify.batch));
          if (place.devices != static_cast<std::int64_t>(verify.code_sums.size())) {
            return fail(ErrorCode::Internal, number(verify.code_sums.size()) +
                                                 " code sums for the " + number(place.devices) +
                                                 " devices of batch " +
                                                 std::to_string(verify.batch));
          }
          const auto sums = bytes_of(verify.code_sums);
          PCM_TRY(insert.execute(place.id, verify.stamp.first_tick_ns, verify.stamp.last_tick_ns,
                                 boottime_of(verify.stamp), utc_of(verify.stamp),
                                 verify.code_sums.size(), crc_of(sums), sums));
        }
        return {};
      });
}

Result<void> RunStore::finish_programming(RowId programming, const ProgrammingResult& result,
                                          const ProgrammingSummary& summary) {
  return write(database_, "ending programming " + number(programming), [&]() -> Result<void> {
    PCM_ASSIGN(const RowId run, find(database_, "SELECT run_id FROM programming WHERE id = ?",
                                     programming, "programming"));
    PCM_ASSIGN(const auto placed, placed_devices(database_, run));
    if (placed) {
      PCM_TRY(
          check_count(*placed, static_cast<std::int64_t>(result.verdicts.size()), "its result"));
    }
    PCM_TRY(insert_result(database_, programming, result));
    PCM_ASSIGN(auto update,
               database_.prepare("UPDATE programming SET complete = 1, iterations = ?,"
                                 " nonzero_targets = ?, converged = ?, pulses = ?, end_tick_ns = ?,"
                                 " ended_utc = ? WHERE id = ?"));
    return update.execute(summary.iterations, summary.nonzero_targets, summary.converged,
                          summary.pulses, summary.end_tick_ns, utc_now(), programming);
  });
}

Result<RowId> RunStore::begin_sweep(const SweepStart& start) {
  return write(
      database_,
      "beginning sweep " + number(std::int64_t{start.ordinal}) + " of run " + number(start.run),
      [&]() -> Result<RowId> {
        PCM_ASSIGN(
            auto insert,
            database_.prepare("INSERT INTO sweep (run_id, step_id, programming_id, ordinal,"
                              " scheduled_s, slip_s, samples, read_voltage_mV, gain_uS_per_code,"
                              " offset_uS, temperature_K, begun_utc)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
        PCM_TRY(insert.execute(start.run, start.step, start.programming, start.ordinal,
                               start.scheduled_s, start.slip_s, start.samples,
                               start.read_voltage_mV, start.gain_uS_per_code, start.offset_uS,
                               start.temperature_K, utc_now()));
        return database_.last_insert_id();
      });
}

Result<void> RunStore::add_sweep_blocks(RowId sweep, std::span<const SweepBlock> blocks) {
  return write(database_, "adding readings to sweep " + number(sweep), [&]() -> Result<void> {
    PCM_ASSIGN(
        auto insert,
        database_.prepare("INSERT INTO sweep_block (sweep_id, first_device, device_count,"
                          " first_tick_ns, last_tick_ns, boottime_ns, utc, crc32c, code_sums_u16)"
                          " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"));
    for (const SweepBlock& block : blocks) {
      const auto sums = bytes_of(block.code_sums);
      PCM_TRY(insert.execute(sweep, block.first_device, block.code_sums.size(),
                             block.stamp.first_tick_ns, block.stamp.last_tick_ns,
                             boottime_of(block.stamp), utc_of(block.stamp), crc_of(sums), sums));
    }
    return {};
  });
}

Result<void> RunStore::finish_sweep(RowId sweep, double sum_uS, double after_s) {
  return write(database_, "ending sweep " + number(sweep), [&]() -> Result<void> {
    PCM_ASSIGN(const auto extent, extent_of(database_, sweep));
    PCM_ASSIGN(auto select,
               database_.prepare("SELECT first_device, device_count, first_tick_ns, last_tick_ns"
                                 " FROM sweep_block WHERE sweep_id = ? ORDER BY first_device"));
    select.bind(sweep);
    std::int64_t devices = 0;
    Stamp stamp;
    for (;;) {
      PCM_ASSIGN(const bool more, select.step());
      if (!more) {
        break;
      }
      PCM_TRY(check_contiguous(devices, select.integer(0), "the sweep"));
      stamp.first_tick_ns =
          devices == 0 ? select.integer(2) : std::min(stamp.first_tick_ns, select.integer(2));
      stamp.last_tick_ns =
          devices == 0 ? select.integer(3) : std::max(stamp.last_tick_ns, select.integer(3));
      devices += select.integer(1);
    }
    PCM_TRY(check_count(extent.devices.value_or(devices), devices, "the sweep"));
    PCM_ASSIGN(auto update,
               database_.prepare("UPDATE sweep SET complete = 1, device_count = ?,"
                                 " first_tick_ns = ?, last_tick_ns = ?, sum_uS = ?, after_s = ?"
                                 " WHERE id = ?"));
    return update.execute(devices, stamp.first_tick_ns, stamp.last_tick_ns, sum_uS, after_s, sweep);
  });
}

Result<RowId> RunStore::add_accuracy(const AccuracyRow& accuracy) {
  return write(
      database_, "adding an accuracy to run " + number(accuracy.run), [&]() -> Result<RowId> {
        PCM_ASSIGN(
            auto insert,
            database_.prepare("INSERT INTO accuracy (run_id, sweep_id, compensation, reference,"
                              " precision, after_s, images, correct, wall_s, utc)"
                              " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
        PCM_TRY(insert.execute(accuracy.run, accuracy.sweep, accuracy.compensation,
                               accuracy.reference, accuracy.precision, accuracy.after_s,
                               accuracy.images, accuracy.correct, accuracy.wall_s, utc_now()));
        return database_.last_insert_id();
      });
}

Result<std::uint64_t> RunStore::next_batch(const std::string& board_serial) {
  return read(database_, "looking for the next batch number of board " + board_serial,
              [&]() -> Result<std::uint64_t> {
                PCM_ASSIGN(auto select,
                           database_.prepare("SELECT coalesce(max(batch), 0) + 1 FROM pulse_batch"
                                             " WHERE board_id ="
                                             " (SELECT id FROM board WHERE serial = ?)"));
                PCM_TRY(select.bind(board_serial).step());
                return static_cast<std::uint64_t>(select.integer(0));
              });
}

// ---- reading ---------------------------------------------------------------------------------

Result<std::vector<RunRow>> RunStore::runs() {
  return read(database_, "reading the runs", [&] {
    const ProcessIdentity self = this_process();
    return rows_of(database_, std::string(kSelectRun) + "ORDER BY run.id DESC",
                   [&](const Statement& row) { return run_of(row, self); });
  });
}

Result<RunRow> RunStore::run(RowId run) {
  return read(database_, "reading run " + number(run), [&] { return find_run(database_, run); });
}

Result<std::vector<StepRow>> RunStore::steps(RowId run) {
  return read(database_, "reading the steps of run " + number(run),
              [&]() -> Result<std::vector<StepRow>> {
                PCM_ASSIGN(const auto owner, find_run(database_, run));
                return rows_of(
                    database_,
                    "SELECT id, ordinal, experiment, parameters_json, state, wall_s"
                    " FROM step WHERE run_id = ? ORDER BY ordinal",
                    [&](const Statement& row) -> Result<StepRow> {
                      StepRow step;
                      step.id = row.integer(0);
                      step.ordinal = static_cast<int>(row.integer(1));
                      step.experiment = row.text(2);
                      step.parameters_json = row.text(3);
                      PCM_ASSIGN(step.state, parse(kRunStates, row.text(4)));
                      if (step.state == RunState::Running) {
                        step.state = owner.state == RunState::Interrupted ? RunState::Interrupted
                                                                          : RunState::Running;
                      }
                      step.wall_s = row.real(5);
                      return step;
                    },
                    run);
              });
}

Result<std::vector<EventRow>> RunStore::events(RowId run) {
  return read(database_, "reading the events of run " + number(run), [&] {
    return rows_of(
        database_, "SELECT id, kind, text, utc FROM event WHERE run_id = ? ORDER BY id",
        [](const Statement& row) -> Result<EventRow> {
          return EventRow{row.integer(0), row.text(1), row.text(2), row.text(3)};
        },
        run);
  });
}

Result<std::vector<LayerRow>> RunStore::layers(RowId run) {
  return read(database_, "reading the layers of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT ordinal, name, outputs, inputs, first_weight, max_abs_weight, g_max_uS"
        " FROM layer WHERE run_id = ? ORDER BY ordinal",
        [](const Statement& row) -> Result<LayerRow> {
          return LayerRow{static_cast<int>(row.integer(0)),
                          row.text(1),
                          row.integer(2),
                          row.integer(3),
                          row.integer(4),
                          row.real(5),
                          row.real(6)};
        },
        run);
  });
}

Result<std::optional<ProgressRow>> RunStore::progress(RowId run) {
  return read(database_, "reading the progress of run " + number(run),
              [&]() -> Result<std::optional<ProgressRow>> {
                PCM_ASSIGN(auto select,
                           database_.prepare("SELECT activity, done, total, eta_s, heartbeat_utc"
                                             " FROM run_progress WHERE run_id = ?"));
                PCM_ASSIGN(const bool found, select.bind(run).step());
                if (!found) {
                  return std::nullopt;
                }
                return ProgressRow{select.text(0), select.integer(1), select.integer(2),
                                   select.real(3), select.text(4)};
              });
}

Result<Placement> RunStore::placement(RowId run) {
  return read(database_, "reading the placement of run " + number(run), [&]() -> Result<Placement> {
    Placement placement;
    PCM_ASSIGN(auto select, database_.prepare("SELECT word_lines, bit_lines, device_count"
                                              " FROM placement WHERE run_id = ?"));
    PCM_ASSIGN(const bool found, select.bind(run).step());
    if (!found) {
      return fail(ErrorCode::NotFound, "it has none");
    }
    placement.shape = {static_cast<std::uint16_t>(select.integer(0)),
                       static_cast<std::uint16_t>(select.integer(1))};
    const std::int64_t expected = select.integer(2);
    PCM_ASSIGN(auto blocks,
               database_.prepare("SELECT first_device, crc32c, addresses_u32, targets_uS_f32"
                                 " FROM placement_block WHERE run_id = ? ORDER BY first_device"));
    blocks.bind(run);
    for (;;) {
      PCM_ASSIGN(const bool more, blocks.step());
      const auto count = static_cast<std::int64_t>(placement.addresses.size());
      if (!more) {
        PCM_TRY(check_count(expected, count, "it"));
        return placement;
      }
      PCM_TRY(check_contiguous(count, blocks.integer(0), "it"));
      PCM_TRY(check_crc(blocks.integer(1), crc_of(blocks.blob(2), blocks.blob(3)),
                        "the block of device " + number(count)));
      for (const std::uint32_t packed : numbers_of<std::uint32_t>(blocks.blob(2))) {
        placement.addresses.push_back({WordLine{static_cast<std::uint16_t>(packed >> 16)},
                                       BitLine{static_cast<std::uint16_t>(packed & 0xffff)}});
      }
      append(placement.targets_uS, blocks.blob(3));
    }
  });
}

Result<std::vector<ProgrammingRow>> RunStore::programmings(RowId run) {
  return read(database_, "reading the programmings of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, run_id, complete, iterations, nonzero_targets, converged, pulses, end_tick_ns,"
        " verify_samples, gain_uS_per_code, offset_uS FROM programming WHERE run_id = ?"
        " ORDER BY id",
        [](const Statement& row) -> Result<ProgrammingRow> {
          return ProgrammingRow{.id = row.integer(0),
                                .run = row.integer(1),
                                .complete = row.integer(2) != 0,
                                .iterations = static_cast<int>(row.integer(3)),
                                .nonzero_targets = row.integer(4),
                                .converged = row.integer(5),
                                .pulses = row.integer(6),
                                .end_tick_ns = row.integer(7),
                                .verify_samples = static_cast<int>(row.integer(8)),
                                .gain_uS_per_code = row.real(9),
                                .offset_uS = row.real(10)};
        },
        run);
  });
}

Result<ProgrammingResult> RunStore::programming_result(RowId programming) {
  return read(
      database_, "reading the result of programming " + number(programming),
      [&]() -> Result<ProgrammingResult> {
        PCM_ASSIGN(const RowId run,
                   find(database_, "SELECT run_id FROM programming WHERE id = ? AND complete",
                        programming, "complete programming"));
        PCM_ASSIGN(const auto placed, placed_devices(database_, run));
        ProgrammingResult result;
        PCM_ASSIGN(auto blocks,
                   database_.prepare("SELECT first_device, crc32c, verdicts_u8, iterations_u8,"
                                     " pulses_u16, last_amplitude_10nA_u16, last_code_sum_u16,"
                                     " last_pulse_tick_ns_i64 FROM programming_result"
                                     " WHERE programming_id = ? ORDER BY first_device"));
        blocks.bind(programming);
        for (;;) {
          PCM_ASSIGN(const bool more, blocks.step());
          const auto count = static_cast<std::int64_t>(result.verdicts.size());
          if (!more) {
            PCM_TRY(check_count(placed.value_or(count), count, "it"));
            return result;
          }
          PCM_TRY(check_contiguous(count, blocks.integer(0), "it"));
          PCM_TRY(check_crc(blocks.integer(1),
                            crc_of(blocks.blob(2), blocks.blob(3), blocks.blob(4), blocks.blob(5),
                                   blocks.blob(6), blocks.blob(7)),
                            "the block of device " + number(count)));
          append(result.verdicts, blocks.blob(2));
          append(result.iterations, blocks.blob(3));
          append(result.pulses, blocks.blob(4));
          append(result.last_amplitudes_10nA, blocks.blob(5));
          append(result.last_code_sums, blocks.blob(6));
          append(result.last_pulse_ticks_ns, blocks.blob(7));
        }
      });
}

Result<std::vector<BatchRow>> RunStore::batches(RowId programming) {
  return read(database_, "reading the batches of programming " + number(programming), [&] {
    return rows_of(
        database_,
        "SELECT batch, kind, iteration, width_ns, crc32c, devices_u32, amplitudes_10nA_u16"
        " FROM pulse_batch WHERE programming_id = ? ORDER BY batch",
        [](const Statement& row) -> Result<BatchRow> {
          BatchRow batch;
          batch.batch = static_cast<std::uint64_t>(row.integer(0));
          PCM_ASSIGN(batch.kind, parse(kBatchKinds, row.text(1)));
          batch.iteration = static_cast<int>(row.integer(2));
          batch.width_ns = row.integer(3);
          PCM_TRY(check_crc(row.integer(4), crc_of(row.blob(5), row.blob(6)),
                            "batch " + std::to_string(batch.batch)));
          batch.devices = numbers_of<std::uint32_t>(row.blob(5));
          batch.amplitudes_10nA = numbers_of<std::uint16_t>(row.blob(6));
          return batch;
        },
        programming);
  });
}

Result<std::vector<BatchOutcome>> RunStore::outcomes(RowId programming) {
  return read(database_, "reading the outcomes of programming " + number(programming), [&] {
    return rows_of(
        database_,
        "SELECT batch, pulses_executed, first_tick_ns, last_tick_ns, boottime_ns,"
        " outcome.utc"
        " FROM pulse_batch JOIN pulse_batch_outcome AS outcome"
        " ON outcome.pulse_batch_id = pulse_batch.id WHERE programming_id = ? ORDER BY batch",
        [](const Statement& row) -> Result<BatchOutcome> {
          return BatchOutcome{
              static_cast<std::uint64_t>(row.integer(0)),
              row.integer(1),
              {row.integer(2), row.integer(3), row.integer(4), utc_ns_of(row.text(5))}};
        },
        programming);
  });
}

Result<std::vector<BatchVerify>> RunStore::verify_reads(RowId programming) {
  return read(database_, "reading the verify reads of programming " + number(programming), [&] {
    return rows_of(
        database_,
        "SELECT batch, first_tick_ns, last_tick_ns, boottime_ns, verify.utc, verify.crc32c, "
        "code_sums_u16"
        " FROM pulse_batch JOIN pulse_batch_verify AS verify"
        " ON verify.pulse_batch_id = pulse_batch.id WHERE programming_id = ? ORDER BY batch",
        [](const Statement& row) -> Result<BatchVerify> {
          BatchVerify verify;
          verify.batch = static_cast<std::uint64_t>(row.integer(0));
          verify.stamp = {row.integer(1), row.integer(2), row.integer(3), utc_ns_of(row.text(4))};
          PCM_TRY(check_crc(row.integer(5), crc_of(row.blob(6)),
                            "the read after batch " + std::to_string(verify.batch)));
          verify.code_sums = numbers_of<std::uint16_t>(row.blob(6));
          return verify;
        },
        programming);
  });
}

Result<std::vector<SweepRow>> RunStore::sweeps(RowId run) {
  return read(database_, "reading the sweeps of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, run_id, step_id, programming_id, ordinal, scheduled_s, slip_s, samples,"
        " read_voltage_mV, gain_uS_per_code, offset_uS, temperature_K, complete, sum_uS, after_s,"
        " coalesce(device_count, (SELECT sum(device_count) FROM sweep_block"
        "                         WHERE sweep_id = sweep.id)),"
        " coalesce(first_tick_ns, (SELECT min(first_tick_ns) FROM sweep_block"
        "                          WHERE sweep_id = sweep.id)),"
        " coalesce(last_tick_ns, (SELECT max(last_tick_ns) FROM sweep_block"
        "                         WHERE sweep_id = sweep.id))"
        " FROM sweep WHERE run_id = ? ORDER BY id",
        [](const Statement& row) -> Result<SweepRow> {
          SweepRow sweep;
          sweep.id = row.integer(0);
          sweep.run = row.integer(1);
          sweep.step = row.integer(2);
          sweep.programming = row.integer(3);
          sweep.ordinal = static_cast<int>(row.integer(4));
          sweep.scheduled_s = row.real(5);
          sweep.slip_s = row.real(6);
          sweep.samples = static_cast<int>(row.integer(7));
          sweep.read_voltage_mV = row.real(8);
          sweep.gain_uS_per_code = row.real(9);
          sweep.offset_uS = row.real(10);
          sweep.temperature_K = row.real(11);
          sweep.complete = row.integer(12) != 0;
          sweep.sum_uS = row.real(13);
          sweep.after_s = row.real(14);
          sweep.devices = row.integer(15);
          sweep.stamp = {row.integer(16), row.integer(17)};
          return sweep;
        },
        run);
  });
}

Result<std::vector<std::uint16_t>> RunStore::sweep_code_sums(RowId sweep) {
  return read(
      database_, "reading sweep " + number(sweep), [&]() -> Result<std::vector<std::uint16_t>> {
        PCM_ASSIGN(const auto extent, extent_of(database_, sweep));
        std::vector<std::uint16_t> sums;
        sums.reserve(static_cast<std::size_t>(extent.devices.value_or(0)));
        PCM_ASSIGN(auto blocks, database_.prepare("SELECT first_device, crc32c, code_sums_u16"
                                                  " FROM sweep_block WHERE sweep_id = ?"
                                                  " ORDER BY first_device"));
        blocks.bind(sweep);
        for (;;) {
          PCM_ASSIGN(const bool more, blocks.step());
          const auto count = static_cast<std::int64_t>(sums.size());
          if (!more) {
            PCM_TRY(check_count(extent.devices.value_or(count), count, "it"));
            return sums;
          }
          PCM_TRY(check_contiguous(count, blocks.integer(0), "it"));
          PCM_TRY(check_crc(blocks.integer(1), crc_of(blocks.blob(2)),
                            "the block of device " + number(count)));
          append(sums, blocks.blob(2));
        }
      });
}

Result<std::vector<AccuracyRow>> RunStore::accuracies(RowId run) {
  return read(database_, "reading the accuracies of run " + number(run), [&] {
    return rows_of(
        database_,
        "SELECT id, run_id, sweep_id, compensation, reference, precision, after_s, images, correct,"
        " wall_s FROM accuracy WHERE run_id = ? ORDER BY id",
        [](const Statement& row) -> Result<AccuracyRow> {
          AccuracyRow accuracy;
          accuracy.id = row.integer(0);
          accuracy.run = row.integer(1);
          if (!row.is_null(2)) {
            accuracy.sweep = row.integer(2);
          }
          accuracy.compensation = row.text(3);
          accuracy.reference = row.text(4);
          accuracy.precision = row.text(5);
          accuracy.after_s = row.real(6);
          accuracy.images = row.integer(7);
          accuracy.correct = row.integer(8);
          accuracy.wall_s = row.real(9);
          return accuracy;
        },
        run);
  });
}

Result<NetworkRow> RunStore::network(const std::string& sha256) {
  return read(database_, "reading network " + sha256, [&]() -> Result<NetworkRow> {
    PCM_ASSIGN(auto select,
               database_.prepare(
                   "SELECT network.name, onnx, weight_count, device_count FROM network JOIN run"
                   " ON run.network_sha256 = network.sha256 WHERE sha256 = ?"
                   " ORDER BY run.id LIMIT 1"));
    PCM_ASSIGN(const bool found, select.bind(sha256).step());
    if (!found) {
      return fail(ErrorCode::NotFound, "there is none of this checksum");
    }
    NetworkRow network;
    network.sha256 = sha256;
    network.name = select.text(0);
    const auto onnx = select.blob(1);
    network.onnx.assign(onnx.begin(), onnx.end());
    network.weights = select.integer(2);
    network.devices = select.integer(3);
    return network;
  });
}

}  // namespace pcmlab::db
