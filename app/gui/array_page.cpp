// SPDX-License-Identifier: Apache-2.0
#include "app/gui/array_page.h"

#include <QApplication>
#include <QCheckBox>
#include <QClipboard>
#include <QComboBox>
#include <QDoubleSpinBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QSignalBlocker>
#include <QSpinBox>
#include <QSplitter>
#include <QVBoxLayout>
#include <cmath>

#include "app/gui/array_region.h"
#include "app/gui/array_view.h"
#include "app/gui/by_hand.h"
#include "app/gui/format.h"
#include "app/gui/plot_view.h"
#include "app/gui/query_model.h"
#include "app/gui/retention_data.h"
#include "db/query/results_query.h"

namespace pcmlab::gui {
namespace {

constexpr ArrayQuantity kQuantities[] = {ArrayQuantity::Conductance, ArrayQuantity::Error,
                                         ArrayQuantity::Target,      ArrayQuantity::Iterations,
                                         ArrayQuantity::Verdict,     ArrayQuantity::DriftExponent};

bool is_of_time(ArrayQuantity quantity) {
  return quantity == ArrayQuantity::Conductance || quantity == ArrayQuantity::Error;
}

}  // namespace

Result<DeviceHistory> read_device_history(const std::filesystem::path& database,
                                          const db::RunRow& run, db::RowId programming,
                                          std::int64_t device, const std::stop_token& stop) {
  PCM_ASSIGN(auto query,
             db::ResultsQuery::open(database, {.timeout = std::chrono::seconds(60), .stop = stop}));
  const std::map<std::string, std::string> values{{"programming", std::to_string(programming)},
                                                  {"device", std::to_string(device)}};
  const std::string source = source_of(run) + ", programming " + std::to_string(programming) +
                             ", device " + std::to_string(device);
  DeviceHistory history;
  history.programming = {.title = "Programming",
                         .x = {.title = "iteration", .unit = ""},
                         .y = {.title = "verified", .unit = "µS"},
                         .series = {},
                         .source = source};
  Series verified{.name = "after the pulse", .mark = Mark::LinePoints, .x = {}, .y = {}};
  double target_uS = 0;
  PCM_TRY(
      query.prepare("SELECT iteration, verified_uS, target_uS FROM pulse "
                    "WHERE programming_id = :programming AND device = :device",
                    values));
  while (true) {
    PCM_ASSIGN(const bool more, query.step());
    if (!more) break;
    target_uS = number_of(query.value(2));
    if (std::isnan(number_of(query.value(1)))) continue;
    verified.x.push_back(number_of(query.value(0)));
    verified.y.push_back(number_of(query.value(1)));
  }
  history.programming.series.push_back(std::move(verified));
  history.programming.levels.push_back({target_uS, "target"});
  history.reads = {.title = "Reads",
                   .x = {.title = "time after its last pulse", .unit = "", .scale = Scale::Time},
                   .y = {.title = "conductance", .unit = "µS"},
                   .series = {},
                   .source = source};
  Series reads{.name = "read", .mark = Mark::LinePoints, .colour = 2, .x = {}, .y = {}};
  PCM_TRY(
      query.prepare("SELECT age_s, g_uS FROM reading "
                    "WHERE programming_id = :programming AND device = :device",
                    values));
  while (true) {
    PCM_ASSIGN(const bool more, query.step());
    if (!more) break;
    reads.x.push_back(number_of(query.value(0)));
    reads.y.push_back(number_of(query.value(1)));
  }
  history.reads.series.push_back(std::move(reads));
  // What was read by hand since, at the same place.
  Series by_hand{.name = "by hand", .mark = Mark::LinePoints, .colour = 1, .x = {}, .y = {}};
  PCM_TRY(query.prepare(
      "WITH RECURSIVE place AS (SELECT word_line, bit_line, last_pulse_tick_ns"
      " FROM programmed_device WHERE programming_id = :programming AND device = :device),"
      " later(run_id) AS (SELECT run_id FROM programming WHERE id = :programming UNION"
      " SELECT run.id FROM run JOIN later ON parent_run_id = later.run_id)"
      " SELECT (reading.tick_ns - last_pulse_tick_ns) * 1e-9, reading.g_uS FROM later"
      " JOIN programming ON programming.run_id = later.run_id JOIN step ON step.id = step_id"
      " JOIN place JOIN reading ON reading.programming_id = programming.id"
      " AND reading.word_line = place.word_line AND reading.bit_line = place.bit_line"
      " WHERE experiment = 'manual' AND programming.id <> :programming ORDER BY 1",
      values));
  while (true) {
    PCM_ASSIGN(const bool more, query.step());
    if (!more) break;
    by_hand.x.push_back(number_of(query.value(0)));
    by_hand.y.push_back(number_of(query.value(1)));
  }
  if (!by_hand.x.empty()) history.reads.series.push_back(std::move(by_hand));
  history.reads.levels.push_back({target_uS, "target"});
  return history;
}

ArrayPage::ArrayPage(Lab& lab)
    : Page(lab, "Array"),
      quantity_(new QComboBox),
      programming_(new QComboBox),
      sweep_(new QComboBox),
      pointed_(new QLabel),
      layers_(new QCheckBox("layers")),
      means_(new QCheckBox("line means")),
      copy_sql_(new QPushButton("Copy SQL")),
      amplitude_(new QDoubleSpinBox),
      width_(new QSpinBox),
      read_(new QPushButton("Read")),
      pulse_(new QPushButton("Pulse")),
      view_(new ArrayView),
      programmed_(new PlotView("Programming")),
      reads_(new PlotView("Reads")) {
  for (const ArrayQuantity quantity : kQuantities) quantity_->addItem(name_of(quantity));
  quantity_->setObjectName("ArrayQuantity");
  quantity_->setAccessibleName("What the array shows");
  programming_->setObjectName("ArrayProgramming");
  programming_->setAccessibleName("Programming that the array shows");
  sweep_->setObjectName("ArraySweep");
  sweep_->setAccessibleName("Sweep that the array shows");
  for (QComboBox* box : {programming_, sweep_}) {
    box->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
    box->setMinimumContentsLength(14);
  }
  connect(quantity_, qOverload<int>(&QComboBox::activated), this, [this] { read_map(); });
  connect(sweep_, qOverload<int>(&QComboBox::activated), this, [this] { read_map(); });
  connect(programming_, qOverload<int>(&QComboBox::activated), this, [this] {
    fill_sweeps();
    read_map();
  });
  pointed_->setObjectName("ArrayPointed");
  pointed_->setTextFormat(Qt::PlainText);
  pointed_->setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
  view_->on_pointed([this](std::optional<std::size_t> place) { point_at(place); });
  view_->on_chosen([this](std::size_t place) { choose(place); });
  view_->on_region([this](const QRect& region) { choose_region(region); });
  layers_->setObjectName("ArrayLayers");
  layers_->setToolTip("Lines between the layers of the network");
  means_->setObjectName("ArrayMeans");
  means_->setToolTip("Mean of every bit line and word line, over what is in view");
  connect(layers_, &QCheckBox::toggled, this, [this](bool on) { view_->show_layers(on); });
  connect(means_, &QCheckBox::toggled, this, [this](bool on) { view_->show_means(on); });
  copy_sql_->setObjectName("CopySql");
  copy_sql_->setToolTip("The query for what is chosen: for the page SQL, pcmlab query, or Python");
  copy_sql_->setEnabled(false);
  connect(copy_sql_, &QPushButton::clicked, this, [this] {
    QApplication::clipboard()->setText(text(sql_));
    this->lab().show_message("The query is in the clipboard");
  });
  auto* controls = new QHBoxLayout;
  controls->setSpacing(8);
  controls->addWidget(quantity_);
  controls->addWidget(sweep_);
  controls->addWidget(programming_);
  controls->addStretch();
  controls->addWidget(layers_);
  controls->addWidget(means_);
  auto* card = new QFrame;
  card->setObjectName("Card");
  auto* inside = new QVBoxLayout(card);
  inside->setContentsMargins(8, 8, 8, 4);
  inside->addWidget(view_, 1);
  auto* below = new QHBoxLayout;
  below->setSpacing(8);
  below->addWidget(make_hand());
  below->addStretch();
  below->addWidget(copy_sql_);
  inside->addWidget(pointed_);
  inside->addLayout(below);
  auto* history = new QWidget;
  auto* plots = new QHBoxLayout(history);
  plots->setContentsMargins(0, 0, 0, 0);
  plots->setSpacing(12);
  for (PlotView* plot : {programmed_, reads_}) {
    plot->set_empty(
        "Click a device to see its history;\nhold Shift and drag for the devices of a region.");
    plot->on_error([this](const Error& error) { this->lab().show_error(error); });
    plots->addWidget(plot);
  }
  auto* splitter = new QSplitter(Qt::Vertical);
  splitter->setObjectName("ArraySplitter");
  splitter->setHandleWidth(12);
  splitter->setChildrenCollapsible(false);
  splitter->addWidget(card);
  splitter->addWidget(history);
  splitter->setStretchFactor(0, 3);
  splitter->setStretchFactor(1, 2);
  splitter->setSizes({400, 270});
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(16, 10, 16, 16);
  layout->setSpacing(8);
  layout->addLayout(controls);
  layout->addWidget(splitter, 1);
}

QWidget* ArrayPage::make_hand() {
  auto* title = new QLabel("By hand:");
  title->setObjectName("Soft");
  // As wide as a plan allows; what the board allows, it says.
  amplitude_->setObjectName("HandAmplitude");
  amplitude_->setAccessibleName("Amplitude of a pulse by hand");
  amplitude_->setRange(0.1, 650);
  amplitude_->setDecimals(1);
  amplitude_->setValue(100);
  amplitude_->setSuffix(" µA");
  width_->setObjectName("HandWidth");
  width_->setAccessibleName("Width of a pulse by hand");
  width_->setRange(50, 1'000'000);
  width_->setValue(400);
  width_->setSuffix(" ns");
  for (QAbstractSpinBox* box : std::initializer_list<QAbstractSpinBox*>{amplitude_, width_}) {
    box->findChild<QLineEdit*>()->setAccessibleName(box->accessibleName());
  }
  read_->setObjectName("HandRead");
  read_->setToolTip("Reads the chosen device: a run of its own, as the step `manual` of a plan");
  pulse_->setObjectName("HandPulse");
  pulse_->setToolTip("One pulse for the chosen device, and a read; it counts as wear of the chip");
  connect(read_, &QPushButton::clicked, this, [this] { begin_by_hand(0); });
  connect(pulse_, &QPushButton::clicked, this, [this] { begin_by_hand(1); });
  auto* hand = new QWidget;
  auto* row = new QHBoxLayout(hand);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(6);
  row->addWidget(title);
  for (QWidget* each : std::initializer_list<QWidget*>{read_, pulse_, amplitude_, width_}) {
    row->addWidget(each);
  }
  read_->setEnabled(false);
  pulse_->setEnabled(false);
  return hand;
}

void ArrayPage::begin_by_hand(int pulses) {
  if (!chosen_ || !map_ || !choices_ || !lab().snapshot) return;
  if (*chosen_ >= map_->shape.device_count()) return;
  const auto& runs = lab().snapshot->runs;
  const auto at_work = std::find_if(runs.begin(), runs.end(), [](const FollowedRun& run) {
    return run.row.state == db::RunState::Running;
  });
  if (at_work != runs.end()) {
    const std::string name = "run " + std::to_string(at_work->row.id);
    return lab().show_error({ErrorCode::Busy,
                             "reading or pulsing by hand: " + name + " (" + at_work->row.name +
                                 ") is at work, and the board is its own",
                             "wait for its end, or stop it first"});
  }
  const auto begin = [&]() -> Result<void> {
    PCM_ASSIGN(const std::string plan,
               plan_by_hand(choices_->run, {map_->shape.at(*chosen_), pulses, amplitude_->value(),
                                            width_->value()}));
    PCM_ASSIGN(const QString file, keep_plan(plan));
    const auto ended = [this] {
      read_->setEnabled(chosen_.has_value());
      pulse_->setEnabled(chosen_.has_value());
    };
    return lab().runner.start(
        {"run", file, "--after", QString::number(last_on_chip(*lab().snapshot, choices_->run.id)),
         "--database", text(lab().database.string()), "--quiet"},
        std::nullopt, {},
        {[this, ended](db::RowId run) {
           by_hand_ = run;
           ended();
           look_by_hand();
         },
         [this, ended](const Error& error) {
           ended();
           this->lab().show_message({});
           this->lab().show_error(error);
         }});
  };
  const auto begun = begin();
  if (!begun) return lab().show_error(begun.error());
  read_->setEnabled(false);
  pulse_->setEnabled(false);
  lab().show_message(pulses > 0 ? "Pulsing…" : "Reading…");
}

void ArrayPage::look_by_hand() {
  const FollowedRun* run = by_hand_ ? lab().snapshot->find(*by_hand_) : nullptr;
  if (run == nullptr || run->row.state == db::RunState::Running) return;
  by_hand_.reset();
  if (run->row.state != db::RunState::Complete) {
    lab().show_message({});
    return lab().show_error({ErrorCode::Io, "by hand: " + run->row.error, ""});
  }
  lab().reader.ask<HandRead>(
      &hand_asker_,
      [id = run->row.id](db::RunStore& store, const std::stop_token&) {
        return read_by_hand(store, id);
      },
      [this, id = run->row.id](Result<HandRead> read) {
        if (!read) return lab().show_error(read.error());
        QString said = QString("Word line %1, bit line %2: %3 µS")
                           .arg(read->device.word_line.index)
                           .arg(read->device.bit_line.index)
                           .arg(number_text(read->g_uS));
        if (read->pulses > 0) said += " after the pulse";
        lab().show_message(said + QString(" (run %1)").arg(id));
        read_history();
      });
}

void ArrayPage::refresh() {
  if (lab().snapshot) look_by_hand();
  const FollowedRun* run = lab().followed_run();
  if (run == nullptr) return;
  const bool same = choices_ && choices_->run.id == run->row.id;
  if (same && choices_->run.state == run->row.state && run->row.state != db::RunState::Running)
    return;
  if (same && lab().reader.is_asked_by(this)) return;
  lab().reader.ask<ArrayChoices>(
      this,
      [id = run->row.id](db::RunStore& store, const std::stop_token&) {
        return read_array_choices(store, id);
      },
      [this](Result<ArrayChoices> read) {
        if (!read) return lab().show_error(read.error());
        choices_ = std::move(*read);
        show_choices();
      });
}

bool ArrayPage::is_settled() const {
  return Page::is_settled() && !lab().reader.is_asked_by(&map_asker_) &&
         !lab().reader.is_asked_by(&history_asker_) && !lab().reader.is_asked_by(&hand_asker_) &&
         (!lab().run || (choices_ && choices_->run.id == *lab().run));
}

void ArrayPage::retheme() {
  view_->update();
  programmed_->retheme();
  reads_->retheme();
}

void ArrayPage::show_example() {
  if (!map_) return;
  // A device in the middle that needed some pulses.
  std::size_t place = map_->values.size() / 3;
  while (place < map_->values.size() &&
         (std::isnan(map_->values[place]) || map_->values[place] < 10)) {
    ++place;
  }
  if (place < map_->values.size()) view_->choose(place);
}

const ArrayChoices::Programming* ArrayPage::programming() const {
  const int index = programming_->currentIndex();
  return choices_ && index >= 0 ? &choices_->programmings[static_cast<std::size_t>(index)]
                                : nullptr;
}

void ArrayPage::show_choices() {
  // A new programming or sweep is shown at once by those who looked at the newest.
  const bool newest_programming = programming_->currentIndex() == programming_->count() - 1;
  const int chosen = programming_->currentIndex();
  {
    const QSignalBlocker quiet(programming_);
    programming_->clear();
    for (const auto& each : choices_->programmings) {
      programming_->addItem(QString("programming %1: %2").arg(each.id).arg(text(each.experiment)));
    }
    programming_->setCurrentIndex(newest_programming ? programming_->count() - 1 : chosen);
    if (programming_->currentIndex() < 0) programming_->setCurrentIndex(programming_->count() - 1);
  }
  programming_->setVisible(programming_->count() > 1);
  fill_sweeps();
  read_map();
}

void ArrayPage::fill_sweeps() {
  const QSignalBlocker quiet(sweep_);
  const QVariant chosen = sweep_->currentData();
  sweep_->clear();
  if (programming() == nullptr) return;
  sweep_->addItem("last verify read");
  for (const auto& sweep : programming()->sweeps) {
    QString name = duration_text(sweep.after_s) + " after";
    if (sweep.repeat > 0) name += QString(", repeat %1").arg(sweep.repeat + 1);
    sweep_->addItem(name, QVariant::fromValue<qlonglong>(sweep.id));
  }
  const int place = chosen.isValid() ? sweep_->findData(chosen) : 0;
  sweep_->setCurrentIndex(std::max(0, place));
}

void ArrayPage::read_map() {
  const ArrayChoices::Programming* chosen = programming();
  const ArrayQuantity quantity = kQuantities[quantity_->currentIndex()];
  sweep_->setEnabled(is_of_time(quantity));
  if (chosen == nullptr) {
    map_.reset();
    view_->set(nullptr, "This run has not finished programming the array yet.");
    return;
  }
  std::optional<db::RowId> sweep;
  if (sweep_->currentData().isValid()) sweep = sweep_->currentData().toLongLong();
  lab().reader.ask<ArrayMap>(
      &map_asker_,
      [programming = *chosen, quantity, sweep](db::RunStore& store, const std::stop_token&) {
        return read_array(store, programming, quantity, sweep);
      },
      [this, id = chosen->id](Result<ArrayMap> read) {
        if (!read && read.error().code == ErrorCode::NotFound) {
          map_.reset();
          return view_->set(nullptr, text(read.error().message) + "\n" + text(read.error().advice));
        }
        if (!read) return lab().show_error(read.error());
        map_ = std::make_shared<const ArrayMap>(std::move(*read));
        map_programming_ = id;
        view_->set(map_);
        point_at(std::nullopt);
      });
}

QString ArrayPage::told(std::size_t place) const {
  const QString where = QString("word line %1 · bit line %2")
                            .arg(place / map_->shape.bit_lines)
                            .arg(place % map_->shape.bit_lines);
  if (map_->devices[place] < 0) return where + " · no device of this programming";
  QString device = QString(" · device %1 · ").arg(map_->devices[place]) +
                   text(value_text(*map_, map_->values[place]));
  if (const int layer = map_->layers[place]; layer >= 0) {
    device += " · layer " + text(map_->layer_names[static_cast<std::size_t>(layer)]);
  }
  return where + device;
}

void ArrayPage::point_at(std::optional<std::size_t> place) {
  if (!map_) return pointed_->clear();
  pointed_->setText(
      place ? told(*place)
            : count_text(std::count_if(map_->devices.begin(), map_->devices.end(),
                                       [](std::int32_t device) { return device >= 0; })) +
                  QString(" devices on %1 × %2 lines")
                      .arg(map_->shape.word_lines)
                      .arg(map_->shape.bit_lines));
}

void ArrayPage::choose(std::size_t place) {
  if (!map_) return;
  chosen_ = place;
  read_->setEnabled(!lab().runner.is_starting());
  pulse_->setEnabled(!lab().runner.is_starting());
  pointed_->setText(told(place));
  pointed_->setToolTip(pointed_->text());
  if (map_->devices[place] >= 0) read_history();
}

void ArrayPage::read_history() {
  if (!chosen_ || !map_ || *chosen_ >= map_->devices.size()) return;
  const std::size_t place = *chosen_;
  if (map_->devices[place] < 0) return;
  sql_ = "SELECT * FROM reading WHERE programming_id = " + std::to_string(*map_programming_) +
         " AND device = " + std::to_string(map_->devices[place]);
  copy_sql_->setEnabled(true);
  lab().reader.ask<DeviceHistory>(
      &history_asker_,
      [run = choices_->run, programming = *map_programming_, device = map_->devices[place]](
          db::RunStore& store, const std::stop_token& stop) {
        return read_device_history(store.database().file(), run, programming, device, stop);
      },
      [this, device = map_->devices[place]](Result<DeviceHistory> read) {
        if (!read) {
          if (read.error().code != ErrorCode::Stopped) lab().show_error(read.error());
          return;
        }
        const std::string name = "device " + std::to_string(device);
        read->programming.note = name;
        read->reads.note = name;
        programmed_->set(std::move(read->programming));
        if (read->reads.series[0].x.empty()) {
          reads_->set_empty("This device was not read after its programming.");
        } else {
          reads_->set(std::move(read->reads));
        }
      });
}

void ArrayPage::choose_region(const QRect& region) {
  const ArrayChoices::Programming* chosen = programming();
  if (!map_ || chosen == nullptr || chosen->id != *map_programming_) return;
  const std::string source =
      source_of(choices_->run) + ", programming " + std::to_string(chosen->id);
  sql_ = region_sql(chosen->id, region);
  copy_sql_->setEnabled(true);
  pointed_->setText(text(region_name(region)));
  programmed_->set(region_histogram(*map_, region, source));
  lab().reader.ask<PlotContent>(
      &history_asker_,
      [programming = *chosen, devices = devices_in(*map_, region), name = region_name(region),
       source](db::RunStore& store, const std::stop_token& stop) {
        return read_region_drift(store, programming, devices, name, source, stop);
      },
      [this](Result<PlotContent> read) {
        if (!read) {
          if (read.error().code != ErrorCode::Stopped) lab().show_error(read.error());
          return;
        }
        if (read->series.back().x.empty()) {
          reads_->set_empty("These devices were not read after their programming.");
        } else {
          reads_->set(std::move(*read));
        }
      });
}

}  // namespace pcmlab::gui
