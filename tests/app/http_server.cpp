// SPDX-License-Identifier: Apache-2.0
#include "tests/app/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <sstream>
#include <utility>

namespace pcmlab::app {

HttpServer::HttpServer(std::vector<int> statuses) : statuses_(std::move(statuses)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  constexpr int kWaiting = 16;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener_, kWaiting) != 0 ||
      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

HttpServer::~HttpServer() {
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
  for (const int connection : silent_) close(connection);
}

std::string HttpServer::url(const std::string& path) const {
  return "http://127.0.0.1:" + std::to_string(port_) + path;
}

std::vector<HttpServer::Request> HttpServer::await(std::size_t count) {
  std::unique_lock lock(mutex_);
  came_.wait(lock, [&] { return requests_.size() >= count; });
  return requests_;
}

void HttpServer::serve() {
  for (;;) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) return;
    if (answer(connection)) {
      close(connection);
    } else {
      silent_.push_back(connection);
    }
  }
}

bool HttpServer::answer(int connection) {
  std::string text;
  std::size_t wanted = std::string::npos;
  std::array<char, 4096> chunk{};
  while (wanted == std::string::npos || text.size() < wanted) {
    const ssize_t got = read(connection, chunk.data(), chunk.size());
    if (got <= 0) return true;
    text.append(chunk.data(), static_cast<std::size_t>(got));
    const auto end = text.find("\r\n\r\n");
    if (wanted != std::string::npos || end == std::string::npos) continue;
    std::string head = text.substr(0, end);
    std::transform(head.begin(), head.end(), head.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    constexpr std::string_view kLength = "content-length: ";
    const auto length = head.find(kLength);
    const int body =
        length == std::string::npos ? 0 : std::atoi(head.c_str() + length + kLength.size());
    wanted = end + 4 + static_cast<std::size_t>(body);
  }
  Request request;
  std::istringstream(text) >> request.method >> request.path;
  request.body = text.substr(text.find("\r\n\r\n") + 4);
  int status = 200;
  {
    const std::lock_guard lock(mutex_);
    if (requests_.size() < statuses_.size()) status = statuses_[requests_.size()];
    requests_.push_back(std::move(request));
  }
  if (status != 0) {
    const std::string answer = "HTTP/1.1 " + std::to_string(status) +
                               " X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    send(connection, answer.data(), answer.size(), MSG_NOSIGNAL);
  }
  came_.notify_all();
  return status != 0;
}

}  // namespace pcmlab::app
