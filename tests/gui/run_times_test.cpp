// SPDX-License-Identifier: Apache-2.0
#include "app/gui/run_times.h"

#include <QLabel>
#include <ctime>

#include "app/gui/format.h"
#include "app/gui/retention_page.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

constexpr std::int64_t kSecond_ns = 1'000'000'000;
constexpr std::int64_t kProgrammed_ns = 1000 * kSecond_ns;

std::int64_t now_utc_ns() { return static_cast<std::int64_t>(std::time(nullptr)) * kSecond_ns; }

/// A run with one programming of two devices, read at times that a test chooses.
class RunTimesTest : public Desktop {
 protected:
  void begin() {
    store_.emplace(std::move(db::RunStore::open(database()).value()));
    db::RunStart start;
    start.name = "by hand";
    run_ = store_->begin_run(start).value();
    const db::RowId program = store_->begin_step(run_, 0, "program", "{}").value();
    step_ =
        store_
            ->begin_step(run_, 1, "retention", R"({"times_s": [25, 100, 400, 1600], "repeats": 1})")
            .value();
    const db::LayerRow layer{.ordinal = 0, .name = "one", .rows = 1, .columns = 1};
    ASSERT_TRUE(store_->add_layers(program, std::span(&layer, 1)));
    programming_ = store_->begin_programming({.run = run_, .step = program}).value();
    db::Placement placement;
    placement.shape = {4, 4};
    placement.first_weight = 0;
    placement.addresses = {placement.shape.at(0), placement.shape.at(1)};
    placement.targets_uS = {10, 0};
    ASSERT_TRUE(store_->set_placement(programming_, placement));
    db::ProgrammingResult result;
    result.verdicts = {db::Verdict::Converged, db::Verdict::Reset};
    result.iterations = {3, 0};
    result.pulses = {3, 1};
    result.last_amplitudes_10nA = {10000, 0};
    result.last_code_sums = {500, 0};
    result.last_pulse_ticks_ns = {kProgrammed_ns, kProgrammed_ns};
    ASSERT_TRUE(store_->finish_programming(programming_, result,
                                           {.iterations = 3,
                                            .nonzero_targets = 1,
                                            .converged = 1,
                                            .pulses = 4,
                                            .end_tick_ns = kProgrammed_ns}));
    ASSERT_TRUE(store_->finish_step(program, db::RunState::Complete, 1));
  }
  void read(int ordinal, double scheduled_s, std::int64_t utc_ns) {
    db::SweepStart start;
    start.run = run_;
    start.step = step_;
    start.programming = programming_;
    start.ordinal = ordinal;
    start.scheduled_s = scheduled_s;
    start.gain_uS_per_code = 0.1;
    const db::RowId sweep = store_->begin_sweep(start).value();
    const auto tick_ns = kProgrammed_ns + static_cast<std::int64_t>(scheduled_s * 1e9);
    const db::SweepBlock block{0, {tick_ns, tick_ns, 1, utc_ns}, {500, 3}};
    ASSERT_TRUE(store_->add_sweep_blocks(sweep, std::span(&block, 1)));
    ASSERT_TRUE(store_->finish_sweep(sweep, 10, scheduled_s));
  }
  std::vector<Stretch> gaps() {
    return gaps_after_programming(*store_, run_, store_->programmings(run_).value()).value();
  }

  std::optional<db::RunStore> store_;
  db::RowId run_ = 0, step_ = 0, programming_ = 0;
};

TEST_F(RunTimesTest, PlaceAPauseBetweenTheReadsAroundIt) {
  begin();
  const std::int64_t now_ns = now_utc_ns();
  read(0, 25, now_ns - 100 * kSecond_ns);
  ASSERT_TRUE(
      store_->add_gap(run_, db::GapCause::Pause, now_ns - 60 * kSecond_ns, "paused by anna"));
  read(1, 145, now_ns + 20 * kSecond_ns);
  const auto stretches = gaps();
  ASSERT_EQ(stretches.size(), 1);
  EXPECT_EQ(stretches[0].name, "pause");
  EXPECT_NEAR(stretches[0].from, 65, 0.01);
  EXPECT_NEAR(stretches[0].to, 125, 5) << "it ends when it is noted";
}

