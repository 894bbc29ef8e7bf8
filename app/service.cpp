// SPDX-License-Identifier: Apache-2.0
#include "app/service.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <system_error>
#include <utility>

namespace pcmlab::app {
namespace {

constexpr std::chrono::seconds kBetweenStatus{5};
/// The watchdog is fed so many times in its time.
constexpr int kMeals = 8;

tl::unexpected<Error> no_inhibitor(int number, const std::string& said) {
  return fail(ErrorCode::Io,
              fmt::format("this computer may go to sleep during the run: asking logind not to: {}",
                          said.empty() ? std::generic_category().message(number) : said),
              "see that nothing suspends it (pcmlab doctor)");
}

}  // namespace

Service::Service(std::function<Clock::time_point()> now) : now_(std::move(now)) {
  has_systemd_ = std::getenv("NOTIFY_SOCKET") != nullptr;
  std::uint64_t usec = 0;
  if (sd_watchdog_enabled(0, &usec) > 0) watchdog_ = std::chrono::microseconds(usec);
}

void Service::send(const std::string& text) {
  if (has_systemd_) sd_notify(0, text.c_str());
}

void Service::ready() {
  send("READY=1");
  is_alive();
}

void Service::stopping() { send("STOPPING=1\nSTATUS=stopping at the next safe place"); }

void Service::status(const std::string& text) {
  if (!has_systemd_) return;
  const std::lock_guard lock(mutex_);
  if (text == status_ || (status_at_ && now_() - *status_at_ < kBetweenStatus)) return;
  status_at_ = now_();
  status_ = text;
  send("STATUS=" + text);
}

void Service::is_alive() {
  if (watchdog_.count() == 0) return;
  const std::lock_guard lock(mutex_);
  if (std::exchange(is_longer_, false)) {
    send(fmt::format("WATCHDOG_USEC={}", watchdog_.count()));
    fed_at_.reset();
  }
  if (fed_at_ && now_() - *fed_at_ < watchdog_ / kMeals) return;
  fed_at_ = now_();
  send("WATCHDOG=1");
}

void Service::is_busy_for(std::chrono::seconds time) {
  if (watchdog_.count() == 0) return;
  const std::lock_guard lock(mutex_);
  is_longer_ = true;
  send(fmt::format("WATCHDOG_USEC={}\nWATCHDOG=1", (watchdog_ + time).count()));
}

SleepInhibitor::~SleepInhibitor() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> SleepInhibitor::begin(const std::string& why) {
  constexpr std::uint64_t kLimit_us = 5'000'000;
  sd_bus* opened = nullptr;
  const int connected = sd_bus_open_system(&opened);
  const std::unique_ptr<sd_bus, sd_bus* (*)(sd_bus*)> bus(opened, sd_bus_flush_close_unref);
  if (connected < 0) return no_inhibitor(-connected, "");
  sd_bus_set_method_call_timeout(bus.get(), kLimit_us);
  sd_bus_error error{};
  sd_bus_message* answer = nullptr;
  const int called =
      sd_bus_call_method(bus.get(), "org.freedesktop.login1", "/org/freedesktop/login1",
                         "org.freedesktop.login1.Manager", "Inhibit", &error, &answer, "ssss",
                         "sleep:idle", "pcmlab", why.c_str(), "block");
  const std::unique_ptr<sd_bus_message, sd_bus_message* (*)(sd_bus_message*)> message(
      answer, sd_bus_message_unref);
  const std::string said = error.message != nullptr ? error.message : "";
  sd_bus_error_free(&error);
  if (called < 0) return no_inhibitor(-called, said);
  int descriptor = -1;
  const int read = sd_bus_message_read(message.get(), "h", &descriptor);
  if (read < 0) return no_inhibitor(-read, "");
  if (descriptor_ >= 0) ::close(descriptor_);
  // The message closes its own.
  descriptor_ = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  return {};
}

}  // namespace pcmlab::app
