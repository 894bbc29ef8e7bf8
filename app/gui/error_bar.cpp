// SPDX-License-Identifier: Apache-2.0
#include "app/gui/error_bar.h"

#include <QHBoxLayout>
#include <QKeyEvent>
#include <QLabel>
#include <QToolButton>

#include "app/gui/format.h"

namespace pcmlab::gui {

ErrorBar::ErrorBar(QWidget* parent) : QFrame(parent), what_(new QLabel), advice_(new QLabel) {
  setObjectName("ErrorBar");
  setAccessibleName("Error");
  auto* close = new QToolButton;
  close->setText("✕");
  close->setAccessibleName("Dismiss the error");
  close->setToolTip("Dismiss (Esc)");
  connect(close, &QToolButton::clicked, this, &QWidget::hide);
  for (QLabel* label : {what_, advice_}) {
    label->setWordWrap(true);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  }
  what_->setObjectName("Heading");
  auto* texts = new QVBoxLayout;
  texts->setSpacing(2);
  texts->addWidget(what_);
  texts->addWidget(advice_);
  auto* layout = new QHBoxLayout(this);
  layout->setContentsMargins(16, 8, 8, 8);
  layout->addLayout(texts, 1);
  layout->addWidget(close, 0, Qt::AlignTop);
  hide();
}

void ErrorBar::show_error(const Error& error) {
  what_->setText(text(error.message));
  advice_->setText(error.advice.empty() ? QString() : "What to do: " + text(error.advice));
  advice_->setVisible(!error.advice.empty());
  show();
}

QString ErrorBar::message() const {
  return isHidden() ? QString() : what_->text() + "\n" + advice_->text();
}

void ErrorBar::keyPressEvent(QKeyEvent* event) {
  if (event->key() == Qt::Key_Escape) return hide();
  QFrame::keyPressEvent(event);
}

}  // namespace pcmlab::gui
