// SPDX-License-Identifier: Apache-2.0
#include "app/http.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <condition_variable>
#include <memory>
#include <mutex>

#include "app/build_info.h"

namespace pcmlab::app {
namespace {

std::size_t discard(char* /*bytes*/, std::size_t size, std::size_t count, void* /*user*/) {
  return size * count;
}

int end_if_stopped(void* stop, curl_off_t /*total*/, curl_off_t /*now*/, curl_off_t /*up_total*/,
                   curl_off_t /*up_now*/) {
  return static_cast<const std::stop_token*>(stop)->stop_requested() ? 1 : 0;
}

struct HttpOutcome {
  Result<void> result;
  bool may_pass = false;  ///< another time it may go well
};

HttpOutcome ask(const HttpRequest& request, const std::stop_token& stop) {
  static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
  const std::string host = host_of_url(request.url);
  if (host.empty()) {
    return {fail(ErrorCode::BadFile, "this is no URL of http or https",
                 "write it as https://HOST/PATH"),
            false};
  }
  const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(), curl_easy_cleanup);
  if (global != CURLE_OK || !curl) {
    return {fail(ErrorCode::Internal, "libcurl cannot be used"), false};
  }
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(
      curl_slist_append(nullptr, "Content-Type: application/json"), curl_slist_free_all);
  CURL* const handle = curl.get();
  std::stop_token asked = stop;
  curl_easy_setopt(handle, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(request.limit.count()));
  curl_easy_setopt(handle, CURLOPT_USERAGENT, (std::string("pcmlab/") + kVersion).c_str());
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, discard);
  curl_easy_setopt(handle, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(handle, CURLOPT_XFERINFOFUNCTION, end_if_stopped);
  curl_easy_setopt(handle, CURLOPT_XFERINFODATA, &asked);
  if (!request.json.empty()) {
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, static_cast<long>(request.json.size()));
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request.json.c_str());
  }
  const CURLcode code = curl_easy_perform(handle);
  if (code == CURLE_ABORTED_BY_CALLBACK) {
    return {fail(ErrorCode::Stopped, host + " was not waited for any longer"), false};
  }
  if (code != CURLE_OK) {
    const bool is_late = code == CURLE_OPERATION_TIMEDOUT;
    return {fail(is_late ? ErrorCode::Timeout : ErrorCode::Io,
                 fmt::format("asking {}: {}", host, curl_easy_strerror(code)),
                 "see whether it can be reached from this machine"),
            true};
  }
  constexpr long kFirstBad = 300, kTimeout = 408, kTooMany = 429, kServerError = 500;
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  if (status < kFirstBad) return {{}, false};
  return {fail(ErrorCode::Io, fmt::format("{} answered with HTTP status {}", host, status),
               "see whether the URL is the right one"),
          status == kTimeout || status == kTooMany || status >= kServerError};
}

}  // namespace

std::string host_of_url(const std::string& url) {
  for (const std::string scheme : {"http://", "https://"}) {
    if (!url.starts_with(scheme)) continue;
    std::string host = url.substr(scheme.size());
    host = host.substr(0, host.find_first_of("/?#"));
    return host.substr(host.rfind('@') + 1);
  }
  return "";
}

Result<void> http(const HttpRequest& request, const std::stop_token& stop) {
  return ask(request, stop).result;
}

Result<void> http_patiently(const HttpRequest& request, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  for (const std::chrono::seconds pause : {std::chrono::seconds(1), std::chrono::seconds(4)}) {
    HttpOutcome outcome = ask(request, stop);
    if (outcome.result || !outcome.may_pass) return outcome.result;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, pause, [] { return false; });
    if (stop.stop_requested()) return outcome.result;
  }
  return ask(request, stop).result;
}

}  // namespace pcmlab::app
