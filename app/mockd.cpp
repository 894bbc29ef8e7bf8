// SPDX-License-Identifier: Apache-2.0
/// \file
/// `pcmlab-mockd`, a mock board that Linux attaches as a USB device (USB/IP).
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <signal.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <ctime>
#include <exception>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "app/build_info.h"
#include "app/console.h"
#include "app/exit_code.h"
#include "app/faults.h"
#include "app/mock.h"
#include "experiments/engine/engine.h"
#include "experiments/engine/plan.h"
#include "experiments/engine/plan_edit.h"
#include "mock_device/usbip_server.h"

namespace pcmlab::app {
namespace {

struct MockdOptions {
  std::filesystem::path plan;
  std::vector<std::string> assignments;
  std::string chip;
  std::optional<std::int64_t> seed;
  std::string serial;
  double time_scale = 1;
  std::string speed = "high";
  std::optional<double> latency_us;
  std::optional<double> bandwidth_MB_per_s;
  std::string listen = "127.0.0.1:3240";
  bool expose_to_network = false;
};

/// What high and super speed leave of their bit rates on a good host, and how long a transfer takes
/// to be noticed: a microframe of high speed, an interrupt of super speed.
mock::BoardPace pace_of(const MockdOptions& options) {
  const bool super = options.speed == "super";
  const double latency_us = options.latency_us.value_or(super ? 30 : 125);
  const double bandwidth_MB_per_s = options.bandwidth_MB_per_s.value_or(super ? 400 : 40);
  mock::BoardPace pace;
  pace.time_scale = options.time_scale;
  pace.latency = std::chrono::nanoseconds(std::llround(1e3 * latency_us));
  pace.bytes_per_s = 1e6 * bandwidth_MB_per_s;
  return pace;
}

// ---- what to serve ---------------------------------------------------------------------------

struct Sections {
  ParameterValues mock;
  ParameterValues faults;
};

/// Those of a plan, or defaults; then what the command line says.
Result<Sections> sections_of(const MockdOptions& options) {
  std::vector<std::string> assignments;
  const auto assign = [&](std::string_view key, const ParameterValue& value) {
    assignments.push_back(fmt::format("mock.{}={}", key, to_toml(value)));
  };
  if (!options.chip.empty()) assign("chip", options.chip);
  if (options.seed) assign("seed", *options.seed);
  if (!options.serial.empty()) assign("serial", options.serial);
  assignments.insert(assignments.end(), options.assignments.begin(), options.assignments.end());
  if (!options.plan.empty()) {
    const PlanSchema schema = plan_schema({mock_section(), faults_section()});
    PCM_ASSIGN(const Plan plan, load_plan(options.plan, schema, assignments));
    return Sections{plan.section("mock"), plan.section("faults")};
  }
  std::string text;
  for (const std::string& assignment : assignments) {
    PCM_ASSIGN(text, with_plan_key(text, "--set", assignment));
  }
  PCM_ASSIGN(auto sections, parse_sections(text, "--set", {mock_section(), faults_section()},
                                           "write SECTION.KEY=VALUE"));
  return Sections{std::move(sections.at("mock")), std::move(sections.at("faults"))};
}

/// 2.5 as "2.5 us", 40 as "40 MB/s", and what 0 means.
std::string describe_line(const mock::BoardPace& pace) {
  const double latency_us = 1e-3 * static_cast<double>(pace.latency.count());
  const std::string bandwidth =
      pace.bytes_per_s > 0 ? fmt::format("{:.6g} MB/s", 1e-6 * pace.bytes_per_s) : "any bandwidth";
  return fmt::format("{:.6g} us and {} each way", latency_us, bandwidth);
}

std::string describe_time(double time_scale) {
  if (time_scale == 0) return "virtual time, as fast as it can";
  if (time_scale == 1) return "real time";
  return fmt::format("board time runs {:.6g} times as fast as the clock on the wall", time_scale);
}

void print_introduction(const MockdOptions& options, const Sections& sections,
                        const mock::UsbipDevice& device, const mock::BoardPace& pace,
                        const mock::UsbipAddress& address) {
  const mock::UsbIdentity& id = device.descriptors().identity();
  fmt::print("{}\n", describe_mock(sections.mock, sections.faults, "USB/IP"));
  fmt::print("USB device {:04x}:{:04x}, {} speed, {}; {}\n", id.vendor, id.product, options.speed,
             describe_line(pace), describe_time(options.time_scale));
  fmt::print("listening on {} port {}\n\n", address.host, address.port);
  const std::string port =
      address.port == mock::UsbipAddress{}.port ? "" : fmt::format("--tcp-port {} ", address.port);
  fmt::print(
      "To attach it, with Debian's package usbip:\n"
      "  sudo modprobe vhci-hcd\n"
      "  sudo usbip {}attach -r {} -b {}\n"
      "To detach it:\n"
      "  sudo usbip port            # says which port it is on\n"
      "  sudo usbip detach -p 0\n"
      "Ctrl-C ends this program.\n",
      port, address.host, mock::UsbipServer::kBusId);
  (void)std::fflush(stdout);
}

// ---- while it is served ----------------------------------------------------------------------

void log_line(const std::string& line) {
  std::tm local{};
  const std::time_t now = std::time(nullptr);
  localtime_r(&now, &local);
  fmt::print(stderr, "{:%Y-%m-%d %H:%M:%S} {}\n", local, line);
}

/// Everything that went wrong as planned, by name.
std::vector<std::pair<std::string, std::uint64_t>> faults_that_happened(
    const mock::FaultCounters& c) {
  std::vector<std::pair<std::string, std::uint64_t>> list;
  const auto add = [&](const std::string& of, const mock::FrameFaultCounters& frames) {
    list.emplace_back(of + " lost", frames.lost);
    list.emplace_back(of + " corrupted", frames.corrupted);
    list.emplace_back(of + " truncated", frames.truncated);
    list.emplace_back(of + " repeated", frames.repeated);
    list.emplace_back(of + " late", frames.late);
  };
  add("requests", c.requests);
  add("replies", c.replies);
  list.emplace_back("requests executed too hot", c.hot_requests);
  list.emplace_back("losses of memory", c.memory_losses);
  list.emplace_back("disconnects", c.disconnects);
  return list;
}

/// Waits for SIGINT or SIGTERM; meanwhile says what goes wrong.
void serve_until_told(mock::UsbipDevice& device, const sigset_t& signals) {
  const timespec quarter_second{0, 250'000'000};
  auto before = faults_that_happened({});
  for (;;) {
    const int signal = sigtimedwait(&signals, nullptr, &quarter_second);
    auto now = device.board().visit(
        [](const mock::FaultyBoard& board) { return faults_that_happened(board.counters()); });
    std::string line;
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i].second == before[i].second) continue;
      line += fmt::format("{}{} {}", line.empty() ? "" : ", ", now[i].second, now[i].first);
    }
    if (!line.empty()) log_line("faults so far: " + line);
    before = std::move(now);
    if (signal > 0) return;
  }
}

