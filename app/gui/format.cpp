// SPDX-License-Identifier: Apache-2.0
#include "app/gui/format.h"

#include <QDateTime>
#include <QLocale>
#include <algorithm>
#include <array>
#include <cmath>

namespace pcmlab::gui {
namespace {

constexpr QChar kNarrowSpace(0x202F);
constexpr QChar kMinus(0x2212);

QDateTime time_of(std::string_view utc) {
  QDateTime time = QDateTime::fromString(text(utc), Qt::ISODateWithMs);
  time.setTimeSpec(Qt::UTC);
  return time;
}

}  // namespace

QString count_text(std::int64_t number) {
  QString digits = QString::number(number < 0 ? -number : number);
  for (int at = digits.size() - 3; at > 0; at -= 3) digits.insert(at, kNarrowSpace);
  if (number < 0) digits.prepend(kMinus);
  return digits;
}

QString number_text(double value, int digits) {
  if (!std::isfinite(value)) return QStringLiteral("–");
  QString out = QString::number(value, 'g', digits);
  if (out.contains('e') && std::abs(value) < 1e9 && std::abs(value) >= 1) {
    out = QString::number(value, 'f', 0);
  }
  return out.replace('-', kMinus);
}

QString duration_text(double t_s) {
  struct Unit {
    double s;
    const char* name;
  };
  constexpr std::array<Unit, 6> kUnits{
      {{31557600, "y"}, {86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}, {1e-3, "ms"}}};
  for (const Unit& unit : kUnits) {
    if (std::abs(t_s) >= 0.9995 * unit.s) {
      return number_text(t_s / unit.s, 3) + QChar(0xA0) + QString::fromLatin1(unit.name);
    }
  }
  return t_s == 0 ? QStringLiteral("0\u00a0s") : quantity_text(t_s, QStringLiteral("s"));
}

QString countdown_text(double left_s) {
  const auto left = static_cast<std::int64_t>(std::ceil(std::max(left_s, 0.0)));
  const std::int64_t days = left / 86400, hours = left / 3600 % 24;
  const QChar zero('0');
  QString out = QString("%1:%2")
                    .arg(left / 60 % 60, left >= 3600 ? 2 : 1, 10, zero)
                    .arg(left % 60, 2, 10, zero);
  if (left >= 3600) out.prepend(QString("%1:").arg(hours));
  if (days > 0) out.prepend(QString("%1\u00a0d ").arg(days));
  return out;
}

double seconds_since(std::string_view utc) {
  const QDateTime time = time_of(utc);
  if (!time.isValid()) return 0;
  return static_cast<double>(time.msecsTo(QDateTime::currentDateTimeUtc())) / 1e3;
}

QString local_time_text(std::string_view utc) {
  const QDateTime time = time_of(utc);
  return time.isValid() ? QLocale::c().toString(time.toLocalTime(), "d MMM yyyy HH:mm") : QString();
}

double seconds_between(std::string_view begin_utc, std::string_view end_utc) {
  const QDateTime begin = time_of(begin_utc);
  const QDateTime end = time_of(end_utc);
  if (!begin.isValid() || !end.isValid()) return 0;
  return static_cast<double>(begin.msecsTo(end)) / 1e3;
}

QString quantity_text(double value, const QString& unit) {
  if (unit.isEmpty() || value == 0 || !std::isfinite(value)) {
    return unit.isEmpty() ? number_text(value) : number_text(value) + QChar(0xA0) + unit;
  }
  constexpr std::array<const char*, 9> kPrefixes{"p", "n", "µ", "m", "", "k", "M", "G", "T"};
  const int thousands = static_cast<int>(std::floor(std::log10(std::abs(value)) / 3 + 1e-9));
  const int prefix = std::clamp(thousands, -4, 4);
  return number_text(value / std::pow(1000.0, prefix), 3) + QChar(0xA0) +
         QString::fromUtf8(kPrefixes.at(static_cast<std::size_t>(prefix) + 4)) + unit;
}

}  // namespace pcmlab::gui
