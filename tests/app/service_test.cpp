// SPDX-License-Identifier: Apache-2.0
// What systemd and logind are told: with a socket in the place of systemd, and a logind of the
// test's own on a bus of its own.
#include "app/service.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "app/child.h"
#include "app/exit_code.h"
#include "db/run_store.h"
#include "tests/app/command_line.h"
#include "tests/app/small_run.h"

namespace pcmlab::app {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Hears what systemd would hear.
class FakeSystemd {
 public:
  explicit FakeSystemd(const std::filesystem::path& socket_file) {
    socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, socket_file.c_str(), sizeof address.sun_path - 1);
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::abort();
    setenv("NOTIFY_SOCKET", socket_file.c_str(), 1);
  }
  ~FakeSystemd() {
    for (const char* const name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
      unsetenv(name);
    close(socket_);
  }
  FakeSystemd(const FakeSystemd&) = delete;
  FakeSystemd& operator=(const FakeSystemd&) = delete;

  static void watchdog(std::chrono::microseconds time) {
    setenv("WATCHDOG_USEC", std::to_string(time.count()).c_str(), 1);
  }
  /// The next message; empty when none comes within that time. Negative: waits for ever.
  std::string next(int within_ms = 0) const {
    pollfd waiting{socket_, POLLIN, 0};
    if (poll(&waiting, 1, within_ms) != 1) return "";
    std::array<char, 4096> text{};
    const ssize_t got = recv(socket_, text.data(), text.size(), 0);
    return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(0, got))};
  }
  std::vector<std::string> all() const {
    std::vector<std::string> messages;
    for (std::string message = next(); !message.empty(); message = next()) {
      messages.push_back(message);
    }
    return messages;
  }
  void await(const std::string& what) const {
    while (next(-1).find(what) == std::string::npos) {
    }
  }

 private:
  int socket_ = -1;
};

class ServiceTest : public testing::Test {
 protected:
  TemporaryFolder folder;
  FakeSystemd systemd{folder / "notify"};
  Service::Clock::time_point now{};
  std::function<Service::Clock::time_point()> clock = [this] { return now; };
};

TEST_F(ServiceTest, FeedsTheWatchdogByProgressAndByNothingElse) {
  FakeSystemd::watchdog(seconds(80));
  Service service(clock);
  service.ready();
  EXPECT_THAT(systemd.all(), ElementsAre("READY=1", "WATCHDOG=1"));
  now += seconds(1000);
  EXPECT_THAT(systemd.all(), IsEmpty()) << "nobody made progress";
  service.is_alive();
  now += seconds(9);
  service.is_alive();
  EXPECT_THAT(systemd.all(), ElementsAre("WATCHDOG=1")) << "once in ten seconds is enough";
  now += seconds(1);
  service.is_alive();
  EXPECT_THAT(systemd.all(), ElementsAre("WATCHDOG=1"));
}

TEST_F(ServiceTest, AsksForMoreTimeWhereNoProgressIsToBeExpected) {
  FakeSystemd::watchdog(seconds(80));
  Service service(clock);
  service.is_busy_for(seconds(60));
  EXPECT_THAT(systemd.all(), ElementsAre("WATCHDOG_USEC=140000000\nWATCHDOG=1"));
  service.is_alive();
  EXPECT_THAT(systemd.all(), ElementsAre("WATCHDOG_USEC=80000000", "WATCHDOG=1"));
}

TEST_F(ServiceTest, WithoutAWatchdogHasNothingToFeed) {
  Service service(clock);
  service.ready();
  service.is_alive();
  service.is_busy_for(seconds(60));
  EXPECT_THAT(systemd.all(), ElementsAre("READY=1"));
}

TEST_F(ServiceTest, SaysItsStatusNowAndThen) {
  Service service(clock);
  service.status("one");
  service.status("two");
  EXPECT_THAT(systemd.all(), ElementsAre("STATUS=one"));
  now += seconds(5);
  service.status("one");
  EXPECT_THAT(systemd.all(), IsEmpty()) << "it has not changed";
  service.status("three");
  EXPECT_THAT(systemd.all(), ElementsAre("STATUS=three"));
}

// ---- with the program --------------------------------------------------------------------------

