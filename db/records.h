// SPDX-License-Identifier: Apache-2.0
/// \file
/// The rows of the results database as plain values. Units stand in the names; the contract of the
/// schema is db/README.md. Device index: position in a programming's placement, 2 * weight +
/// polarity where it holds weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/device_address.h"
#include "protocol/messages.h"

namespace pcmlab::db {

using RowId = std::int64_t;

enum class RunState { Running, Complete, Stopped, Failed, Interrupted };
std::string_view to_string(RunState state);

/// The three clocks of everything that was measured: board, host since its boot, UTC.
struct Stamp {
  std::int64_t first_tick_ns = 0;  ///< board time of the first device
  std::int64_t last_tick_ns = 0;   ///< board time of the last device
  std::int64_t boottime_ns = 0;    ///< the host's CLOCK_BOOTTIME; 0: the store's at writing
  std::int64_t utc_ns = 0;         ///< since 1970, kept in ms; 0: the store's at writing
};

struct NetworkRow {
  std::string sha256;
  std::string name;
  std::int64_t weights = 0;
  std::int64_t devices = 0;
  std::vector<std::byte>
      onnx;  ///< the whole file, so that the run can be repeated from the database
};

/// Everything needed to repeat a run.
struct RunStart {
  std::string name;
  std::string plan_text;
  std::uint64_t seed = 0;
  std::string program_version;
  std::string git_revision;
  std::string operator_name;
  std::string sample;
  wire::InformationReply board;
  std::string board_description;  ///< which transport, e.g. "loopback to the mock board"
  std::optional<NetworkRow> network;
  std::string images;                     ///< data set, files and their checksums
  std::optional<RowId> parent = {};       ///< the run that this one goes on with or was made from
  std::optional<RowId> queue_entry = {};  ///< what it was in the queue
};

struct RunRow {
  RowId id = 0;
  std::string uuid;
  std::string name;
  RunState state = RunState::Running;
  std::string started_utc;
  std::string ended_utc;  ///< empty while it runs
  std::string error;
  std::string plan_text;
  std::uint64_t seed = 0;
  std::string program_version;
  std::string git_revision;
  std::string operator_name;
  std::string sample;
  std::string host;
  std::int64_t pid = 0;
  std::string board_serial;
  std::string board_firmware;
  std::string board_description;
  std::uint64_t boot_epoch = 0;
  int adc_bits = 0;  ///< of the board's converter
  std::string network_name;
  std::string network_sha256;
  std::int64_t weights = 0;
  std::int64_t devices = 0;
  std::string images;
  std::optional<RowId> parent;  ///< the run that it goes on with or was made from
  std::string deleted_utc;      ///< empty unless it was deleted
  std::string deleted_by;
  std::vector<std::string> tags;  ///< in alphabetical order
};

/// What somebody wrote to a run.
struct NoteRow {
  RowId id = 0;
  std::string text;
  std::string noted_by;
  std::string noted_utc;
};

struct StepRow {
  RowId id = 0;
  int ordinal = 0;
  std::string experiment;
  std::string parameters_json;
  RunState state = RunState::Running;
  std::int64_t begun_utc_ns = 0;
  double wall_s = 0.0;  ///< 0 while it runs
};

/// An analog layer: which weights it owns and how they were scaled.
struct LayerRow {
  int ordinal = 0;
  std::string name;
  std::int64_t rows = 0;          ///< outputs
  std::int64_t columns = 0;       ///< inputs, biases included
  std::int64_t first_weight = 0;  ///< its weights are [first_weight, first_weight + rows * columns)
  double max_abs_weight = 0.0;    ///< as mapped: after clipping
  double g_max_uS = 0.0;
  /// Of each row, where each row has a scale of its own; else empty.
  std::vector<float> row_max_abs_weights = {};
};

/// Where every device of a programming is and what it should hold.
struct Placement {
  ArrayShape shape;
  std::optional<std::int64_t> first_weight;  ///< of devices 0 and 1; none: they hold no weights
  std::vector<DeviceAddress> addresses;      ///< by device index
  std::vector<float> targets_uS;             ///< by device index; 0 = the RESET device of a pair
};

enum class BatchKind { Reset, Staircase, Program };
std::string_view to_string(BatchKind kind);

/// A batch of pulses as intended, written down before it is sent.
struct BatchRow {
  std::uint64_t batch = 0;
  BatchKind kind = BatchKind::Program;
  int iteration = 0;  ///< 0 for the initialisation
  std::int64_t width_ns = 0;
  std::vector<std::uint32_t> devices;          ///< device indices, in the order of the pulses
  std::vector<std::uint16_t> amplitudes_10nA;  ///< one per device; empty for Reset and Staircase
};

struct BatchOutcome {
  std::uint64_t batch = 0;
  std::int64_t pulses_executed = 0;
  Stamp stamp;
};

/// The verify read that followed a batch: one code sum per device of the batch, in its order.
struct BatchVerify {
  std::uint64_t batch = 0;
  Stamp stamp;
  std::vector<std::uint16_t> code_sums;
};

struct ProgrammingStart {
  RowId run = 0;
  RowId step = 0;
  int verify_samples = 5;
  double read_voltage_mV = 200;
  double gain_uS_per_code = 0;
  double offset_uS = 0;
};

enum class Verdict : std::uint8_t {
  Reset = 0,  ///< zero target: one RESET, not verified
  Converged = 1,
  MaxIterations = 2,
  StuckLow = 3,
  StuckHigh = 4,
};
std::string_view to_string(Verdict verdict);

/// Struct of arrays, all of one length, by device index.
struct ProgrammingResult {
  std::vector<Verdict> verdicts;
  std::vector<std::uint8_t> iterations;
  std::vector<std::uint16_t> pulses;
  std::vector<std::uint16_t> last_amplitudes_10nA;
  std::vector<std::uint16_t> last_code_sums;  ///< of the last verify read
  std::vector<std::int64_t> last_pulse_ticks_ns;
};

struct ProgrammingRow {
  RowId id = 0;
  RowId run = 0;
  RowId step = 0;
  bool complete = false;
  int iterations = 0;
  std::int64_t nonzero_targets = 0;
  std::int64_t converged = 0;
  std::int64_t pulses = 0;
  std::int64_t end_tick_ns = 0;  ///< board time when the last pulse was over
  int verify_samples = 0;
  double gain_uS_per_code = 0;
  double offset_uS = 0;
};

/// Which programmings tell of devices that do not answer pulses.
enum class KnownTo {
  Run,  ///< those of one run
  Chip  ///< all of its board and sample
};

/// What the end of a programming adds to its row.
struct ProgrammingSummary {
  int iterations = 0;
  std::int64_t nonzero_targets = 0;
  std::int64_t converged = 0;
  std::int64_t pulses = 0;
  std::int64_t end_tick_ns = 0;
};

struct SweepStart {
  RowId run = 0;
  RowId step = 0;
  RowId programming = 0;
  int ordinal = 0;         ///< counts all sweeps of the step
  double scheduled_s = 0;  ///< after the end of programming
  double slip_s = 0;       ///< how much later it began
  int samples = 5;
  double read_voltage_mV = 200;
  double gain_uS_per_code = 0;
  double offset_uS = 0;
  double temperature_K = 0;
  int repeat = 0;  ///< of the sweeps of one time point, from 0
};

struct SweepRow : SweepStart {
  RowId id = 0;
  bool complete = false;
  std::int64_t devices = 0;  ///< read so far
  Stamp stamp;               ///< board clock only
  double sum_uS = 0;         ///< of all devices, written at the end
  double after_s = 0;        ///< middle of the sweep after the end of programming
};

/// Devices of a block at most.
constexpr std::size_t kMaxBlockDevices = 65536;

/// Some thousand devices of one sweep, in device order: [first_device, first_device +
/// code_sums.size()), at least one and at most kMaxBlockDevices.
struct SweepBlock {
  std::int64_t first_device = 0;
  Stamp stamp;
  std::vector<std::uint16_t> code_sums;
};

/// When devices first_device .. first_device + device_count - 1 were read, by the board's clock.
struct SweepTimes {
  std::int64_t first_device = 0;
  std::int64_t device_count = 0;
  std::int64_t first_tick_ns = 0;
  std::int64_t last_tick_ns = 0;
};

struct AccuracyRow {
  RowId id = 0;
  RowId run = 0;
  std::optional<RowId> sweep;  ///< none: the network's own weights (software)
  std::string compensation;    ///< "software", "none", "gdc", "gdc+offset", "adabs", "adabs+gdc"
  std::string reference;       ///< what GDC divided by; empty for others
  std::string precision;       ///< "float32", "bfloat16"
  double after_s = 0;
  std::int64_t images = 0;
  std::int64_t correct = 0;
  double wall_s = 0;
  int input_bits = 0;              ///< of converters in front of analog layers; 0: none
  int output_bits = 0;             ///< of those behind them
  std::optional<RowId> step = {};  ///< none: of a database of an older version
};

/// How many images of each class were taken for which.
struct ConfusionMatrix {
  int classes = 0;
  std::vector<std::uint32_t> counts;  ///< [class][taken for]
};

/// What GDC takes as no drift, by layer.
struct GdcReferenceRow {
  int layer = 0;
  std::string kind;            ///< "first-sweep", "verify", "targets"
  std::optional<RowId> sweep;  ///< the first one
  int every_pair = 1;          ///< of bit lines; 1: all devices
  std::int64_t devices = 0;
  double sum_uS = 0;
};

/// Training images that an accuracy step was calibrated on.
struct CalibrationRow {
  std::string images;  ///< data set, files and their checksums
  std::uint64_t seed = 0;
  int batches = 0, batch_images = 0;
  double momentum = 0;
  std::vector<std::uint32_t> indices;  ///< in the order of their use
};

/// A layer at a sweep. Errors are rms over its weights.
struct LayerStateRow {
  RowId sweep = 0;
  int layer = 0;
  double gdc_factor = 1;
  double weight_error_of_max = 0, weight_error_of_rms = 0;
  double gdc_weight_error_of_max = 0, gdc_weight_error_of_rms = 0;  ///< divided by gdc_factor
  std::optional<double> activation_mean_shift, activation_variance_ratio;
};

/// How a device's conductance goes with the time since its last pulse.
enum class DriftClass : std::uint8_t {
  TooFewPoints = 0,  ///< no exponent
  Drifting = 1,
  Stuck = 2,      ///< does not answer pulses, or always reads the same; no exponent
  Noisy = 3,      ///< its exponent is known no better than the size of exponents
  Backwards = 4,  ///< gains conductance
};
std::string_view to_string(DriftClass of);

/// Fits of g = g_t0 (t / t0)^-exponent, struct of arrays, all of one length, by device index.
/// What a device does not have is NaN.
struct DriftFits {
  std::vector<float> exponents;
  std::vector<float> exponent_errors;  ///< standard errors
  std::vector<float> g_t0_uS;
  std::vector<DriftClass> classes;
};

/// The fits of the devices whose targets lie in [low_uS, high_uS).
struct DriftByTarget {
  double low_uS = 0, high_uS = 0;
  std::int64_t devices = 0;
  std::int64_t drifting = 0, stuck = 0, noisy = 0, backwards = 0, too_few_points = 0;
  /// Over all that have an exponent; none: none has.
  std::optional<double> exponent_p10 = {}, exponent_median = {}, exponent_p90 = {};
};

/// What the fits of a programming were made from.
struct DriftFitStart {
  RowId run = 0;
  RowId step = 0;  ///< whose sweeps
  RowId programming = 0;
  std::string method;
  int sweeps = 0;                  ///< complete ones that went in
  double first_s = 0, last_s = 0;  ///< youngest and oldest reading of a device
  double t0_s = 1;                 ///< g_t0 is at this time after the last pulse
};

struct DriftFitRow : DriftFitStart {
  RowId id = 0;
  std::int64_t devices = 0;
  std::string fitted_utc;
  std::vector<DriftByTarget> by_target;  ///< from low to high
};

/// Something a person should know about a run: a gap, a fault, a slip, a remark.
struct EventRow {
  RowId id = 0;
  std::string kind;  ///< "gap", "fault", "slip", "info"
  std::string text;
  std::string utc;
};

struct ProgressRow {
  std::string activity;  ///< "programming, iteration 12"
  std::int64_t done = 0;
  std::int64_t total = 0;
  double eta_s = 0;
  std::string heartbeat_utc{};  ///< of the last writing; filled when read
};

/// A process that worked at a run.
struct SessionRow {
  RowId id = 0;
  std::string program_version;
  std::string git_revision;
  std::string host;
  std::int64_t pid = 0;
  std::string began_utc;
  std::string ended_utc;  ///< empty while it is at work, or was killed and nobody has gone on
  RunState state = RunState::Running;
};

/// What one may ask of a run in another process.
enum class RunCommand { Pause, Continue, Stop, Abort };
std::string_view to_string(RunCommand command);

struct CommandRow {
  RowId id = 0;
  RunCommand command = RunCommand::Stop;
  std::string requested_by;
  std::string requested_utc;
  std::string taken_utc;  ///< empty until the runner has seen it
};

/// A plan in the queue. One that waits becomes a run once; one that is Running has a run that is at
/// work or to be gone on with.
enum class QueueState { Waiting, Running, Done, Failed, Stopped };
std::string_view to_string(QueueState state);

struct QueueStart {
  std::string name;
  std::string plan_text;
  std::string folder;  ///< where relative paths of the plan begin
  std::string added_by;
  std::int64_t not_before_utc_ns = 0;  ///< 0: at any time
};

struct QueueEntry : QueueStart {
  RowId id = 0;
  QueueState state = QueueState::Waiting;
  std::string added_utc;
  std::string not_before_utc;  ///< empty: at any time
  std::string ended_utc;       ///< empty while it waits or runs
  std::string error;
  std::optional<RowId> run;  ///< that it became
};

/// Where an entry of the queue goes among those that wait.
enum class QueueMove { First, Last, Up, Down, Before };

/// Why a run did not measure for a time.
enum class GapCause {
  Process,    ///< it had none
  Pause,      ///< somebody asked for it
  Board,      ///< it was gone
  Suspend,    ///< the computer slept
  ClockStep,  ///< UTC was set; nothing is missing
};
std::string_view to_string(GapCause cause);

struct GapRow {
  RowId id = 0;
  GapCause cause = GapCause::Process;
  std::string begin_utc, end_utc;
  std::string text;
};

/// A stretch between two boots of a run's board.
struct BoardEpoch {
  std::uint64_t boot_epoch = 0;
  std::int64_t offset_ns = 0;  ///< board times of the run minus the board's own clock
};

/// What a process needs to know of a board to go on with a run there.
struct BoardLeft {
  BoardEpoch epoch;
  std::int64_t latest_tick_ns = 0;  ///< board time that was written down last; 0: none was
  std::int64_t utc_ns = 0;          ///< when that was
  /// Batches [first_unsettled, end_unsettled) of its last programming were intended, in this boot
  /// epoch, and nothing is known of them.
  std::uint64_t first_unsettled = 0, end_unsettled = 0, unsettled_epoch = 0;
};

}  // namespace pcmlab::db
