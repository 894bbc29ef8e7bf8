// SPDX-License-Identifier: Apache-2.0
#include "app/tell.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "app/child.h"
#include "app/http.h"

namespace pcmlab::app {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

std::string state_of(TellEvent event) {
  switch (event) {
    case TellEvent::Finished:
      return "complete";
    case TellEvent::Failed:
      return "failed";
    case TellEvent::Stopped:
      return "stopped";
    case TellEvent::Paused:
      return "paused";
    default:
      return "running";
  }
}

/// "run 7 (night) is complete"
std::string headline(const TellFacts& facts, TellEvent event) {
  const auto what = [event]() -> const char* {
    switch (event) {
      case TellEvent::Finished:
        return "is complete";
      case TellEvent::Failed:
        return "failed";
      case TellEvent::Stopped:
        return "was stopped";
      case TellEvent::Paused:
        return "is paused";
      case TellEvent::Continued:
        return "goes on";
      case TellEvent::Stalled:
        return "makes no progress";
      case TellEvent::BoardLost:
        return "has lost its board";
      case TellEvent::BoardBack:
        return "has its board again";
      case TellEvent::Test:
        return "";
    }
    return "";
  };
  if (event == TellEvent::Test) return "pcmlab: a test message";
  const std::string name = facts.name.empty() ? "" : fmt::format(" ({})", facts.name);
  return facts.run == 0 ? fmt::format("a run{} {}", name, what())
                        : fmt::format("run {}{} {}", facts.run, name, what());
}

std::string body(const TellFacts& facts, const TellMessage& message) {
  std::string text = message.text.empty() ? "" : message.text + "\n\n";
  text += fmt::format("database  {}\nmachine   {}\n", facts.database.string(), host_name());
  if (!facts.report.empty()) text += fmt::format("report    {}\n", facts.report.string());
  return text;
}

Result<void> by_desktop(const TellSettings& settings, const TellFacts& facts,
                        const TellMessage& message, const std::stop_token& stop) {
  // The text of a notification is a little markup.
  std::string text;
  for (const char c : message.text) {
    text += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  }
  const bool is_bad = message.event == TellEvent::Failed || message.event == TellEvent::Stalled ||
                      message.event == TellEvent::BoardLost;
  ChildJob job{{"notify-send", "--app-name=pcmlab",
                is_bad ? "--urgency=critical" : "--urgency=normal", "--",
                headline(facts, message.event), text}};
  job.limit = settings.limit;
  return run_child(job, stop);
}

Result<void> by_command(const TellSettings& settings, const TellFacts& facts,
                        const TellMessage& message, const std::stop_token& stop) {
  ChildJob job{{"/bin/sh", "-c", settings.command}};
  job.environment = {
      fmt::format("PCMLAB_EVENT={}", to_string(message.event)),
      fmt::format("PCMLAB_MESSAGE={}",
                  message.text.empty() ? headline(facts, message.event) : message.text),
      fmt::format("PCMLAB_RUN={}", facts.run == 0 ? "" : std::to_string(facts.run)),
      "PCMLAB_NAME=" + facts.name,
      "PCMLAB_STATE=" + state_of(message.event),
      "PCMLAB_DATABASE=" + facts.database.string(),
      "PCMLAB_REPORT=" + facts.report.string(),
      fmt::format("PCMLAB_EXIT_CODE={}",
                  message.exit_code ? std::to_string(*message.exit_code) : "")};
  job.limit = settings.limit;
  return run_child(job, stop);
}

Result<void> by_webhook(const TellSettings& settings, const TellFacts& facts,
                        const TellMessage& message, const std::stop_token& stop) {
  using Json = nlohmann::ordered_json;
  HttpRequest request;
  PCM_ASSIGN(request.url, web_address(settings.webhook));
  const std::string title = headline(facts, message.event);
  // Chat programs show what "text" says.
  const Json json{{"text", message.text.empty() ? title : title + ": " + message.text},
                  {"event", to_string(message.event)},
                  {"run", facts.run == 0 ? Json() : Json(facts.run)},
                  {"name", facts.name},
                  {"state", state_of(message.event)},
                  {"message", message.text},
                  {"exit_code", message.exit_code ? Json(*message.exit_code) : Json()},
                  {"database", facts.database.string()},
                  {"report", facts.report.string()},
                  {"host", host_name()}};
  request.json = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  request.limit = settings.limit;
  return http_patiently(request, stop);
}

/// A header's text: one line, and RFC 2047 where it is not ASCII.
std::string header_text(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\r' || c == '\n'; }, ' ');
  const bool is_ascii = std::all_of(text.begin(), text.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (is_ascii) return text;
  std::string encoded;
  std::size_t of_word = 0;
  constexpr std::size_t kMostOfWord = 54;
  for (const char c : text) {
    // A word may not break a letter of several bytes.
    if (of_word > kMostOfWord && (static_cast<unsigned char>(c) & 0xc0) != 0x80) {
      encoded += "?=\n =?utf-8?q?";
      of_word = 0;
    }
    const std::string next =
        std::isalnum(static_cast<unsigned char>(c)) != 0
            ? std::string(1, c)
            : fmt::format("={:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    encoded += next;
    of_word += next.size();
  }
  return "=?utf-8?q?" + encoded + "?=";
}

Result<void> by_mail(const TellSettings& settings, const TellFacts& facts,
                     const TellMessage& message, const std::stop_token& stop) {
  ChildJob job;
  job.input = fmt::format(
      "To: {}\nSubject: {}\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n"
      "Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{}",
      settings.mail_to, header_text(headline(facts, message.event)), body(facts, message));
  job.limit = settings.limit;
  Result<void> sent;
  // Debian has it where ordinary people's PATH does not lead.
  for (const char* const program : {"sendmail", "/usr/sbin/sendmail"}) {
    job.command = {program, "-t", "-i"};
    sent = run_child(job, stop);
    if (sent || sent.error().code != ErrorCode::NotFound) break;
  }
  return sent;
}

}  // namespace

std::vector<Delivery> deliver(const TellSettings& settings, const TellFacts& facts,
                              const TellMessage& message, const std::stop_token& stop) {
  std::vector<Delivery> deliveries;
  if (settings.desktop) {
    deliveries.push_back({"desktop", by_desktop(settings, facts, message, stop)});
  }
  if (!settings.command.empty()) {
    deliveries.push_back({"command", by_command(settings, facts, message, stop)});
  }
  if (!settings.webhook.empty()) {
    deliveries.push_back({"webhook", by_webhook(settings, facts, message, stop)});
  }
  if (!settings.mail_to.empty()) {
    deliveries.push_back({"mail", by_mail(settings, facts, message, stop)});
  }
  return deliveries;
}

std::vector<Delivery> beat(const TellSettings& settings, const std::stop_token& stop) {
  std::vector<Delivery> deliveries;
  if (!settings.heartbeat_file.empty()) {
    const auto touch = [&]() -> Result<void> {
      const int descriptor = ::open(settings.heartbeat_file.c_str(),
                                    O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
      const bool touched = descriptor >= 0 && ::futimens(descriptor, nullptr) == 0;
      const int number = errno;
      if (descriptor >= 0) ::close(descriptor);
      if (touched) return {};
      return fail(ErrorCode::Io,
                  fmt::format("touching {}: {}", settings.heartbeat_file.string(),
                              std::generic_category().message(number)),
                  "name a file that you may write");
    };
    deliveries.push_back({"heartbeat file", touch()});
  }
  if (!settings.heartbeat_url.empty()) {
    const auto get = [&]() -> Result<void> {
      HttpRequest request;
      PCM_ASSIGN(request.url, web_address(settings.heartbeat_url));
      request.limit = settings.limit;
      return http(request, stop);
    };
    deliveries.push_back({"heartbeat URL", get()});
  }
  return deliveries;
}

}  // namespace pcmlab::app
