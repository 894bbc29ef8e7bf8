// SPDX-License-Identifier: Apache-2.0
/// \file
/// One HTTP request for a limited time. Functions without state, callable from any thread.
#pragma once

#include <chrono>
#include <stop_token>
#include <string>

#include "protocol/error.h"

namespace pcmlab::app {

/// "hooks.example.org" of "https://user:secret@hooks.example.org:8080/T0/secret", with the port if
/// it has one; empty if it is no http or https URL. The rest of a URL is often a secret.
std::string host_of_url(const std::string& url);

struct HttpRequest {
  std::string url;
  std::string json = {};  ///< POSTed; empty: GET
  std::chrono::milliseconds limit{30000};
};

/// \param stop  ends it before its time
/// Errors: Timeout; Stopped; Io (no connection, or an answer of 300 and above); BadFile (no http or
/// https URL). None names more of the URL than its host. \return nothing: the answer's body is not
/// looked at.
Result<void> http(const HttpRequest& request, const std::stop_token& stop = {});

/// As http(), again after a second and four more where that may help: no connection, no answer in
/// time, 408, 429, 5xx.
Result<void> http_patiently(const HttpRequest& request, const std::stop_token& stop = {});

}  // namespace pcmlab::app
