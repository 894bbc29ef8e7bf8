// SPDX-License-Identifier: Apache-2.0
#include "app/gui/plan_form.h"

#include <QCheckBox>
#include <QComboBox>
#include <QGridLayout>
#include <QLabel>
#include <QLineEdit>
#include <QRegularExpression>
#include <QSignalBlocker>
#include <QToolButton>
#include <utility>

#include "app/gui/format.h"
#include "app/gui/theme.h"

namespace pcmlab::gui {
namespace {

/// As a person writes it in a field: a text without quotes, anything else as TOML.
QString shown(const ParameterValue& value) {
  if (const auto* words = std::get_if<std::string>(&value)) return text(*words);
  return text(to_toml(value));
}

/// "uS" as "µS", also in "uA/uS".
QString with_micro(QString unit) {
  static const QRegularExpression kMicro("\\bu(?=[SAsVW]\\b)");
  return unit.replace(kMicro, QString(QChar(0xB5)));
}

bool is_text(const Parameter& parameter) {
  return std::holds_alternative<std::string>(parameter.default_value);
}

/// "0.25 µS of 0.01 .. 10": what holds unless somebody says otherwise.
QString hint_of(const Parameter& parameter) {
  QString hint = text(parameter.help);
  const QString range = text(range_text(parameter));
  if (parameter.choices.empty() && !range.isEmpty()) hint += "  ·  " + with_micro(range);
  return hint;
}

}  // namespace

PlanForm::PlanForm(const ParameterTable& table,
                   std::function<void(const std::string&, const std::string&)> changed)
    : table_(table), changed_(std::move(changed)) {
  auto* grid = new QGridLayout(this);
  grid->setContentsMargins(14, 10, 14, 14);
  grid->setHorizontalSpacing(10);
  grid->setVerticalSpacing(2);
  grid->setColumnStretch(1, 1);
  int line = 0;
  for (const Parameter& parameter : table_.parameters) {
    Row row;
    row.parameter = &parameter;
    row.name = new QLabel(text(parameter.name));
    row.field = make_field(parameter);
    row.name->setBuddy(row.field);
    auto* help = new QLabel(hint_of(parameter));
    help->setObjectName("Soft");
    help->setWordWrap(true);
    row.error = new QLabel;
    row.error->setObjectName("FieldError");
    row.error->setWordWrap(true);
    row.error->hide();
    grid->addWidget(row.name, line, 0);
    grid->addWidget(row.field, line, 1);
    auto* unit = new QLabel(with_micro(text(parameter.unit)));
    unit->setObjectName("Soft");
    grid->addWidget(unit, line, 3);
    row.take_out = new QToolButton;
    row.take_out->setObjectName("TakeOut_" + text(parameter.name));
    row.take_out->setAccessibleName("Default for " + text(parameter.name));
    row.take_out->setText(QString(QChar(0xD7)));
    row.take_out->setAutoRaise(true);
    row.take_out->setToolTip("Takes it out: the default, " + shown(parameter.default_value));
    QSizePolicy place = row.take_out->sizePolicy();
    place.setRetainSizeWhenHidden(true);
    row.take_out->setSizePolicy(place);
    row.take_out->hide();
    connect(row.take_out, &QToolButton::clicked, this,
            [this, name = parameter.name] { changed_(name, {}); });
    grid->addWidget(row.take_out, line, 2);
    grid->addWidget(row.error, ++line, 0, 1, 4);
    grid->addWidget(help, ++line, 0, 1, 4);
    grid->setRowMinimumHeight(++line, 8);
    ++line;
    rows_[parameter.name] = row;
  }
  grid->setRowStretch(line, 1);
}

QWidget* PlanForm::make_field(const Parameter& parameter) {
  QWidget* field = nullptr;
  const auto tell = [this, name = parameter.name](const std::string& toml) {
    changed_(name, toml);
  };
  if (std::holds_alternative<bool>(parameter.default_value)) {
    auto* box = new QCheckBox;
    connect(box, &QCheckBox::clicked, this, [tell](bool on) { tell(on ? "true" : "false"); });
    field = box;
  } else if (is_text(parameter) && !parameter.choices.empty()) {
    auto* box = new QComboBox;
    for (const std::string& choice : parameter.choices) box->addItem(text(choice));
    connect(box, qOverload<int>(&QComboBox::activated), this, [tell, box](int index) {
      tell(to_toml(ParameterValue(box->itemText(index).toStdString())));
    });
    field = box;
  } else {
    auto* line = new QLineEdit;
    line->setPlaceholderText(shown(parameter.default_value));
    connect(line, &QLineEdit::editingFinished, this, [tell, line, &parameter] {
      if (!line->isModified()) return;
      line->setModified(false);
      const std::string entered = line->text().trimmed().toStdString();
      if (is_text(parameter)) return tell(to_toml(ParameterValue(entered)));
      tell(entered.empty() ? to_toml(parameter.default_value) : entered);
    });
    field = line;
  }
  field->setObjectName("Field_" + text(parameter.name));
  field->setAccessibleName(text(parameter.name));
  field->setToolTip("default: " + shown(parameter.default_value));
  return field;
}

void PlanForm::show_values(const ParameterValues& values) {
  for (const auto& [name, row] : rows_) {
    const auto found = values.all().find(name);
    if (found == values.all().end()) continue;
    const bool given = values.is_given(name);
    QFont font = row.name->font();
    font.setBold(given);
    row.name->setFont(font);
    row.name->setToolTip(given ? "the plan says so" : "default");
    row.take_out->setVisible(given);
    const QSignalBlocker quiet(row.field);
    if (auto* box = qobject_cast<QCheckBox*>(row.field)) {
      box->setChecked(std::get<bool>(found->second));
    } else if (auto* choice = qobject_cast<QComboBox*>(row.field)) {
      choice->setCurrentText(shown(found->second));
    } else if (auto* line = qobject_cast<QLineEdit*>(row.field)) {
      const QString value = shown(found->second);
      if (!line->isModified() && line->text() != value) line->setText(value);
    }
  }
}

void PlanForm::show_error(const std::string& key, const QString& error) {
  for (const auto& [name, row] : rows_) {
    const bool wrong = !key.empty() && name == key;
    row.error->setText(wrong ? error : QString());
    row.error->setVisible(wrong);
    row.field->setStyleSheet(wrong ? QString("border: 1px solid %1;").arg(theme().failed.name())
                                   : QString());
  }
}

QWidget* PlanForm::field(const std::string& key) const {
  const auto found = rows_.find(key);
  return found == rows_.end() ? nullptr : found->second.field;
}

}  // namespace pcmlab::gui