void print_counters(mock::UsbipDevice& device) {
  struct BoardCounters {
    std::uint64_t requests = 0;
    std::uint64_t pulses = 0;
    mock::FaultCounters faults;
  };
  const auto board = device.board().visit([](mock::FaultyBoard& faulty) {
    BoardCounters counters{faulty.executed_requests(), 0, faulty.counters()};
    const mock::PcmChip& chip = faulty.board().chip();
    for (std::size_t i = 0; i < chip.shape().device_count(); ++i) {
      counters.pulses += chip.pulses_of(chip.shape().at(i));
    }
    return counters;
  });
  const auto number = [](std::uint64_t value) { return grouped(static_cast<std::int64_t>(value)); };
  const mock::UsbipCounters usb = device.counters();
  fmt::print("requests executed   {}\n", number(board.requests));
  fmt::print("pulses applied      {}\n", number(board.pulses));
  fmt::print("USB transfers       {} out, {} in, {} control\n", number(usb.out_transfers),
             number(usb.in_transfers), number(usb.control_requests));
  fmt::print("bytes               {} out, {} in\n", number(usb.bytes_to_board),
             number(usb.bytes_to_host));
  std::string faults;
  for (const auto& [name, count] : faults_that_happened(board.faults)) {
    if (count > 0) faults += fmt::format("{}{} {}", faults.empty() ? "" : ", ", count, name);
  }
  fmt::print("faults              {}\n", faults.empty() ? "none" : faults);
}

