// SPDX-License-Identifier: Apache-2.0
/// \file
/// Physical quantities that cross an API. A value knows its unit; a raw number's name ends in it.
/// Plain values, free to copy between threads.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace pcmlab {

/// Arithmetic that every linear quantity has; `Derived` adds the named units.
template <class Derived>
class Quantity {
 public:
  constexpr bool operator==(const Quantity&) const = default;
  constexpr std::partial_ordering operator<=>(const Quantity& other) const {
    return base_ <=> other.base_;
  }
  friend constexpr Derived operator+(Derived a, Derived b) { return make(a.base_ + b.base_); }
  friend constexpr Derived operator-(Derived a, Derived b) { return make(a.base_ - b.base_); }
  friend constexpr Derived operator*(Derived a, double factor) { return make(a.base_ * factor); }
  friend constexpr Derived operator*(double factor, Derived a) { return make(a.base_ * factor); }
  friend constexpr double operator/(Derived a, Derived b) { return a.base_ / b.base_; }

 protected:
  constexpr Quantity() = default;
  static constexpr Derived make(double base) {
    Derived value;
    value.base_ = base;
    return value;
  }
  double base_ = 0.0;
};

class Conductance : public Quantity<Conductance> {
 public:
  constexpr Conductance() = default;
  static constexpr Conductance from_uS(double g_uS) { return make(g_uS); }
  constexpr double uS() const { return base_; }
};

class Current : public Quantity<Current> {
 public:
  constexpr Current() = default;
  static constexpr Current from_uA(double i_uA) { return make(i_uA); }
  constexpr double uA() const { return base_; }
};

class Voltage : public Quantity<Voltage> {
 public:
  constexpr Voltage() = default;
  static constexpr Voltage from_mV(double v_mV) { return make(v_mV); }
  constexpr double mV() const { return base_; }
};

class Temperature : public Quantity<Temperature> {
 public:
  constexpr Temperature() = default;
  static constexpr Temperature from_K(double t_K) { return make(t_K); }
  constexpr double K() const { return base_; }
};

/// Time on the board's own clock, since its last boot.
using BoardTime = std::chrono::nanoseconds;
using Duration = std::chrono::nanoseconds;

constexpr double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}
constexpr Duration from_seconds(double t_s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(t_s));
}

}  // namespace pcmlab
