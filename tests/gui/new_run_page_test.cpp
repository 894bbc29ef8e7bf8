// SPDX-License-Identifier: Apache-2.0
#include "app/gui/new_run_page.h"

#include <QCheckBox>
#include <QComboBox>
#include <QLabel>
#include <QLineEdit>
#include <QListWidget>
#include <QPlainTextEdit>
#include <QProcess>
#include <QPushButton>
#include <QTest>
#include <QToolButton>
#include <csignal>

#include "app/gui/error_bar.h"
#include "app/gui/plan_form.h"
#include "app/gui/programming_page.h"
#include "tests/app/small_run.h"
#include "tests/gui/desktop.h"

namespace pcmlab::gui {
namespace {

constexpr const char* kPlan =
    "# mine\n"
    "[run]\n"
    "name = \"first\"   # said twice\n"
    "\n"
    "[[step]]\n"
    "experiment = \"program\"\n"
    "tolerance_uS = 0.3   # rough\n"
    "\n"
    "# then reads\n"
    "[[step]]\n"
    "experiment = \"retention\"\n"
    "points = 6\n";

TEST(PlanText, KnowsWhatALineSays) {
  const auto place = place_of_line(kPlan, 7);
  ASSERT_TRUE(place);
  EXPECT_EQ(place->part, (PlanPart{"step", 1}));
  EXPECT_EQ(place->key, "tolerance_uS");
  EXPECT_EQ(place_of_line(kPlan, 12)->part, (PlanPart{"step", 2}));
  EXPECT_EQ(place_of_line(kPlan, 3)->part, (PlanPart{"run", 0}));
  EXPECT_EQ(place_of_line(kPlan, 9)->key, "") << "a comment";
  EXPECT_FALSE(place_of_line(kPlan, 1)) << "before the first section";
  EXPECT_FALSE(place_of_line(kPlan, 99));
  EXPECT_EQ(line_of_part(kPlan, {"step", 2}), 10);
  EXPECT_FALSE(line_of_part(kPlan, {"mock", 0}));
  EXPECT_EQ(steps_of(kPlan), (std::vector<std::string>{"program", "retention"}));
}

TEST(PlanText, FindsTheLineOfAnError) {
  EXPECT_EQ(line_of_error({ErrorCode::BadPlan, "plan:12, step 2 (retention): no", ""}, "plan"), 12);
  EXPECT_FALSE(line_of_error({ErrorCode::BadPlan, "plan: the plan has no [[step]]", ""}, "plan"));
}

TEST(PlanText, TakesStepsAwayAndAddsThem) {
  const std::string without = without_step(kPlan, 1);
  EXPECT_EQ(without,
            "# mine\n[run]\nname = \"first\"   # said twice\n\n"
            "# then reads\n[[step]]\nexperiment = \"retention\"\npoints = 6\n");
  EXPECT_EQ(without_step(kPlan, 3), kPlan);
  EXPECT_EQ(with_step("[run]\n", "screen"), "[run]\n\n[[step]]\nexperiment = \"screen\"\n");
  EXPECT_EQ(without_step(with_step("[run]\n", "screen"), 1), "[run]\n");
}

class NewRunPageTest : public Desktop {
 protected:
  NewRunPage& open_page() {
    const auto plan = folder_.file("given.toml", kPlan);
    window().open_plan(plan, database());
    auto& shown = dynamic_cast<NewRunPage&>(*window().page());
    EXPECT_EQ(shown.plan_text(), kPlan);
    return shown;
  }
  QPlainTextEdit& words() { return widget<QPlainTextEdit>("PlanText"); }
  QString verdict() { return widget<QLabel>("PlanVerdict").text(); }
  void choose_part(const QString& name) {
    auto& parts = widget<QListWidget>("PlanParts");
    for (int row = 0; row < parts.count(); ++row) {
      if (parts.item(row)->text() == name) parts.setCurrentRow(row);
    }
    ASSERT_EQ(parts.currentItem()->text(), name);
  }
  template <class Field>
  Field& field(const std::string& key) {
    auto* found = qobject_cast<Field*>(ours<PlanForm>(*window().page()).front()->field(key));
    if (found == nullptr) throw std::runtime_error("no field " + key);
    return *found;
  }
  void enter(const std::string& key, const QString& value) {
    auto& line = field<QLineEdit>(key);
    line.setFocus();
    line.selectAll();
    QTest::keyClicks(&line, value);
    QTest::keyClick(&line, Qt::Key_Return);
  }
  QString error_at(const std::string& key) {
    const auto* form = ours<PlanForm>(*window().page()).front();
    for (const QLabel* label : form->findChildren<QLabel*>("FieldError")) {
      if (!label->isHidden() && label->text().contains(QString::fromStdString(key))) {
        return label->text();
      }
    }
    return {};
  }
};

TEST_F(NewRunPageTest, NeedsNoDatabaseAndShowsThePlanAsAForm) {
  open_page();
  EXPECT_EQ(verdict(), "A good plan.");
  EXPECT_EQ(field<QLineEdit>("name").text(), "first");
  choose_part("1  program");
  EXPECT_EQ(field<QLineEdit>("tolerance_uS").text(), "0.3");
  EXPECT_EQ(field<QLineEdit>("max_iterations").text(), "55") << "the default";
  QString help;
  for (const QLabel* label : ours<PlanForm>(*window().page()).front()->findChildren<QLabel*>()) {
    help += label->text() + '\n';
  }
  EXPECT_TRUE(help.contains("converged within this of the target"));
  EXPECT_TRUE(help.contains("0.01 .. 10"));
  EXPECT_TRUE(help.contains("µS"));
}

TEST_F(NewRunPageTest, WritesWhatIsEnteredIntoTheTextAndKeepsComments) {
  NewRunPage& shown = open_page();
  choose_part("1  program");
  enter("tolerance_uS", "0.5");
  EXPECT_NE(shown.plan_text().find("tolerance_uS = 0.5   # rough\n"), std::string::npos)
      << shown.plan_text();
  choose_part("board");
  field<QComboBox>("kind").setCurrentText("usb");
  Q_EMIT field<QComboBox>("kind").activated(1);
  EXPECT_NE(shown.plan_text().find("[board]\nkind = \"usb\"\n"), std::string::npos)
      << shown.plan_text();
  words().undo();
  EXPECT_EQ(shown.plan_text().find("[board]"), std::string::npos) << "as if it had been typed";
}

TEST_F(NewRunPageTest, TakesAKeyOutOfTheText) {
  NewRunPage& shown = open_page();
  choose_part("1  program");
  auto& take_out = widget<QToolButton>("TakeOut_tolerance_uS");
  EXPECT_FALSE(take_out.isHidden());
  EXPECT_TRUE(widget<QToolButton>("TakeOut_max_iterations").isHidden()) << "has its default";
  take_out.click();
  EXPECT_EQ(shown.plan_text().find("tolerance_uS"), std::string::npos) << shown.plan_text();
  EXPECT_EQ(verdict(), "A good plan.");
  EXPECT_EQ(field<QLineEdit>("tolerance_uS").text(), "0.25") << "the default";
  EXPECT_TRUE(widget<QToolButton>("TakeOut_tolerance_uS").isHidden());
  words().undo();
  EXPECT_EQ(shown.plan_text(), kPlan);
}

TEST_F(NewRunPageTest, ShowsInTheFormWhatIsTyped) {
  open_page();
  choose_part("2  retention");
  EXPECT_EQ(field<QLineEdit>("points").text(), "6");
  words().setPlainText(words().toPlainText().replace("points = 6", "points = 9"));
  EXPECT_TRUE(wait_until([&] { return field<QLineEdit>("points").text() == "9"; }));
}

TEST_F(NewRunPageTest, SaysWhatIsWrongAtTheKeyAndOnTheLine) {
  open_page();
  choose_part("1  program");
  enter("tolerance_uS", "50");
  EXPECT_TRUE(error_at("tolerance_uS").contains("outside 0.01 .. 10"));
  EXPECT_TRUE(verdict().contains("plan:7"));
  ASSERT_EQ(words().extraSelections().size(), 1);
  EXPECT_EQ(words().extraSelections().front().cursor.blockNumber(), 6);
  for (const QPushButton* button : window().page()->findChildren<QPushButton*>()) {
    if (button->accessibleName() == "Start the run") {
      EXPECT_FALSE(button->isEnabled());
    }
  }
  enter("tolerance_uS", "0.4");
  EXPECT_EQ(verdict(), "A good plan.");
  EXPECT_EQ(error_at("tolerance_uS"), "");
  EXPECT_TRUE(words().extraSelections().isEmpty());

  words().setPlainText("[run\n");
  EXPECT_TRUE(wait_until([&] { return verdict().contains("not valid TOML"); }));
}

TEST_F(NewRunPageTest, ShowsAPlanOfSeveralRunsAndSendsItToTheQueue) {
  NewRunPage& shown = open_page();
  const std::string loop =
      "[[loop]]\nkey = \"step.program.tolerance_uS\"\nvalues = [0.1, 0.25, 0.5]\n\n";
  shown.set_plan(loop + kPlan, folder_ / "");
  EXPECT_TRUE(verdict().startsWith("A good plan, of 3 runs")) << verdict().toStdString();
  EXPECT_TRUE(verdict().contains("into the queue"));
  choose_part("1  program");
  EXPECT_EQ(field<QLineEdit>("tolerance_uS").text(), "0.1") << "of the first run";
  choose_part("2  retention");
  enter("points", "9");
  EXPECT_NE(shown.plan_text().find("points = 9"), std::string::npos);
  EXPECT_EQ(shown.plan_text().find(loop), 0U) << "the loop stays as it was written";
  for (const QPushButton* button : window().page()->findChildren<QPushButton*>()) {
    if (button->accessibleName() == "Start the run") {
      EXPECT_FALSE(button->isEnabled());
    }
  }
  shown.start();
  EXPECT_TRUE(window().error_bar().message().contains("stands for 3 runs"))
      << window().error_bar().message().toStdString();
  shown.set_plan(
      "[[loop]]\nkey = \"step.program.tolerance_uS\"\nvalues = [0.1, 50]\n\n" + std::string(kPlan),
      folder_ / "");
  EXPECT_TRUE(verdict().contains("the run with tolerance_uS = 50")) << verdict().toStdString();
  EXPECT_TRUE(words().extraSelections().isEmpty());
}

TEST_F(NewRunPageTest, AddsAndRemovesSteps) {
  NewRunPage& shown = open_page();
  auto& add = widget<QComboBox>("AddStep");
  add.setCurrentText("accuracy");
  Q_EMIT add.activated(add.currentIndex());
  EXPECT_EQ(steps_of(shown.plan_text()).back(), "accuracy");
  EXPECT_EQ(widget<QListWidget>("PlanParts").currentItem()->text(), "3  accuracy");
  widget<QPushButton>("RemoveStep").click();
  EXPECT_EQ(steps_of(shown.plan_text()).size(), 2);
}

TEST_F(NewRunPageTest, KeepsTheDraft) {
  NewRunPage& shown = open_page();
  words().appendPlainText("# and a thought");
  const std::string written = shown.plan_text();
  window_ = std::make_unique<MainWindow>();
  window_->show();
  EXPECT_EQ(ours<NewRunPage>(window()).front()->plan_text(), written);
}

TEST_F(NewRunPageTest, PredictsBeforeTheStart) {
  window().set_runner(PCMLAB_PROGRAM);
  window().open_plan(app::small_plan(folder_), database());
  auto& prediction = widget<QLabel>("Prediction");
  ASSERT_TRUE(wait_until([&] { return prediction.text().contains("pulses"); }))
      << prediction.text().toStdString();
  EXPECT_TRUE(prediction.text().contains("1\u202f194 weights on 2\u202f388 devices, 200 images"));
  EXPECT_FALSE(std::filesystem::exists(database()));
}

TEST_F(NewRunPageTest, StartsARunThatOutlivesTheWindow) {
  window().set_runner(PCMLAB_PROGRAM);
  window().open_plan(app::small_plan(folder_, "name = \"outlives\"\n"), database());
  auto& shown = dynamic_cast<NewRunPage&>(*window().page());
  std::string longer = shown.plan_text();
  longer.replace(longer.find("points = 8"), 10, "points = 100000");
  shown.set_plan(longer, folder_ / "");
  ASSERT_TRUE(wait_until([&] { return window().isActiveWindow(); }));
  words().setFocus();
  QTest::keyClick(&words(), Qt::Key_Return, Qt::ControlModifier);
  ASSERT_TRUE(wait_until([&] { return window().lab().followed_run() != nullptr; }))
      << window().error_bar().message().toStdString();
  EXPECT_EQ(window().lab().followed_run()->row.name, "outlives");
  EXPECT_TRUE(wait_until([&] {
    return dynamic_cast<ProgrammingPage*>(window().page()) != nullptr;
  })) << "where one sees it";
  const auto pid = static_cast<pid_t>(window().lab().followed_run()->row.pid);
  EXPECT_NE(::getsid(pid), ::getsid(0)) << "a session of its own";
  window_.reset();
  EXPECT_EQ(::kill(pid, 0), 0) << "it is still there";

  window_ = std::make_unique<MainWindow>();
  window_->show();
  window().set_runner(PCMLAB_PROGRAM);
  open_window();
  const auto state = [&] { return window().lab().followed_run()->row.state; };
  EXPECT_EQ(state(), db::RunState::Running);
  QTest::keyClick(&window(), Qt::Key_S, Qt::ControlModifier | Qt::ShiftModifier);
  ASSERT_TRUE(wait_until([&] { return state() == db::RunState::Stopped; }));

  // And once more from where it was left.
  QTest::keyClick(&window(), Qt::Key_R, Qt::ControlModifier | Qt::ShiftModifier);
  ASSERT_TRUE(wait_until([&] { return state() == db::RunState::Running; }))
      << window().error_bar().message().toStdString();
  EXPECT_TRUE(wait_until([&] { return !window().lab().runner.is_starting(); }));
  QTest::keyClick(&window(), Qt::Key_A, Qt::ControlModifier | Qt::ShiftModifier);
  EXPECT_TRUE(wait_until([&] { return state() == db::RunState::Stopped; }));
}

TEST_F(NewRunPageTest, SaysWhyARunDidNotStart) {
  window().set_runner(PCMLAB_PROGRAM);
  const std::string plan = app::small_plan(folder_);
  std::filesystem::remove(folder_ / "small.onnx");
  window().open_plan(plan, database());
  dynamic_cast<NewRunPage&>(*window().page()).start();
  ASSERT_TRUE(wait_until([&] { return !window().error_bar().message().isEmpty(); }));
  EXPECT_TRUE(window().error_bar().message().contains("small.onnx"))
      << window().error_bar().message().toStdString();
  EXPECT_TRUE(window().error_bar().message().contains("What to do"));
}

TEST_F(NewRunPageTest, SaysThatThereIsNoProgram) {
  window().set_runner({});
  open_page().start();
  EXPECT_TRUE(window().error_bar().message().contains("neither beside this program"));
}

}  // namespace
}  // namespace pcmlab::gui