Result<void> serve(const MockdOptions& options) {
  // Before any other thread, so that none of them takes these.
  sigset_t signals{};
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  mock::UsbipServer::Settings settings;
  PCM_ASSIGN(settings.address, mock::parse_usbip_address(options.listen));
  if (options.expose_to_network) settings.reach = mock::UsbipServer::Reach::Network;
  PCM_ASSIGN(const Sections sections, sections_of(options));
  PCM_ASSIGN(auto board, mock_board(sections.mock, sections.faults, options.time_scale == 0));
  const mock::BoardPace pace = pace_of(options);
  mock::UsbIdentity identity;
  identity.serial = sections.mock.text("serial");
  const auto speed = options.speed == "super" ? mock::UsbSpeed::Super : mock::UsbSpeed::High;
  mock::UsbipDevice device(std::move(board), pace, mock::UsbDescriptors(identity, speed));
  {
    PCM_ASSIGN(const auto server, mock::UsbipServer::start(device, settings, log_line));
    print_introduction(options, sections, device, pace, server->address());
    serve_until_told(device, signals);
  }
  print_counters(device);
  return {};
}

int run(int argc, char** argv) {
  MockdOptions options;
  CLI::App app(
      "A mock board with a mock chip that Linux attaches as a USB device: whoever has no board on "
      "the desk works with this one.",
      "pcmlab-mockd");
  app.set_version_flag("--version", fmt::format("pcmlab-mockd {} ({})", kVersion, kGitRevision));
  app.add_option("--plan", options.plan, "take [mock] and [faults] from this plan")
      ->type_name("FILE");
  app.add_option("--chip", options.chip, "kind of chip: a name from `pcmlab chips`, or a file")
      ->type_name("NAME");
  app.add_option("--seed", options.seed, "which chip of that kind")->type_name("N");
  app.add_option("--serial", options.serial, "serial number, to USB and in the protocol")
      ->type_name("TEXT");
  app.add_option(
         "--set", options.assignments,
         "a key of [mock] or [faults]: faults.lost_replies=0.01; may be given several times")
      ->type_name("SECTION.KEY=VALUE")
      ->allow_extra_args(false);
  app.add_option("--time-scale", options.time_scale,
                 "board time over wall time: 1 = real time, 0 = virtual time, as fast as it can")
      ->check(CLI::Range(0.0, 1e9))
      ->capture_default_str();
  app.add_option("--speed", options.speed,
                 "of the USB line: high (125 us, 40 MB/s) or super "
                 "(30 us, 400 MB/s)")
      ->check(CLI::IsMember({"high", "super"}))
      ->capture_default_str();
  app.add_option("--latency-us", options.latency_us, "of the line, each way, in its place")
      ->check(CLI::Range(0.0, 1e6))
      ->type_name("US");
  app.add_option("--bandwidth-MB-per-s", options.bandwidth_MB_per_s,
                 "of the line, each way, in its place; 0 = any")
      ->check(CLI::Range(0.0, 1e5))
      ->type_name("MB_PER_S");
  app.add_option("--listen", options.listen, "where hosts find it")
      ->type_name("ADDRESS[:PORT]")
      ->capture_default_str();
  app.add_flag("--expose-to-network", options.expose_to_network,
               "allow --listen an address that other machines reach. USB/IP has no "
               "authentication: whoever reaches it has the board");
  app.footer(
      "Exit codes: 0 done, 1 a bug, 2 wrong command line, 3 bad input (plan, chip), 4 an address "
      "that is refused, 5 the port is taken.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  const Result<void> result = serve(options);
  if (result) return kDone;
  print_error(result.error());
  return exit_code(result.error().code);
}

}  // namespace
}  // namespace pcmlab::app

int main(int argc, char** argv) {
  try {
    return pcmlab::app::run(argc, argv);
  } catch (const std::exception& error) {
    pcmlab::app::print_error({pcmlab::ErrorCode::Internal,
                              fmt::format("unexpected: {}", error.what()),
                              "this is a bug in pcmlab; please report it with the command line"});
    return pcmlab::app::kInternal;
  }
}
