// SPDX-License-Identifier: Apache-2.0
#include "db/query/questions.h"

#include <algorithm>
#include <array>

namespace pcmlab::db {
namespace {

constexpr std::array<QuestionParameter, 0> kNone{};
constexpr std::array kRun{QuestionParameter{"run", "the newest one if not given"}};
constexpr std::array kRunAndDevice{QuestionParameter{"run", "the newest one if not given"},
                                   QuestionParameter{"device", "its index; 0 if not given"}};
constexpr std::array kSample{QuestionParameter{"sample", "a chip; all if not given"}};

// ?: the run that is meant.
#define PCMLAB_THE_RUN "coalesce(:run, (SELECT max(run_id) FROM run_overview))"
#define PCMLAB_THE_DEVICE "coalesce(:device, 0)"
// Chips that are meant, by their first runs.
#define PCMLAB_THE_CHIPS                                                                \
  "first_run_id IN (SELECT min(id) FROM run WHERE :sample IS NULL OR sample = :sample " \
  "GROUP BY board_id, sample)"
// Sums of the table device_wear over one kind of line.
#define PCMLAB_WEAR_OF(kind, column)                                                            \
  "SELECT first_run_id, '" kind "' AS kind, " column                                            \
  " AS line, count(*) AS devices, "                                                             \
  "sum(pulses) AS pulses, max(pulses) AS most_pulses, sum(unknown_batches) AS unknown_batches " \
  "FROM device_wear WHERE " PCMLAB_THE_CHIPS " GROUP BY first_run_id, " column

constexpr std::array kQuestions{
    Question{"runs", "all runs, newest first", kNone,
             "SELECT run_id, state, started_utc, ended_utc, operator_name, board_serial, sample, "
             "network_name, name, tags, notes FROM run_overview ORDER BY run_id DESC"},
    Question{"latest", "the newest run of every chip", kNone, "SELECT * FROM latest_run_per_board"},
    Question{"progress", "how far the running runs are", kNone,
             "SELECT run.id AS run_id, run.name, activity, round(100.0 * done / max(total, 1), 1) "
             "AS percent, eta_s, heartbeat_utc FROM run JOIN run_progress ON run_id = run.id "
             "WHERE state = 'running' ORDER BY run.id"},
    Question{"operators", "runs by operator and week", kNone,
             "SELECT * FROM runs_by_operator_week ORDER BY monday DESC, operator_name"},
    Question{"accuracy", "accuracy of a run against time", kRun,
             "SELECT compensation, after_s, accuracy_percent, correct, images, precision, "
             "input_bits, output_bits, sweep_ordinal, repeat FROM accuracy_over_time "
             "WHERE run_id = " PCMLAB_THE_RUN " ORDER BY compensation, after_s"},
    Question{"accuracy-spread", "accuracy of each time point over its repeated reads", kRun,
             "SELECT compensation, scheduled_s, count(*) AS reads, avg(accuracy_percent) AS "
             "mean_percent, min(accuracy_percent) AS lowest_percent, max(accuracy_percent) AS "
             "highest_percent FROM accuracy_over_time WHERE run_id = " PCMLAB_THE_RUN
             " AND sweep_id NOT NULL GROUP BY compensation, scheduled_s"},
    Question{"sweeps", "when a run read the chip, how late, and how much conductance was left",
             kRun,
             "SELECT sweep_id, ordinal, scheduled_s, slip_s, after_s, mean_uS, mean_uS / "
             "first_value(mean_uS) OVER (PARTITION BY programming_id ORDER BY ordinal) AS left, "
             "temperature_K, complete FROM sweep_overview WHERE run_id = " PCMLAB_THE_RUN
             " ORDER BY sweep_id"},
    Question{"yield", "how many devices reached their target, by programming", kSample,
             "SELECT * FROM programming_yield WHERE :sample IS NULL OR sample = :sample "
             "ORDER BY programming_id DESC"},
    Question{"verdicts", "how the devices of a run ended", kRun,
             "SELECT programming_id, verdict, count(*) AS devices, avg(iterations) AS "
             "mean_iterations, avg(pulses) AS mean_pulses, avg(error_uS) AS mean_error_uS "
             "FROM programmed_device WHERE run_id = " PCMLAB_THE_RUN " GROUP BY 1, 2"},
    Question{"errors", "how a run hit its targets when it verified, by target", kRun,
             "SELECT programming_id, 2.5 * cast(target_uS / 2.5 AS INTEGER) AS from_uS, count(*) "
             "AS devices, avg(error_uS) AS mean_error_uS, sqrt(avg(error_uS * error_uS) - "
             "avg(error_uS) * avg(error_uS)) AS sigma_uS FROM programmed_device "
             "WHERE run_id = " PCMLAB_THE_RUN " AND verdict = 'converged' GROUP BY 1, 2"},
    Question{"stuck", "devices of a run that did not answer pulses", kRun,
             "SELECT programming_id, device, word_line, bit_line, layer_name, weight, verdict, "
             "target_uS, verified_uS, iterations, pulses, last_amplitude_uA FROM programmed_device "
             "WHERE run_id = " PCMLAB_THE_RUN " AND verdict IN ('stuck low', 'stuck high')"},
    Question{"bad-devices", "known bad devices of chips", kSample,
             "SELECT * FROM known_bad_device WHERE :sample IS NULL OR sample = :sample "
             "ORDER BY board_serial, sample, word_line, bit_line"},
    Question{"worst-lines", "lines with the most known bad devices", kSample,
             "SELECT * FROM worst_line WHERE :sample IS NULL OR sample = :sample LIMIT 20"},
    Question{"wear", "pulses that every chip has borne", kNone, "SELECT * FROM chip_wear"},
    Question{
        "wear-lines", "pulses that the devices of each line have borne, worst first", kSample,
        "WITH of_line AS (" PCMLAB_WEAR_OF("word line", "word_line") " UNION ALL " PCMLAB_WEAR_OF(
            "bit line", "bit_line") ") SELECT serial AS board_serial, sample, "
                                    "kind, line, devices, pulses, 1.0 * pulses / devices AS "
                                    "mean_pulses, most_pulses, "
                                    "of_line.unknown_batches FROM of_line JOIN run ON run.id = "
                                    "first_run_id JOIN board ON "
                                    "board.id = board_id ORDER BY mean_pulses DESC"},
    Question{"wear-devices", "the hundred devices that have borne the most pulses", kSample,
             "SELECT board_serial, sample, word_line, bit_line, pulses, programmings, "
             "unknown_batches, last_run_id FROM device_wear WHERE " PCMLAB_THE_CHIPS
             " ORDER BY pulses DESC LIMIT 100"},
    Question{"drift", "drift exponents of a run by target", kRun,
             "SELECT programming_id, sweeps, first_s, last_s, low_uS, high_uS, devices, "
             "exponent_median, exponent_p10, exponent_p90, stuck, noisy, backwards, too_few_points "
             "FROM drift_overview WHERE run_id = " PCMLAB_THE_RUN " ORDER BY 1, low_uS"},
    Question{"device", "every reading of a device of a run", kRunAndDevice,
             "SELECT sweep_id, after_s, age_s, code_sum, g_uS, target_uS, layer_name, weight, "
             "polarity, word_line, bit_line FROM reading WHERE run_id = " PCMLAB_THE_RUN
             " AND device = " PCMLAB_THE_DEVICE},
    Question{"pulses", "every pulse of a device of a run, and the read that followed",
             kRunAndDevice,
             "SELECT programming_id, batch, kind, iteration, amplitude_uA, width_ns, given, "
             "tick_ns, verified_uS, target_uS FROM pulse WHERE run_id = " PCMLAB_THE_RUN
             " AND device = " PCMLAB_THE_DEVICE},
    Question{"layers", "how far the layers of a run are off, sweep by sweep", kRun,
             "SELECT sweep.ordinal AS sweep_ordinal, sweep.after_s, layer.ordinal AS layer, name, "
             "gdc_factor, weight_error_of_max, gdc_weight_error_of_max, activation_mean_shift, "
             "activation_variance_ratio FROM layer_state JOIN sweep ON sweep.id = sweep_id "
             "JOIN programming ON programming.id = sweep.programming_id JOIN layer ON "
             "layer.step_id = programming.step_id AND layer.ordinal = layer_state.layer "
             "WHERE sweep.run_id = " PCMLAB_THE_RUN " ORDER BY sweep.id, layer.ordinal"},
    Question{"events", "gaps, faults, slips and remarks of a run", kRun,
             "SELECT utc, kind, text FROM event WHERE run_id = " PCMLAB_THE_RUN " ORDER BY id"},
    Question{"unknown-pulses", "batches that were sent and never acknowledged", kNone,
             "SELECT run_id, programming_id, batch, kind, iteration, device_count, intended_utc "
             "FROM pulse_batch JOIN programming ON programming.id = programming_id "
             "LEFT JOIN pulse_batch_outcome ON pulse_batch_id = pulse_batch.id "
             "WHERE pulse_batch_id IS NULL ORDER BY pulse_batch.id"},
};

}  // namespace

std::span<const Question> questions() { return kQuestions; }

const Question* find_question(std::string_view name) {
  const auto found = std::find_if(kQuestions.begin(), kQuestions.end(),
                                  [&](const Question& question) { return question.name == name; });
  return found == kQuestions.end() ? nullptr : &*found;
}

}  // namespace pcmlab::db
