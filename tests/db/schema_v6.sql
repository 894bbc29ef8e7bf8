-- SPDX-License-Identifier: Apache-2.0
CREATE TABLE board (
  -- A test board, known by its serial number. What it said of itself at a run is in the run.
  id             INTEGER PRIMARY KEY,
  serial         TEXT NOT NULL UNIQUE CHECK (serial <> ''),
  first_seen_utc TEXT NOT NULL
) STRICT;
CREATE TABLE network (
  -- A network file, whole, so that a run can be repeated from the database alone.
  sha256 TEXT PRIMARY KEY NOT NULL
         CHECK (length(sha256) = 64 AND sha256 NOT GLOB '*[^0-9a-f]*'),
  name   TEXT NOT NULL,
  onnx   BLOB NOT NULL
) STRICT;
CREATE TABLE run (
  -- One execution of a plan, with all that is needed to repeat it. Its process is alive or gone:
  -- a 'running' run without its process was interrupted. Numbers are never given twice.
  id                      INTEGER PRIMARY KEY AUTOINCREMENT,
  uuid                    TEXT NOT NULL UNIQUE CHECK (length(uuid) = 36),
  name                    TEXT NOT NULL,
  state                   TEXT NOT NULL DEFAULT 'running'
                          CHECK (state IN ('running', 'complete', 'stopped', 'failed', 'interrupted')),
  started_utc             TEXT NOT NULL,
  ended_utc               TEXT CHECK ((ended_utc IS NULL) = (state = 'running')),
  error                   TEXT NOT NULL DEFAULT '',
  plan_text               TEXT NOT NULL,
  seed                    INTEGER NOT NULL,  -- unsigned 64 bits
  program_version         TEXT NOT NULL,
  git_revision            TEXT NOT NULL,
  operator_name           TEXT NOT NULL,
  sample                  TEXT NOT NULL,     -- the chip, in the lab's own words
  images                  TEXT NOT NULL,     -- data set, files and their checksums
  host                    TEXT NOT NULL,
  host_boot_id            TEXT NOT NULL,     -- CLOCK_BOOTTIME stamps compare within one boot only
  pid                     INTEGER NOT NULL,
  pid_start_ticks         INTEGER NOT NULL,  -- tells the process from a later one of that number
  board_id                INTEGER REFERENCES board (id),  -- NULL: without a board (software only)
  board_description       TEXT NOT NULL,
  board_firmware          TEXT NOT NULL,
  board_boot_epoch        INTEGER NOT NULL,  -- unsigned 64 bits
  board_capabilities      INTEGER NOT NULL,
  word_lines              INTEGER NOT NULL CHECK (word_lines BETWEEN 0 AND 65535),
  bit_lines               INTEGER NOT NULL CHECK (bit_lines BETWEEN 0 AND 65535),
  adc_bits                INTEGER NOT NULL,
  adc_step_uS             REAL NOT NULL,
  sample_time_ns          INTEGER NOT NULL,
  max_amplitude_uA        REAL NOT NULL,
  min_width_ns            INTEGER NOT NULL,
  max_width_ns            INTEGER NOT NULL,
  max_pulses_per_device   INTEGER NOT NULL,  -- 0: no limit
  max_temperature_K       REAL NOT NULL,
  network_sha256          TEXT REFERENCES network (sha256),
  network_name            TEXT NOT NULL,
  weight_count            INTEGER NOT NULL CHECK (weight_count >= 0),
  device_count            INTEGER NOT NULL CHECK (device_count >= 0)
, parent_run_id INTEGER REFERENCES run (id), deleted_utc TEXT, deleted_by TEXT CHECK ((deleted_by IS NULL) = (deleted_utc IS NULL))) STRICT;
CREATE INDEX run_by_board ON run (board_id, sample);
CREATE INDEX run_by_network ON run (network_sha256);
CREATE TABLE run_progress (
  -- Where a run is now; the one table of a run that is overwritten. The heartbeat is the time of
  -- the last writing.
  run_id                INTEGER PRIMARY KEY REFERENCES run (id),
  activity              TEXT NOT NULL,
  done                  INTEGER NOT NULL CHECK (done >= 0),
  total                 INTEGER NOT NULL CHECK (total >= 0),
  eta_s                 REAL NOT NULL,
  heartbeat_utc         TEXT NOT NULL,
  heartbeat_boottime_ns INTEGER NOT NULL
) STRICT;
CREATE TABLE run_command (
  -- What somebody asks of a running run. Any process may add a row; the runner looks between
  -- blocks and fills in taken_utc.
  id            INTEGER PRIMARY KEY,
  run_id        INTEGER NOT NULL REFERENCES run (id),
  command       TEXT NOT NULL CHECK (command IN ('pause', 'continue', 'stop', 'abort')),
  requested_by  TEXT NOT NULL,
  requested_utc TEXT NOT NULL,
  taken_utc     TEXT
) STRICT;
CREATE INDEX run_command_by_run ON run_command (run_id);
CREATE TABLE step (
  -- One experiment of a run's plan, in the plan's order.
  id              INTEGER PRIMARY KEY,
  run_id          INTEGER NOT NULL REFERENCES run (id),
  ordinal         INTEGER NOT NULL CHECK (ordinal >= 0),
  experiment      TEXT NOT NULL CHECK (experiment <> ''),
  parameters_json TEXT NOT NULL CHECK (json_valid(parameters_json)),
  state           TEXT NOT NULL DEFAULT 'running'
                  CHECK (state IN ('running', 'complete', 'stopped', 'failed', 'interrupted')),
  begun_utc       TEXT NOT NULL,
  wall_s          REAL CHECK ((wall_s IS NULL) = (state = 'running')),
  UNIQUE (run_id, ordinal)
) STRICT;
CREATE TABLE event (
  -- What a person should know about a run: 'gap', 'fault', 'slip', 'info'.
  id          INTEGER PRIMARY KEY,
  run_id      INTEGER NOT NULL REFERENCES run (id),
  kind        TEXT NOT NULL CHECK (kind <> ''),
  text        TEXT NOT NULL,
  utc         TEXT NOT NULL,
  boottime_ns INTEGER NOT NULL
) STRICT;
CREATE INDEX event_by_run ON event (run_id);
CREATE TABLE programming (
  -- One program-and-verify of a run's devices. A conductance of the verify reads is
  -- gain_uS_per_code * code_sum / verify_samples + offset_uS. The summary comes at the end.
  id               INTEGER PRIMARY KEY,
  run_id           INTEGER NOT NULL REFERENCES run (id),
  step_id          INTEGER NOT NULL REFERENCES step (id),
  verify_samples   INTEGER NOT NULL CHECK (verify_samples BETWEEN 1 AND 255),
  read_voltage_mV  REAL NOT NULL,
  gain_uS_per_code REAL NOT NULL,
  offset_uS        REAL NOT NULL,
  begun_utc        TEXT NOT NULL,
  complete         INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1)),
  iterations       INTEGER CHECK ((iterations IS NOT NULL) = complete AND iterations >= 0),
  nonzero_targets  INTEGER CHECK ((nonzero_targets IS NOT NULL) = complete AND nonzero_targets >= 0),
  converged        INTEGER CHECK ((converged IS NOT NULL) = complete
                                  AND converged BETWEEN 0 AND nonzero_targets),
  pulses           INTEGER CHECK ((pulses IS NOT NULL) = complete AND pulses >= 0),
  end_tick_ns      INTEGER CHECK ((end_tick_ns IS NOT NULL) = complete),  -- last pulse over
  ended_utc        TEXT CHECK ((ended_utc IS NOT NULL) = complete)
) STRICT;
CREATE INDEX programming_by_run ON programming (run_id);
CREATE INDEX programming_by_step ON programming (step_id);
CREATE TABLE pulse_batch_outcome (
  -- A batch as the board acknowledged it. An intended batch without this row is unknown: its
  -- devices are read again before anything else.
  pulse_batch_id  INTEGER PRIMARY KEY REFERENCES pulse_batch (id),
  pulses_executed INTEGER NOT NULL CHECK (pulses_executed >= 0),
  first_tick_ns   INTEGER NOT NULL,
  last_tick_ns    INTEGER NOT NULL CHECK (last_tick_ns >= first_tick_ns),
  boottime_ns     INTEGER NOT NULL,
  utc             TEXT NOT NULL
) STRICT;
CREATE TABLE pulse_batch_verify (
  -- The read that followed a batch: one sum of verify_samples ADC codes a device, in its order.
  pulse_batch_id INTEGER PRIMARY KEY REFERENCES pulse_batch (id),
  first_tick_ns  INTEGER NOT NULL,
  last_tick_ns   INTEGER NOT NULL CHECK (last_tick_ns >= first_tick_ns),
  boottime_ns    INTEGER NOT NULL,
  utc            TEXT NOT NULL,
  device_count   INTEGER NOT NULL CHECK (device_count >= 1),
  crc32c         INTEGER NOT NULL,
  code_sums_u16  BLOB NOT NULL CHECK (length(code_sums_u16) = 2 * device_count)
) STRICT;
CREATE TABLE programming_result (
  -- How each device ended. Verdict: 0 reset (zero target, not verified), 1 converged, 2 out of
  -- iterations, 3 stuck low, 4 stuck high. Code sum: of the last verify read.
  id                      INTEGER PRIMARY KEY,
  programming_id          INTEGER NOT NULL REFERENCES programming (id),
  first_device            INTEGER NOT NULL CHECK (first_device >= 0),
  device_count            INTEGER NOT NULL CHECK (device_count BETWEEN 1 AND 65536),
  crc32c                  INTEGER NOT NULL,
  verdicts_u8             BLOB NOT NULL CHECK (length(verdicts_u8) = device_count),
  iterations_u8           BLOB NOT NULL CHECK (length(iterations_u8) = device_count),
  pulses_u16              BLOB NOT NULL CHECK (length(pulses_u16) = 2 * device_count),
  last_amplitude_10nA_u16 BLOB NOT NULL CHECK (length(last_amplitude_10nA_u16) = 2 * device_count),
  last_code_sum_u16       BLOB NOT NULL CHECK (length(last_code_sum_u16) = 2 * device_count),
  last_pulse_tick_ns_i64  BLOB NOT NULL CHECK (length(last_pulse_tick_ns_i64) = 8 * device_count),
  UNIQUE (programming_id, first_device)
) STRICT;
CREATE TABLE sweep (
  -- One read of all devices. A conductance is gain_uS_per_code * code_sum / samples + offset_uS.
  -- Times in s count from the end of the programming; after_s is that of the sweep's middle.
  id               INTEGER PRIMARY KEY,
  run_id           INTEGER NOT NULL REFERENCES run (id),
  step_id          INTEGER NOT NULL REFERENCES step (id),
  programming_id   INTEGER NOT NULL REFERENCES programming (id),
  ordinal          INTEGER NOT NULL CHECK (ordinal >= 0),
  scheduled_s      REAL NOT NULL,
  slip_s           REAL NOT NULL,  -- how much later it began
  samples          INTEGER NOT NULL CHECK (samples BETWEEN 1 AND 255),
  read_voltage_mV  REAL NOT NULL,
  gain_uS_per_code REAL NOT NULL,
  offset_uS        REAL NOT NULL,
  temperature_K    REAL NOT NULL,
  begun_utc        TEXT NOT NULL,
  complete         INTEGER NOT NULL DEFAULT 0 CHECK (complete IN (0, 1)),
  device_count     INTEGER CHECK ((device_count IS NOT NULL) = complete AND device_count >= 1),
  first_tick_ns    INTEGER CHECK ((first_tick_ns IS NOT NULL) = complete),
  last_tick_ns     INTEGER CHECK ((last_tick_ns IS NOT NULL) = complete
                                  AND last_tick_ns >= first_tick_ns),
  sum_uS           REAL CHECK ((sum_uS IS NOT NULL) = complete),  -- of all devices
  after_s          REAL CHECK ((after_s IS NOT NULL) = complete), repeat INTEGER NOT NULL DEFAULT 0 CHECK (repeat >= 0),
  UNIQUE (step_id, programming_id, ordinal)
) STRICT;
CREATE INDEX sweep_by_run ON sweep (run_id);
CREATE INDEX sweep_by_programming ON sweep (programming_id);
CREATE TABLE sweep_block (
  -- Raw readings of devices first_device .. first_device + device_count - 1: sums of ADC codes,
  -- with the three clocks: board ticks, the host's CLOCK_BOOTTIME, and UTC.
  id            INTEGER PRIMARY KEY,
  sweep_id      INTEGER NOT NULL REFERENCES sweep (id),
  first_device  INTEGER NOT NULL CHECK (first_device >= 0),
  device_count  INTEGER NOT NULL CHECK (device_count BETWEEN 1 AND 65536),
  first_tick_ns INTEGER NOT NULL,
  last_tick_ns  INTEGER NOT NULL CHECK (last_tick_ns >= first_tick_ns),
  boottime_ns   INTEGER NOT NULL,
  utc           TEXT NOT NULL,
  crc32c        INTEGER NOT NULL,
  code_sums_u16 BLOB NOT NULL CHECK (length(code_sums_u16) = 2 * device_count),
  UNIQUE (sweep_id, first_device)
) STRICT;
CREATE TABLE accuracy (
  -- One pass of test images through the network with the weights of a sweep; without a sweep: with
  -- the network's own weights.
  id             INTEGER PRIMARY KEY,
  run_id         INTEGER NOT NULL REFERENCES run (id),
  sweep_id       INTEGER REFERENCES sweep (id),
  compensation   TEXT NOT NULL CHECK (compensation <> ''),  -- 'software', 'none', 'gdc'
  reference      TEXT NOT NULL,                             -- what GDC divided by
  precision      TEXT NOT NULL CHECK (precision <> ''),     -- 'float32', 'bfloat16'
  after_s        REAL NOT NULL,
  images         INTEGER NOT NULL CHECK (images > 0),
  correct        INTEGER NOT NULL CHECK (correct BETWEEN 0 AND images),
  wall_s         REAL NOT NULL,
  utc            TEXT NOT NULL
, input_bits INTEGER NOT NULL DEFAULT 0 CHECK (input_bits >= 0), output_bits INTEGER NOT NULL DEFAULT 0 CHECK (output_bits >= 0), step_id INTEGER REFERENCES step (id)) STRICT;
CREATE INDEX accuracy_by_run ON accuracy (run_id);
CREATE INDEX accuracy_by_sweep ON accuracy (sweep_id);
CREATE TRIGGER pulse_batch_outcome_is_final BEFORE UPDATE ON pulse_batch_outcome
BEGIN SELECT raise(ABORT, 'the outcome of a pulse batch is never changed'); END;
CREATE TRIGGER pulse_batch_verify_is_final BEFORE UPDATE ON pulse_batch_verify
BEGIN SELECT raise(ABORT, 'a verify read is never changed'); END;
CREATE TRIGGER programming_result_is_final BEFORE UPDATE ON programming_result
BEGIN SELECT raise(ABORT, 'a programming result is never changed'); END;
CREATE TRIGGER sweep_block_is_final BEFORE UPDATE ON sweep_block
BEGIN SELECT raise(ABORT, 'a reading is never changed'); END;
CREATE TRIGGER accuracy_is_final BEFORE UPDATE ON accuracy
BEGIN SELECT raise(ABORT, 'an accuracy is never changed'); END;
CREATE TRIGGER complete_programming_is_final BEFORE UPDATE ON programming WHEN OLD.complete
BEGIN SELECT raise(ABORT, 'a complete programming is never changed'); END;
CREATE TRIGGER complete_sweep_is_final BEFORE UPDATE ON sweep WHEN OLD.complete
BEGIN SELECT raise(ABORT, 'a complete sweep is never changed'); END;
CREATE TRIGGER sweep_block_of_complete_sweep BEFORE INSERT ON sweep_block
WHEN (SELECT complete FROM sweep WHERE id = NEW.sweep_id)
BEGIN SELECT raise(ABORT, 'the sweep is complete'); END;
CREATE TABLE "layer" (
  -- An analog layer as a step programmed it: it owns weights first_weight .. first_weight + outputs
  -- * inputs - 1, row by row; a weight of max_abs_weight is a conductance of g_max_uS.
  id             INTEGER PRIMARY KEY,
  run_id         INTEGER NOT NULL REFERENCES run (id),
  step_id        INTEGER NOT NULL REFERENCES step (id),
  ordinal        INTEGER NOT NULL CHECK (ordinal >= 0),
  name           TEXT NOT NULL,
  outputs        INTEGER NOT NULL CHECK (outputs > 0),
  inputs         INTEGER NOT NULL CHECK (inputs > 0),  -- biases included
  first_weight   INTEGER NOT NULL CHECK (first_weight >= 0),
  max_abs_weight REAL NOT NULL,
  g_max_uS       REAL NOT NULL, row_max_abs_weight_f32 BLOB CHECK (length(row_max_abs_weight_f32) = 4 * outputs),
  UNIQUE (step_id, ordinal)
) STRICT;
CREATE INDEX layer_by_run ON layer (run_id);
CREATE TABLE "placement" (
  -- Which lines of the array a programming's devices are on; the devices are in placement_block.
  programming_id INTEGER PRIMARY KEY REFERENCES programming (id),
  word_lines     INTEGER NOT NULL CHECK (word_lines BETWEEN 1 AND 65535),
  bit_lines      INTEGER NOT NULL CHECK (bit_lines BETWEEN 1 AND 65535),
  device_count   INTEGER NOT NULL CHECK (device_count >= 0),
  first_weight   INTEGER CHECK (first_weight >= 0)  -- of the two first devices; NULL: no weights
) STRICT;
CREATE TABLE "placement_block" (
  -- Devices first_device .. first_device + device_count - 1: address word_line << 16 | bit_line
  -- and target conductance, 0 for the RESET device of a pair.
  id             INTEGER PRIMARY KEY,
  programming_id INTEGER NOT NULL REFERENCES "placement" (programming_id),
  first_device   INTEGER NOT NULL CHECK (first_device >= 0),
  device_count   INTEGER NOT NULL CHECK (device_count BETWEEN 1 AND 65536),
  crc32c         INTEGER NOT NULL,
  addresses_u32  BLOB NOT NULL CHECK (length(addresses_u32) = 4 * device_count),
  targets_uS_f32 BLOB NOT NULL CHECK (length(targets_uS_f32) = 4 * device_count),
  UNIQUE (programming_id, first_device)
) STRICT;
CREATE TRIGGER placement_block_is_final BEFORE UPDATE ON placement_block
BEGIN SELECT raise(ABORT, 'a placement is never changed'); END;
CREATE TABLE bad_device (
  -- A device that a programming could not bring to its target, or that was known for that and
  -- reached its target again ('converged'). What was said last of a place on a chip counts.
  id             INTEGER PRIMARY KEY,
  programming_id INTEGER NOT NULL REFERENCES programming (id),
  word_line      INTEGER NOT NULL CHECK (word_line BETWEEN 0 AND 65535),
  bit_line       INTEGER NOT NULL CHECK (bit_line BETWEEN 0 AND 65535),
  verdict        TEXT NOT NULL CHECK (verdict IN ('stuck low', 'stuck high', 'converged')),
  target_uS      REAL NOT NULL,
  verified_uS    REAL NOT NULL,  -- by its last verify read
  UNIQUE (programming_id, word_line, bit_line)
) STRICT;
CREATE INDEX bad_device_by_place ON bad_device (word_line, bit_line);
CREATE TRIGGER bad_device_is_final BEFORE UPDATE ON bad_device
BEGIN SELECT raise(ABORT, 'what was found of a device is never changed'); END;
CREATE TABLE accuracy_confusion (
  -- How many images of each class were taken for which, class after class of what they are.
  accuracy_id INTEGER PRIMARY KEY REFERENCES accuracy (id),
  classes     INTEGER NOT NULL CHECK (classes >= 1),
  crc32c      INTEGER NOT NULL,
  counts_u32  BLOB NOT NULL CHECK (length(counts_u32) = 4 * classes * classes)
) STRICT;
CREATE TABLE gdc_reference (
  -- What global drift compensation takes as no drift: the sum over devices of a layer.
  id           INTEGER PRIMARY KEY,
  step_id      INTEGER NOT NULL REFERENCES step (id),  -- of the accuracies that use it
  layer        INTEGER NOT NULL CHECK (layer >= 0),    -- its ordinal
  kind         TEXT NOT NULL CHECK (kind IN ('first-sweep', 'verify', 'targets')),
  sweep_id     INTEGER REFERENCES sweep (id),
  every_pair   INTEGER NOT NULL CHECK (every_pair >= 1),  -- of bit lines; 1: all devices
  device_count INTEGER NOT NULL CHECK (device_count >= 0),
  sum_uS       REAL NOT NULL,
  CHECK ((sweep_id IS NOT NULL) = (kind = 'first-sweep')),
  UNIQUE (step_id, layer)
) STRICT;
CREATE INDEX gdc_reference_by_sweep ON gdc_reference (sweep_id);
CREATE TABLE calibration (
  -- Training images on which an accuracy step adapted batch norms and chose converter ranges.
  step_id      INTEGER PRIMARY KEY REFERENCES step (id),
  images       TEXT NOT NULL,  -- data set, files and their checksums
  seed         INTEGER NOT NULL,
  batches      INTEGER NOT NULL CHECK (batches >= 1),
  batch_images INTEGER NOT NULL CHECK (batch_images >= 1),
  momentum     REAL NOT NULL,  -- what a mini-batch leaves of the statistics before it
  image_count  INTEGER NOT NULL CHECK (image_count >= 1),
  crc32c       INTEGER NOT NULL,
  indices_u32  BLOB NOT NULL CHECK (length(indices_u32) = 4 * image_count)
) STRICT;
CREATE TABLE layer_state (
  -- A layer at a sweep. Errors are rms over its weights, of the largest magnitude of a weight and of
  -- the rms of the weights; activations are those in front of its batch norm, NULL if there is none
  -- or none was adapted.
  id                        INTEGER PRIMARY KEY,
  step_id                   INTEGER NOT NULL REFERENCES step (id),
  sweep_id                  INTEGER NOT NULL REFERENCES sweep (id),
  layer                     INTEGER NOT NULL CHECK (layer >= 0),
  gdc_factor                REAL NOT NULL,
  weight_error_of_max       REAL NOT NULL,
  weight_error_of_rms       REAL NOT NULL,
  gdc_weight_error_of_max   REAL NOT NULL,  -- of weights divided by gdc_factor
  gdc_weight_error_of_rms   REAL NOT NULL,
  activation_mean_shift     REAL,  -- rms over channels, in trained standard deviations
  activation_variance_ratio REAL,  -- to the trained variance, mean over channels
  UNIQUE (step_id, sweep_id, layer)
) STRICT;
CREATE INDEX layer_state_by_sweep ON layer_state (sweep_id);
CREATE TRIGGER accuracy_confusion_is_final BEFORE UPDATE ON accuracy_confusion
BEGIN SELECT raise(ABORT, 'an accuracy is never changed'); END;
CREATE TRIGGER gdc_reference_is_final BEFORE UPDATE ON gdc_reference
BEGIN SELECT raise(ABORT, 'a reference is never changed'); END;
CREATE TRIGGER calibration_is_final BEFORE UPDATE ON calibration
BEGIN SELECT raise(ABORT, 'a calibration is never changed'); END;
CREATE TRIGGER layer_state_is_final BEFORE UPDATE ON layer_state
BEGIN SELECT raise(ABORT, 'the state of a layer is never changed'); END;
CREATE INDEX run_by_parent ON run (parent_run_id);
CREATE TABLE run_note (
  -- What somebody wrote to a run, at any time.
  id        INTEGER PRIMARY KEY,
  run_id    INTEGER NOT NULL REFERENCES run (id),
  text      TEXT NOT NULL CHECK (text <> ''),
  noted_by  TEXT NOT NULL,
  noted_utc TEXT NOT NULL
) STRICT;
CREATE INDEX run_note_by_run ON run_note (run_id);
CREATE TRIGGER run_note_is_final BEFORE UPDATE ON run_note
BEGIN SELECT raise(ABORT, 'a note is never changed'); END;
CREATE TABLE run_tag (
  -- A word by which runs are found again.
  run_id     INTEGER NOT NULL REFERENCES run (id),
  tag        TEXT NOT NULL CHECK (tag <> '' AND tag NOT GLOB '*[ ,]*'),
  tagged_by  TEXT NOT NULL,
  tagged_utc TEXT NOT NULL,
  PRIMARY KEY (run_id, tag)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_tag_by_tag ON run_tag (tag);
CREATE TABLE purged_run (
  -- What stays of a run that was deleted for good: what its chip bears and its board counted.
  uuid         TEXT PRIMARY KEY NOT NULL CHECK (length(uuid) = 36),
  name         TEXT NOT NULL,
  started_utc  TEXT NOT NULL,
  board_id     INTEGER REFERENCES board (id),
  sample       TEXT NOT NULL,
  programmings INTEGER NOT NULL CHECK (programmings >= 0),
  pulses       INTEGER NOT NULL CHECK (pulses >= 0),  -- acknowledged
  last_batch   INTEGER NOT NULL CHECK (last_batch >= 0),
  purged_utc   TEXT NOT NULL
) STRICT;
CREATE INDEX purged_run_by_board ON purged_run (board_id);
CREATE TABLE "pulse_batch" (
  -- A batch of pulses as intended, written before it is sent. A board never sees a number twice.
  -- Devices stand in the order of their pulses; amplitude 0: no pulse; no amplitudes at all: the
  -- fixed sequence of a 'reset' or 'staircase'.
  id                   INTEGER PRIMARY KEY,
  programming_id       INTEGER NOT NULL REFERENCES programming (id),
  board_id             INTEGER NOT NULL REFERENCES board (id),
  batch                INTEGER NOT NULL CHECK (batch >= 0),
  kind                 TEXT NOT NULL CHECK (kind IN ('reset', 'staircase', 'program')),
  iteration            INTEGER NOT NULL CHECK (iteration >= 0),  -- 0: the initialisation
  width_ns             INTEGER NOT NULL CHECK (width_ns >= 0),
  intended_utc         TEXT NOT NULL,
  device_count         INTEGER NOT NULL CHECK (device_count >= 1),
  crc32c               INTEGER NOT NULL,
  devices_u32          BLOB NOT NULL CHECK (length(devices_u32) = 4 * device_count),
  amplitudes_10nA_u16  BLOB CHECK ((amplitudes_10nA_u16 IS NOT NULL) = (kind = 'program')
                                   AND length(amplitudes_10nA_u16) = 2 * device_count),
  UNIQUE (programming_id, batch)
) STRICT;
CREATE INDEX pulse_batch_by_board ON pulse_batch (board_id, batch);
CREATE TRIGGER pulse_batch_is_final BEFORE UPDATE ON pulse_batch
BEGIN SELECT raise(ABORT, 'a pulse batch is never changed'); END;
CREATE TABLE drift_fit (
  -- How the devices of a programming drift, each by a fit of g = g_t0 (t / t0)^-exponent to the
  -- sweeps of a step, t since the device's own last pulse. Of several the newest counts.
  id             INTEGER PRIMARY KEY,
  run_id         INTEGER NOT NULL REFERENCES run (id),
  step_id        INTEGER NOT NULL REFERENCES step (id),
  programming_id INTEGER NOT NULL REFERENCES programming (id),
  method         TEXT NOT NULL CHECK (method <> ''),
  sweeps         INTEGER NOT NULL CHECK (sweeps >= 1),  -- complete ones that went in
  first_s        REAL NOT NULL,                         -- youngest and oldest reading of a device
  last_s         REAL NOT NULL CHECK (last_s >= first_s),
  t0_s           REAL NOT NULL CHECK (t0_s > 0),
  device_count   INTEGER NOT NULL CHECK (device_count >= 1),
  fitted_utc     TEXT NOT NULL
) STRICT;
CREATE INDEX drift_fit_by_run ON drift_fit (run_id);
CREATE INDEX drift_fit_by_step ON drift_fit (step_id);
CREATE INDEX drift_fit_by_programming ON drift_fit (programming_id);
CREATE TABLE drift_fit_block (
  -- Devices first_device .. first_device + device_count - 1. Class: 0 too few points, 1 drifting,
  -- 2 stuck, 3 noisy, 4 drifting backwards. What a device does not have is NaN.
  id                  INTEGER PRIMARY KEY,
  drift_fit_id        INTEGER NOT NULL REFERENCES drift_fit (id),
  first_device        INTEGER NOT NULL CHECK (first_device >= 0),
  device_count        INTEGER NOT NULL CHECK (device_count BETWEEN 1 AND 65536),
  crc32c              INTEGER NOT NULL,
  exponents_f32       BLOB NOT NULL CHECK (length(exponents_f32) = 4 * device_count),
  exponent_errors_f32 BLOB NOT NULL CHECK (length(exponent_errors_f32) = 4 * device_count),
  g_t0_uS_f32         BLOB NOT NULL CHECK (length(g_t0_uS_f32) = 4 * device_count),
  classes_u8          BLOB NOT NULL CHECK (length(classes_u8) = device_count),
  UNIQUE (drift_fit_id, first_device)
) STRICT;
CREATE TABLE drift_by_target (
  -- The fits of the devices whose targets are at least low_uS and below high_uS.
  id              INTEGER PRIMARY KEY,
  drift_fit_id    INTEGER NOT NULL REFERENCES drift_fit (id),
  low_uS          REAL NOT NULL,
  high_uS         REAL NOT NULL CHECK (high_uS > low_uS),
  devices         INTEGER NOT NULL CHECK (devices >= 0),
  drifting        INTEGER NOT NULL CHECK (drifting >= 0),
  stuck           INTEGER NOT NULL CHECK (stuck >= 0),
  noisy           INTEGER NOT NULL CHECK (noisy >= 0),
  backwards       INTEGER NOT NULL CHECK (backwards >= 0),
  too_few_points  INTEGER NOT NULL CHECK (too_few_points >= 0),
  exponent_p10    REAL,  -- over all that have an exponent; NULL: none has
  exponent_median REAL,
  exponent_p90    REAL,
  UNIQUE (drift_fit_id, low_uS)
) STRICT;
CREATE TRIGGER drift_fit_is_final BEFORE UPDATE ON drift_fit
BEGIN SELECT raise(ABORT, 'a fit is never changed'); END;
CREATE TRIGGER drift_fit_block_is_final BEFORE UPDATE ON drift_fit_block
BEGIN SELECT raise(ABORT, 'a fit is never changed'); END;
CREATE TRIGGER drift_by_target_is_final BEFORE UPDATE ON drift_by_target
BEGIN SELECT raise(ABORT, 'a fit is never changed'); END;
CREATE VIEW run_overview AS
  -- All runs but the deleted ones, with what people said of them.
  SELECT run.id AS run_id, run.uuid, run.name, run.state, run.started_utc, run.ended_utc,
         run.operator_name, board.serial AS board_serial, run.sample, run.network_name,
         run.parent_run_id, run.error,
         (SELECT group_concat(tag, ' ') FROM run_tag WHERE run_tag.run_id = run.id) AS tags,
         (SELECT count(*) FROM run_note WHERE run_note.run_id = run.id) AS notes
  FROM run LEFT JOIN board ON board.id = run.board_id
  WHERE run.deleted_utc IS NULL;
CREATE VIEW latest_run_per_board AS
  -- The newest run of every board and chip.
  SELECT board.serial AS board_serial, run.sample, run.id AS run_id, run.name, run.state,
         run.started_utc, run.ended_utc, run.operator_name, run.network_name
  FROM run LEFT JOIN board ON board.id = run.board_id
  WHERE run.id = (SELECT other.id FROM run AS other
                  WHERE other.board_id IS run.board_id AND other.sample = run.sample
                    AND other.deleted_utc IS NULL
                  ORDER BY other.started_utc DESC, other.id DESC LIMIT 1);
CREATE VIEW runs_by_operator_week AS
  -- How many runs each operator began in each week, and how they ended.
  SELECT operator_name, date(started_utc, 'weekday 0', '-6 days') AS monday, count(*) AS runs,
         sum(state = 'complete') AS complete, sum(state = 'stopped') AS stopped,
         sum(state = 'failed') AS failed, sum(state IN ('running', 'interrupted')) AS not_ended
  FROM run WHERE deleted_utc IS NULL GROUP BY operator_name, monday;
CREATE VIEW programming_yield AS
  -- How many devices with a target reached it, of every finished programming.
  SELECT programming.run_id, programming.id AS programming_id, board.serial AS board_serial,
         run.sample, programming.iterations, programming.nonzero_targets, programming.converged,
         100.0 * programming.converged / nullif(programming.nonzero_targets, 0) AS yield_percent,
         programming.pulses, programming.ended_utc
  FROM programming JOIN run ON run.id = programming.run_id LEFT JOIN board ON board.id = run.board_id
  WHERE programming.complete AND run.deleted_utc IS NULL;
CREATE VIEW sweep_overview AS
  -- Every sweep with its time after programming.
  SELECT sweep.run_id, sweep.id AS sweep_id, sweep.programming_id, sweep.ordinal,
         sweep.scheduled_s, sweep.slip_s, sweep.after_s, sweep.complete, sweep.device_count,
         sweep.sum_uS / sweep.device_count AS mean_uS, sweep.temperature_K,
         sweep.first_tick_ns, sweep.last_tick_ns, sweep.begun_utc
  FROM sweep JOIN run ON run.id = sweep.run_id
  WHERE run.deleted_utc IS NULL;
CREATE VIEW accuracy_over_time AS
  -- Accuracy against the time after programming; without a sweep: the software baseline.
  SELECT accuracy.run_id, run.name AS run_name, run.network_name, accuracy.id AS accuracy_id,
         accuracy.sweep_id, sweep.ordinal AS sweep_ordinal, sweep.scheduled_s, sweep.repeat,
         accuracy.after_s, accuracy.compensation, accuracy.reference, accuracy.precision,
         accuracy.input_bits, accuracy.output_bits, accuracy.images, accuracy.correct,
         100.0 * accuracy.correct / accuracy.images AS accuracy_percent
  FROM accuracy JOIN run ON run.id = accuracy.run_id LEFT JOIN sweep ON sweep.id = accuracy.sweep_id
  WHERE run.deleted_utc IS NULL;
CREATE VIEW drift_overview AS
  -- The newest fit of every programming, by what its devices were programmed to.
  SELECT drift_fit.run_id, drift_fit.id AS drift_fit_id, drift_fit.programming_id, drift_fit.sweeps,
         drift_fit.first_s, drift_fit.last_s, low_uS, high_uS, devices, drifting, stuck, noisy,
         backwards, too_few_points, exponent_p10, exponent_median, exponent_p90
  FROM drift_fit JOIN drift_by_target ON drift_fit_id = drift_fit.id
  JOIN run ON run.id = drift_fit.run_id
  WHERE run.deleted_utc IS NULL
    AND drift_fit.id = (SELECT max(other.id) FROM drift_fit AS other
                        WHERE other.programming_id = drift_fit.programming_id);
CREATE VIEW known_bad_device AS
  -- The devices of every chip that do not answer pulses, as far as is known.
  SELECT board.serial AS board_serial, run.sample, bad_device.word_line, bad_device.bit_line,
         bad_device.verdict, bad_device.target_uS, bad_device.verified_uS, run.id AS run_id,
         bad_device.programming_id, programming.ended_utc AS found_utc
  FROM bad_device JOIN programming ON programming.id = bad_device.programming_id
  JOIN run ON run.id = programming.run_id LEFT JOIN board ON board.id = run.board_id
  WHERE bad_device.verdict <> 'converged'
    AND bad_device.id = (SELECT other.id FROM bad_device AS other
                         JOIN programming AS its ON its.id = other.programming_id
                         JOIN run AS chip ON chip.id = its.run_id
                         WHERE other.word_line = bad_device.word_line
                           AND other.bit_line = bad_device.bit_line
                           AND chip.board_id IS run.board_id AND chip.sample = run.sample
                           AND chip.deleted_utc IS NULL
                         ORDER BY its.ended_utc DESC, other.id DESC LIMIT 1);
CREATE VIEW worst_line AS
  -- The lines of every chip that have known bad devices, worst first.
  SELECT board_serial, sample, 'word line' AS kind, word_line AS line, count(*) AS bad_devices
  FROM known_bad_device GROUP BY board_serial, sample, word_line
  UNION ALL
  SELECT board_serial, sample, 'bit line', bit_line, count(*)
  FROM known_bad_device GROUP BY board_serial, sample, bit_line
  ORDER BY bad_devices DESC;
CREATE VIEW chip_wear AS
  -- What every chip has borne in its life, by acknowledged pulses; deleted runs count.
  SELECT board.serial AS board_serial, sample, count(*) AS runs, sum(programmings) AS programmings,
         sum(pulses) AS pulses, sum(unknown_batches) AS unknown_batches,
         min(started_utc) AS first_run_utc, max(started_utc) AS last_run_utc
  FROM (SELECT run.board_id, run.sample, run.started_utc,
               (SELECT count(*) FROM programming WHERE run_id = run.id) AS programmings,
               (SELECT coalesce(sum(pulses_executed), 0) FROM programming
                JOIN pulse_batch ON pulse_batch.programming_id = programming.id
                JOIN pulse_batch_outcome ON pulse_batch_id = pulse_batch.id
                WHERE run_id = run.id) AS pulses,
               (SELECT count(*) FROM programming
                JOIN pulse_batch ON pulse_batch.programming_id = programming.id
                LEFT JOIN pulse_batch_outcome ON pulse_batch_id = pulse_batch.id
                WHERE run_id = run.id AND pulse_batch_id IS NULL) AS unknown_batches
        FROM run
        UNION ALL
        SELECT board_id, sample, started_utc, programmings, pulses, 0 FROM purged_run) AS use
  JOIN board ON board.id = use.board_id
  GROUP BY use.board_id, sample;
CREATE TABLE run_session (
  -- A process that worked at a run: the one that began it, and each that went on with it. Running
  -- and its process gone: it was killed; resuming the run ends it at its last heartbeat.
  id               INTEGER PRIMARY KEY,
  run_id           INTEGER NOT NULL REFERENCES run (id),
  program_version  TEXT NOT NULL,
  git_revision     TEXT NOT NULL,
  host             TEXT NOT NULL,
  host_boot_id     TEXT NOT NULL,
  pid              INTEGER NOT NULL,
  pid_start_ticks  INTEGER NOT NULL,
  began_utc        TEXT NOT NULL,
  ended_utc        TEXT,
  state            TEXT NOT NULL DEFAULT 'running'
                   CHECK (state IN ('running', 'complete', 'stopped', 'failed', 'interrupted')),
  CHECK ((ended_utc IS NULL) = (state = 'running'))
) STRICT;
CREATE INDEX run_session_by_run ON run_session (run_id);
CREATE TABLE board_epoch (
  -- A stretch between two boots of a run's board. Board times of the run are the board's own clock
  -- plus offset_ns, so that they go on over a boot.
  id         INTEGER PRIMARY KEY,
  run_id     INTEGER NOT NULL REFERENCES run (id),
  boot_epoch INTEGER NOT NULL,  -- unsigned 64 bits
  offset_ns  INTEGER NOT NULL,
  since_utc  TEXT NOT NULL
) STRICT;
CREATE INDEX board_epoch_by_run ON board_epoch (run_id);
CREATE TABLE gap (
  -- A time in which a run did not measure: 'process' it had none, 'pause' somebody asked for it,
  -- 'board' it was gone, 'suspend' the computer slept; 'clock': UTC was set, nothing is missing.
  id        INTEGER PRIMARY KEY,
  run_id    INTEGER NOT NULL REFERENCES run (id),
  cause     TEXT NOT NULL CHECK (cause IN ('process', 'pause', 'board', 'suspend', 'clock')),
  begin_utc TEXT NOT NULL,
  end_utc   TEXT NOT NULL,
  text      TEXT NOT NULL
) STRICT;
CREATE INDEX gap_by_run ON gap (run_id);
CREATE TRIGGER gap_is_final BEFORE UPDATE ON gap
BEGIN SELECT raise(ABORT, 'a gap is never changed'); END;
CREATE INDEX accuracy_by_step ON accuracy (step_id);
