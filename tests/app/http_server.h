// SPDX-License-Identifier: Apache-2.0
/// \file
/// A web server on this machine that keeps what it was asked, and answers as a test wants.
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace pcmlab::app {

class HttpServer {
 public:
  struct Request {
    std::string method, path, body;
  };
  /// \param statuses  of the first answers; 200 from then on. 0: never answers
  explicit HttpServer(std::vector<int> statuses = {});
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// "http://127.0.0.1:PORT" and the path.
  std::string url(const std::string& path) const;
  /// Waits for so many. \return all there are
  std::vector<Request> await(std::size_t count);

 private:
  void serve();
  /// \return whether it may be closed
  bool answer(int connection);

  std::vector<int> statuses_;
  int listener_ = -1;
  int port_ = 0;
  std::vector<int> silent_;  ///< connections that get no answer
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<Request> requests_;
  std::thread thread_;
};

}  // namespace pcmlab::app