class QueueService : public ServiceTest {
 protected:
  CommandResult queue(std::vector<std::string> arguments,
                      const std::function<void(int)>& started = {}) {
    arguments.insert(arguments.begin(), "queue");
    arguments.insert(arguments.end(), {"--database", file.string()});
    return pcmlab(std::move(arguments), started);
  }
  std::string state() {
    const auto entries = nlohmann::json::parse(queue({"list", "--json"}).out);
    return entries.at(0).at("state");
  }
  std::filesystem::path file = folder / "a.db";
};

TEST_F(QueueService, SaysThatItIsReadyWhatItDoesAndThatItStops) {
  ASSERT_EQ(queue({"add", small_plan(folder, "name = \"night\"\n")}).exit_code, kDone);
  FakeSystemd::watchdog(std::chrono::milliseconds(1));
  const CommandResult result = queue({"run", "--wait"}, [&](int process) {
    EXPECT_EQ(systemd.next(-1), "READY=1");
    systemd.await("WATCHDOG=1");
    systemd.await("STATUS=run 1 (night)");
    systemd.await("STATUS=waiting for plans");
    ::kill(process, SIGTERM);
    systemd.await("STOPPING=1");
  });
  EXPECT_EQ(result.exit_code, kStopped) << result.err;
  EXPECT_EQ(state(), "done");
}

TEST_F(QueueService, WritesToTheJournalWithPriorities) {
  const std::string plan = small_plan(folder);
  ASSERT_EQ(queue({"add", plan}).exit_code, kDone);
  // The journal says by device and inode which file it is: here the one that the test reads.
  ASSERT_EQ(
      queue({"add", plan, "--set", "network.file=" + (folder / "other.onnx").string()}).exit_code,
      kBadInput);
  const std::string script = fmt::format(
      "exec 2> '{0}'; JOURNAL_STREAM=$(stat -c %d:%i '{0}') exec '{1}' queue run --database '{2}'",
      (folder / "journal").string(), PCMLAB_PROGRAM, file.string());
  std::filesystem::remove(folder / "small.onnx");
  const auto failed = run_child({{"sh", "-c", script}});
  EXPECT_FALSE(failed);
  std::ostringstream journal;
  journal << std::ifstream(folder / "journal").rdbuf();
  EXPECT_THAT(journal.str(), HasSubstr("<3>pcmlab: entry 1 of the queue"));
}

TEST(QueueUnit, IsOneThatSystemdUnderstands) {
  const TemporaryFolder folder;
  std::ostringstream text;
  text << std::ifstream(PCMLAB_UNIT).rdbuf();
  std::string unit = text.str();
  const std::string command = "ExecStart=";
  const auto begin = unit.find(command);
  ASSERT_NE(begin, std::string::npos);
  const auto end = unit.find(' ', begin);
  EXPECT_THAT(unit.substr(begin, end - begin), testing::EndsWith("/bin/pcmlab"));
  unit.replace(begin, end - begin, command + PCMLAB_PROGRAM);
  const std::string file = folder.file("pcmlab-queue.service", unit);
  setenv("XDG_RUNTIME_DIR", (folder / "").c_str(), 1);
  const std::string out = (folder / "out").string();
  const auto verified = run_child(
      {{"sh", "-c", "systemd-analyze verify --user --man=no '" + file + "' > '" + out + "' 2>&1"}});
  std::ostringstream said;
  said << std::ifstream(out).rdbuf();
  EXPECT_TRUE(verified.has_value()) << said.str();
  EXPECT_EQ(said.str(), "");
}

// ---- logind ------------------------------------------------------------------------------------

