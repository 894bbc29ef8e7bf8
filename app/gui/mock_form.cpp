// SPDX-License-Identifier: Apache-2.0
#include "app/gui/mock_form.h"

#include <QHBoxLayout>
#include <QLabel>
#include <QPushButton>
#include <QScrollArea>
#include <QVBoxLayout>
#include <utility>

#include "app/faults.h"
#include "app/gui/format.h"
#include "app/gui/plan_form.h"
#include "app/mock.h"
#include "experiments/engine/plan_edit.h"

namespace pcmlab::gui {
namespace {

constexpr const char* kSource = "mock board";

std::vector<ParameterTable> mock_sections() { return {app::mock_section(), app::faults_section()}; }

}  // namespace

MockForm::MockForm(Tell tell) : tell_(std::move(tell)) {
  auto* forms = new QWidget;
  auto* forms_layout = new QVBoxLayout(forms);
  forms_layout->setContentsMargins(0, 0, 0, 0);
  for (const ParameterTable& table : mock_sections()) {
    auto* title = new QLabel(table.name == "mock" ? "Board and chip" : "Faults");
    title->setObjectName("Heading");
    auto* summary = new QLabel(text(table.summary));
    summary->setObjectName("Soft");
    summary->setWordWrap(true);
    auto* form = new PlanForm(
        table, [this, section = table.name](const std::string& key, const std::string& toml) {
          edit(section, key, toml);
        });
    forms_layout->addWidget(title);
    forms_layout->addWidget(summary);
    forms_layout->addWidget(form);
    forms_[table.name] = form;
  }
  auto* area = new QScrollArea;
  area->setWidgetResizable(true);
  area->setFrameShape(QFrame::NoFrame);
  area->setAccessibleName("Settings of the mock board");
  area->setWidget(forms);
  forms->setAutoFillBackground(false);
  area->viewport()->setAutoFillBackground(false);

  auto* run = new QPushButton("New run with it");
  run->setObjectName("RunOnMock");
  run->setToolTip("Writes this into the plan of the page for a new run");
  connect(run, &QPushButton::clicked, this, [this] { tell_.run(); });
  defaults_ = new QPushButton("Defaults");
  defaults_->setObjectName("MockDefaults");
  connect(defaults_, &QPushButton::clicked, this, [this] {
    take({});
    tell_.changed();
  });
  auto* head = new QHBoxLayout;
  auto* said = new QLabel("The simulated board of this page: as it is shown, and as it is tested.");
  said->setWordWrap(true);
  head->addWidget(said, 1);
  head->addWidget(defaults_);
  head->addWidget(run);
  auto* layout = new QVBoxLayout(this);
  layout->setContentsMargins(0, 10, 0, 0);
  layout->addLayout(head);
  layout->addWidget(area, 1);
  take({});
}

void MockForm::edit(const std::string& section, const std::string& key, const std::string& toml) {
  std::string name = section;
  name.append(".").append(key);
  const auto changed = toml.empty() ? without_plan_key(text_, kSource, name)
                                    : with_plan_key(text_, kSource, name.append("=").append(toml));
  Result<void> good;
  if (!changed) {
    good = tl::unexpected(changed.error());
  } else if (const auto read = parse_sections(*changed, kSource, mock_sections(), {}); !read) {
    good = tl::unexpected(read.error());
  }
  if (!good) return forms_.at(section)->show_error(key, text(good.error().message));
  take(*changed);
  tell_.changed();
}

void MockForm::take(const std::string& text) {
  const auto sections = parse_sections(text, kSource, mock_sections(), {});
  if (!sections) return;
  text_ = text;
  assignments_.clear();
  for (const auto& [section, values] : *sections) {
    forms_.at(section)->show_error({}, {});
    forms_.at(section)->show_values(values);
    for (const auto& [key, value] : values.all()) {
      if (!values.is_given(key)) continue;
      std::string assignment = section;
      assignment.append(".").append(key).append("=").append(to_toml(value));
      assignments_.push_back(std::move(assignment));
    }
  }
  defaults_->setEnabled(!assignments_.empty());
}

}  // namespace pcmlab::gui