TEST_F(RunTimesTest, ShowAGapWithoutBoardTimeAsALine) {
  begin();
  const std::int64_t now_ns = now_utc_ns();
  read(0, 25, now_ns - 100 * kSecond_ns);
  ASSERT_TRUE(store_->add_gap(run_, db::GapCause::Process, now_ns - 60 * kSecond_ns, ""));
  // Virtual time: hours have passed on the board, seconds for us.
  read(1, 20000, now_ns + 20 * kSecond_ns);
  const auto stretches = gaps();
  ASSERT_EQ(stretches.size(), 1);
  EXPECT_EQ(stretches[0].name, "no process");
  EXPECT_DOUBLE_EQ(stretches[0].from, 25);
  EXPECT_DOUBLE_EQ(stretches[0].to, 25);
}

TEST_F(RunTimesTest, LeaveOutWhatWasBeforeTheEndOfProgramming) {
  begin();
  const std::int64_t now_ns = now_utc_ns();
  ASSERT_TRUE(store_->add_gap(run_, db::GapCause::Pause, now_ns - 600 * kSecond_ns, ""));
  read(0, 25, now_ns + 20 * kSecond_ns);
  EXPECT_TRUE(gaps().empty());
}

TEST_F(RunTimesTest, KnowTheReadsToCome) {
  begin();
  EXPECT_EQ(next_reads_s(*store_, run_).value(), (std::vector<double>{25, 100, 400, 1600}));
  read(0, 25, now_utc_ns());
  EXPECT_EQ(next_reads_s(*store_, run_).value(), (std::vector<double>{100, 400, 1600}));
  // The second was missed.
  read(1, 400, now_utc_ns());
  EXPECT_EQ(next_reads_s(*store_, run_).value(), (std::vector<double>{1600}));
  ASSERT_TRUE(store_->finish_step(step_, db::RunState::Complete, 1));
  EXPECT_TRUE(next_reads_s(*store_, run_).value().empty());
}

TEST_F(RunTimesTest, AreDrawnOnTheRetentionPageWithACountdown) {
  begin();
  const std::int64_t now_ns = now_utc_ns();
  read(0, 25, now_ns - 100 * kSecond_ns);
  ASSERT_TRUE(store_->add_gap(run_, db::GapCause::Pause, now_ns - 60 * kSecond_ns, ""));
  ASSERT_TRUE(store_->set_progress(run_, {"waiting for sweep 2 of 4", 0, 0, 3700}));
  open_window();
  page<RetentionPage>("Retention");
  for (const char* name : {"Conductance", "Conductance left"}) {
    const PlotContent& plot = plot_of(*window().page(), name);
    ASSERT_EQ(plot.stretches.size(), 1) << name;
    ASSERT_EQ(plot.moments.size(), 3) << name;
    EXPECT_GT(plot.x.range->second, 1600) << "the axis has room for what comes";
    const std::string csv = to_csv(plot);
    EXPECT_NE(csv.find("# pause: time after programming from 65"), std::string::npos) << csv;
    EXPECT_NE(csv.find("# next reads: time after programming 1600"), std::string::npos) << csv;
  }
  const QString next = widget<QLabel>("NextRead").text();
  EXPECT_TRUE(next.startsWith("Next read at 1.67\u00a0min, in 1:01:")) << next.toStdString();

  ASSERT_TRUE(store_->set_progress(run_, {"paused by anna", 0, 0, 0}));
  EXPECT_TRUE(wait_until([&] {
    return widget<QLabel>("NextRead").text() == "Next read at 1.67\u00a0min · now paused by anna";
  }));
  ASSERT_TRUE(store_->finish_run(run_, db::RunState::Stopped, ""));
  EXPECT_TRUE(wait_until([&] { return widget<QLabel>("NextRead").isHidden(); }));
}

TEST(Countdown, RunsAsAClockDoes) {
  EXPECT_EQ(countdown_text(187), "3:07");
  EXPECT_EQ(countdown_text(9045), "2:30:45");
  EXPECT_EQ(countdown_text(180000), "2\u00a0d 2:00:00");
  EXPECT_EQ(countdown_text(-3), "0:00");
}

}  // namespace
}  // namespace pcmlab::gui