/// Answers Inhibit() with the end of a pipe, and keeps what it was asked.
class FakeLogind {
 public:
  explicit FakeLogind(bool refuses) : refuses_(refuses) {
    if (pipe2(pipe_.data(), O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
    if (sd_bus_open_system(&bus_) < 0 ||
        sd_bus_add_object_vtable(bus_, nullptr, "/org/freedesktop/login1",
                                 "org.freedesktop.login1.Manager", kTable.data(), this) < 0 ||
        sd_bus_request_name(bus_, "org.freedesktop.login1", 0) < 0) {
      std::abort();
    }
    thread_ = std::jthread([this](const std::stop_token& stop) {
      constexpr std::uint64_t kBetweenLooks_us = 20'000;
      while (!stop.stop_requested()) {
        if (sd_bus_process(bus_, nullptr) == 0) sd_bus_wait(bus_, kBetweenLooks_us);
      }
    });
  }
  ~FakeLogind() {
    thread_.request_stop();
    thread_.join();
    sd_bus_flush_close_unref(bus_);
    close(pipe_[0]);
  }
  FakeLogind(const FakeLogind&) = delete;
  FakeLogind& operator=(const FakeLogind&) = delete;

  const std::vector<std::string>& asked() const { return asked_; }
  bool is_held() const {
    char byte = 0;
    return read(pipe_[0], &byte, 1) < 0;  // nothing to read, rather than the end
  }
  /// Returns when nobody has it any more; the bus may a little longer than who asked for it.
  void await_release() const {
    pollfd waiting{pipe_[0], POLLIN, 0};
    poll(&waiting, 1, -1);
  }

 private:
  static int inhibit(sd_bus_message* message, void* self, sd_bus_error* error) {
    auto& logind = *static_cast<FakeLogind*>(self);
    std::array<const char*, 4> said{};
    sd_bus_message_read(message, "ssss", &said[0], &said[1], &said[2], &said[3]);
    logind.asked_.assign(said.begin(), said.end());
    if (logind.refuses_) return sd_bus_error_set(error, SD_BUS_ERROR_ACCESS_DENIED, "not you");
    const int sent = sd_bus_reply_method_return(message, "h", logind.pipe_[1]);
    close(logind.pipe_[1]);
    return sent;
  }
  static constexpr std::array<sd_bus_vtable, 3> kTable{
      {SD_BUS_VTABLE_START(0),
       SD_BUS_METHOD("Inhibit", "ssss", "h", FakeLogind::inhibit, SD_BUS_VTABLE_UNPRIVILEGED),
       SD_BUS_VTABLE_END}};

  bool refuses_;
  std::array<int, 2> pipe_{};
  sd_bus* bus_ = nullptr;
  std::vector<std::string> asked_;
  std::jthread thread_;
};

class Sleep : public testing::Test {
 protected:
  Sleep() {
    const std::string address = "unix:path=" + (folder / "bus").string();
    setenv("DBUS_SYSTEM_BUS_ADDRESS", address.c_str(), 1);
  }
  ~Sleep() override { unsetenv("DBUS_SYSTEM_BUS_ADDRESS"); }
  /// A bus of the test's own, for as long as the test lasts.
  bool start_bus() {
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), 0) != 0) return false;
    const std::string address = "--address=unix:path=" + (folder / "bus").string();
    const std::string print = "--print-address=" + std::to_string(ends[1]);
    bus_ = fork();
    if (bus_ == 0) {
      close(ends[0]);
      execlp("dbus-daemon", "dbus-daemon", "--session", "--nofork", "--nopidfile", address.c_str(),
             print.c_str(), nullptr);
      _exit(127);
    }
    close(ends[1]);
    char byte = 0;
    const bool started = read(ends[0], &byte, 1) == 1;
    close(ends[0]);
    return started;
  }
  void TearDown() override {
    if (bus_ <= 0) return;
    ::kill(bus_, SIGTERM);
    waitpid(bus_, nullptr, 0);
  }

  TemporaryFolder folder;
  pid_t bus_ = 0;
};

TEST_F(Sleep, IsInhibitedUntilTheRunIsOver) {
  ASSERT_TRUE(start_bus());
  FakeLogind logind(false);
  {
    SleepInhibitor awake;
    const auto begun = awake.begin("a run is at work");
    ASSERT_TRUE(begun) << begun.error().message;
    EXPECT_THAT(logind.asked(), ElementsAre("sleep:idle", "pcmlab", "a run is at work", "block"));
    EXPECT_TRUE(logind.is_held());
  }
  logind.await_release();
  EXPECT_FALSE(logind.is_held());
}

TEST_F(Sleep, WhereLogindRefusesOrIsNotThereTheRunIsToldWhy) {
  SleepInhibitor awake;
  const auto no_bus = awake.begin("");
  ASSERT_FALSE(no_bus);
  EXPECT_THAT(no_bus.error().message, HasSubstr("may go to sleep during the run"));
  ASSERT_TRUE(start_bus());
  EXPECT_FALSE(awake.begin(""));
  FakeLogind logind(true);
  EXPECT_THAT(awake.begin("").error().message, HasSubstr("not you"));
}

}  // namespace
}  // namespace pcmlab::app
