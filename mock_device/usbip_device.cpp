// SPDX-License-Identifier: Apache-2.0
#include "mock_device/usbip_device.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "mock_device/usbip_wire.h"

namespace pcmlab::mock {
namespace {

using Clock = std::chrono::steady_clock;

/// The host is asked for no more, and gets no more, while so much has not gone out to it.
constexpr std::size_t kMostUnsent = 4 << 20;
/// What was on its way when the plan pulled the cable still gets so much time beyond the latency.
constexpr auto kLastBytes = std::chrono::milliseconds(2);
/// How long a host may take to take the last bytes before its connection is cut.
constexpr auto kFarewell = std::chrono::milliseconds(200);

constexpr std::uint8_t kEndpointNumber = kBulkOut;
static_assert((kBulkIn & 0x7f) == kEndpointNumber);

// Requests of USB 2.0 table 9-4 and USB 3.2 table 9-5
enum Request : std::uint8_t {
  kGetStatus = 0,
  kClearFeature = 1,
  kSetFeature = 3,
  kGetDescriptor = 6,
  kGetConfiguration = 8,
  kSetConfiguration = 9,
  kGetInterface = 10,
  kSetInterface = 11,
  kSetSel = 0x30,
  kSetIsochronousDelay = 0x31,
};
enum Recipient : std::uint8_t { kToDevice = 0, kToInterface = 1, kToEndpoint = 2 };
constexpr std::uint16_t kEndpointHalt = 0;

struct Setup {
  std::uint8_t type = 0;
  std::uint8_t request = 0;
  std::uint16_t value = 0;
  std::uint16_t index = 0;
  std::uint16_t length = 0;
};

Setup parse_setup(const std::array<std::uint8_t, 8>& bytes) {
  const auto u16 = [&](std::size_t at) {
    return static_cast<std::uint16_t>(bytes[at] | bytes[at + 1] << 8);
  };
  return {bytes[0], bytes[1], u16(2), u16(4), u16(6)};
}

std::string error_text(int error) { return std::generic_category().message(error); }

}  // namespace

/// One host, from the first header to the end of the connection.
class UsbipDevice::Session {
 public:
  Session(UsbipDevice& device, FileDescriptor socket)
      : device_(device),
        board_(device.board_),
        socket_(std::move(socket)),
        in_(std::size_t{64} << 10) {}

  UsbipEnd run(const std::stop_token& stop);

 private:
  struct Incoming {
    usbip::Command command;
    std::vector<std::byte> payload;
    std::size_t missing = 0;  // of the payload
    bool is_kept = true;
  };
  struct OutTransfer {
    std::uint32_t sequence = 0;
    std::vector<std::byte> bytes;
    std::size_t taken = 0;
  };
  struct InTransfer {
    std::uint32_t sequence = 0;
    std::size_t length = 0;
  };

  void end(UsbipEnd::Why why, std::string detail = {});
  void wait();

  // From the host
  void receive();
  void parse();
  void begin(const usbip::Command& command);
  void submit(Incoming incoming);
  void control(const Incoming& incoming);
  std::optional<std::vector<std::uint8_t>> control_in(const Setup& setup) const;
  bool control_out(const Setup& setup);
  void unlink(const usbip::Command& command);

  // To the host
  void reply(std::uint32_t sequence, int status, std::size_t length = 0);
  void send();
  std::size_t unsent() const { return out_.size() - sent_; }
  void say_farewell();

  // To and from the board
  void pump_out();
  void pump_in();
  void look_for_unplug();
  void publish();

  UsbipDevice& device_;
  BoardThread& board_;
  FileDescriptor socket_;
  std::optional<UsbipEnd> end_;

  std::vector<std::byte> in_;  // read and not yet parsed: [in_begin_, in_end_)
  std::size_t in_begin_ = 0;
  std::size_t in_end_ = 0;
  std::optional<Incoming> incoming_;  // its payload is not whole

  std::vector<std::byte> out_;  // from sent_ on, still to go out
  std::size_t sent_ = 0;

  std::uint8_t configuration_ = 0;
  std::deque<OutTransfer> out_transfers_;
  std::deque<InTransfer> in_transfers_;
  std::size_t waiting_bytes_ = 0;  // of out_transfers_
  std::optional<Clock::time_point> unplugged_at_;
  UsbipCounters counters_;  // not yet published
};

// ---- the loop --------------------------------------------------------------------------------

UsbipEnd UsbipDevice::Session::run(const std::stop_token& stop) {
  const std::stop_callback wake_to_stop(stop, [this] { device_.wake_.wake(); });
  const int flags = fcntl(socket_.get(), F_GETFL);
  if (flags < 0 || fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK) < 0) {
    end(UsbipEnd::Why::HostLeft, error_text(errno));
  }
  while (!end_) {
    pump_out();
    pump_in();
    publish();  // before anybody can know
    send();
    look_for_unplug();
    if (stop.stop_requested()) end(UsbipEnd::Why::Stopped);
    if (!end_) wait();
  }
  publish();
  if (end_->why == UsbipEnd::Why::Unplugged) say_farewell();
  socket_.reset();
  return std::move(*end_);
}

void UsbipDevice::Session::end(UsbipEnd::Why why, std::string detail) {
  if (!end_) end_ = UsbipEnd{why, std::move(detail)};
}

void UsbipDevice::Session::wait() {
  int events = 0;
  if (unsent() < kMostUnsent) events |= POLLIN;
  if (unsent() > 0) events |= POLLOUT;
  std::array<pollfd, 2> files = {pollfd{socket_.get(), static_cast<short>(events), 0},
                                 pollfd{device_.wake_.fd(), POLLIN, 0}};
  const int timeout_ms = unplugged_at_ ? 1 : -1;
  if (poll(files.data(), files.size(), timeout_ms) < 0) {
    if (errno != EINTR) end(UsbipEnd::Why::HostLeft, error_text(errno));
    return;
  }
  if (files[1].revents != 0) device_.wake_.reset();
  // Errors and hang-ups are found by reading, after the last bytes.
  if ((files[0].revents & ~POLLOUT) != 0 && (events & POLLIN) != 0) {
    receive();
  } else if ((files[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) {
    end(UsbipEnd::Why::HostLeft, "with replies that it had not taken");
  }
}

void UsbipDevice::Session::publish() {
  const std::lock_guard lock(device_.counters_mutex_);
  UsbipCounters& sum = device_.counters_;
  sum.control_requests += counters_.control_requests;
  sum.out_transfers += counters_.out_transfers;
  sum.in_transfers += counters_.in_transfers;
  sum.unlinks += counters_.unlinks;
  sum.stalls += counters_.stalls;
  sum.bytes_to_board += counters_.bytes_to_board;
  sum.bytes_to_host += counters_.bytes_to_host;
  counters_ = {};
}

// ---- from the host ---------------------------------------------------------------------------

/// Reads once: the rest of a payload to where it belongs, what follows it to the buffer.
void UsbipDevice::Session::receive() {
  std::array<iovec, 2> pieces{};
  std::size_t to_payload = 0;
  std::size_t count = 0;
  if (incoming_ && incoming_->is_kept) {
    to_payload = incoming_->missing;
    pieces[count++] = {incoming_->payload.data() + incoming_->payload.size() - to_payload,
                       to_payload};
  }
  std::copy(in_.begin() + static_cast<std::ptrdiff_t>(in_begin_),
            in_.begin() + static_cast<std::ptrdiff_t>(in_end_), in_.begin());
  in_end_ -= std::exchange(in_begin_, 0);
  pieces[count++] = {in_.data() + in_end_, in_.size() - in_end_};
  const ssize_t got = readv(socket_.get(), pieces.data(), static_cast<int>(count));
  if (got < 0) {
    if (errno != EAGAIN && errno != EINTR) end(UsbipEnd::Why::HostLeft, error_text(errno));
    return;
  }
  if (got == 0) {
    const bool clean = !incoming_ && in_end_ == 0;
    end(UsbipEnd::Why::HostLeft, clean ? "" : "in the middle of a request");
    return;
  }
  const std::size_t directly = std::min(static_cast<std::size_t>(got), to_payload);
  if (directly > 0) incoming_->missing -= directly;
  in_end_ += static_cast<std::size_t>(got) - directly;
  parse();
}

void UsbipDevice::Session::parse() {
  while (!end_) {
    if (incoming_) {
      const std::size_t count = std::min(incoming_->missing, in_end_ - in_begin_);
      if (incoming_->is_kept) {
        std::copy_n(in_.begin() + static_cast<std::ptrdiff_t>(in_begin_), count,
                    incoming_->payload.end() - static_cast<std::ptrdiff_t>(incoming_->missing));
      }
      in_begin_ += count;
      incoming_->missing -= count;
      if (incoming_->missing > 0) return;
      Incoming whole = std::move(*incoming_);
      incoming_.reset();
      submit(std::move(whole));
      continue;
    }
    if (in_end_ - in_begin_ < usbip::kHeaderBytes) return;
    const auto header = std::span(in_).subspan(in_begin_, usbip::kHeaderBytes);
    in_begin_ += usbip::kHeaderBytes;
    begin(usbip::parse_command(header));
  }
}

/// Checks all that could make the rest of the stream mean something else.
void UsbipDevice::Session::begin(const usbip::Command& command) {
  if (command.command == usbip::kUnlink) {
    unlink(command);
    return;
  }
  const auto bad = [&](const std::string& what, std::int64_t value) {
    end(UsbipEnd::Why::BadInput, what + " " + std::to_string(value));
  };
  if (command.command != usbip::kSubmit) return bad("unknown command", command.command);
  if (command.direction > 1) return bad("direction", command.direction);
  if (command.endpoint > 15) return bad("endpoint", command.endpoint);
  if (command.packets > 0) return bad("isochronous packets:", command.packets);
  if (command.length < 0 || static_cast<std::size_t>(command.length) > kMostTransfer) {
    return bad("transfer length", command.length);
  }
  Incoming incoming{command, {}, 0, true};
  if (command.direction == 0) incoming.missing = static_cast<std::size_t>(command.length);
  const bool too_many = out_transfers_.size() + in_transfers_.size() >= kMostWaiting;
  if (too_many || waiting_bytes_ + incoming.missing > kMostWaitingBytes) incoming.is_kept = false;
  if (incoming.is_kept) incoming.payload.resize(incoming.missing);
  incoming_ = std::move(incoming);
}

void UsbipDevice::Session::submit(Incoming incoming) {
  const usbip::Command& command = incoming.command;
  if (!incoming.is_kept) return reply(command.sequence, -ENOMEM);
  if (command.endpoint == 0) return control(incoming);
  // Nobody answers on the bus there.
  if (configuration_ == 0 || command.endpoint != kEndpointNumber) {
    return reply(command.sequence, -EPROTO);
  }
  if (command.direction == 0) {
    ++counters_.out_transfers;
    waiting_bytes_ += incoming.payload.size();
    out_transfers_.push_back({command.sequence, std::move(incoming.payload), 0});
  } else {
    ++counters_.in_transfers;
    in_transfers_.push_back({command.sequence, static_cast<std::size_t>(command.length)});
  }
}

void UsbipDevice::Session::unlink(const usbip::Command& command) {
  ++counters_.unlinks;
  const auto is_victim = [&](const auto& transfer) { return transfer.sequence == command.victim; };
  int status = 0;  // it has been replied to
  const auto out = std::find_if(out_transfers_.begin(), out_transfers_.end(), is_victim);
  const auto in = std::find_if(in_transfers_.begin(), in_transfers_.end(), is_victim);
  if (out != out_transfers_.end()) {
    waiting_bytes_ -= out->bytes.size();
    out_transfers_.erase(out);
    status = -ECONNRESET;
  } else if (in != in_transfers_.end()) {
    in_transfers_.erase(in);
    status = -ECONNRESET;
  }
  const usbip::Header header = usbip::unlink_reply(command.sequence, status);
  out_.insert(out_.end(), header.begin(), header.end());
}

void UsbipDevice::Session::control(const Incoming& incoming) {
  ++counters_.control_requests;
  const usbip::Command& command = incoming.command;
  const Setup setup = parse_setup(command.setup);
  const bool from_device = (setup.type & 0x80) != 0;
  if (from_device && command.direction == 1) {
    const auto answer = control_in(setup);
    if (answer) {
      const std::size_t length = std::min<std::size_t>(
          {answer->size(), setup.length, static_cast<std::size_t>(command.length)});
      reply(command.sequence, 0, length);
      const auto bytes = std::as_bytes(std::span(*answer)).first(length);
      out_.insert(out_.end(), bytes.begin(), bytes.end());
      return;
    }
  } else if (!from_device && control_out(setup)) {
    return reply(command.sequence, 0, incoming.payload.size());
  }
  ++counters_.stalls;
  reply(command.sequence, -EPIPE);
}

std::optional<std::vector<std::uint8_t>> UsbipDevice::Session::control_in(
    const Setup& setup) const {
  using Bytes = std::vector<std::uint8_t>;
  const auto recipient = static_cast<std::uint8_t>(setup.type & 0x7f);
  if (recipient == kToDevice && setup.request == kGetDescriptor) {
    return device_.descriptors_.find(static_cast<std::uint8_t>(setup.value >> 8),
                                     static_cast<std::uint8_t>(setup.value & 0xff));
  }
  if (recipient == kToDevice && setup.request == kGetConfiguration) return Bytes{configuration_};
  if (recipient == kToInterface && setup.index == 0 && setup.request == kGetInterface) {
    return Bytes{0};
  }
  if (setup.request != kGetStatus) return std::nullopt;
  if (recipient == kToDevice) return Bytes{1, 0};  // self-powered
  if (recipient == kToInterface && setup.index == 0) return Bytes{0, 0};
  if (recipient != kToEndpoint) return std::nullopt;
  if ((setup.index & 0x7f) == 0) return Bytes{0, 0};
  if (setup.index == kBulkOut)
    return Bytes{device_.out_stalled_ ? std::uint8_t{1} : std::uint8_t{0}, 0};
  if (setup.index == kBulkIn)
    return Bytes{device_.in_stalled_ ? std::uint8_t{1} : std::uint8_t{0}, 0};
  return std::nullopt;
}

bool UsbipDevice::Session::control_out(const Setup& setup) {
  switch (setup.type) {
    case kToDevice:
      switch (setup.request) {
        case kSetConfiguration:
          if (setup.value > 1) return false;
          configuration_ = static_cast<std::uint8_t>(setup.value);
          for (const OutTransfer& transfer : out_transfers_) reply(transfer.sequence, -ESHUTDOWN);
          for (const InTransfer& transfer : in_transfers_) reply(transfer.sequence, -ESHUTDOWN);
          out_transfers_.clear();
          in_transfers_.clear();
          waiting_bytes_ = 0;
          device_.out_stalled_ = device_.in_stalled_ = false;
          board_.connection_lost();
          return true;
        case kClearFeature:
        case kSetFeature:
        case kSetSel:
        case kSetIsochronousDelay:
          return true;  // power saving and timing of a bus that is not there
        default:
          return false;
      }
    case kToInterface:
      if (setup.index != 0) return false;
      if (setup.request == kSetInterface && setup.value == 0) {
        device_.out_stalled_ = device_.in_stalled_ = false;
        return true;
      }
      return setup.request == kClearFeature || setup.request == kSetFeature;
    case kToEndpoint: {
      if (setup.value != kEndpointHalt) return false;
      if (setup.request != kClearFeature && setup.request != kSetFeature) return false;
      const bool stalled = setup.request == kSetFeature;
      if ((setup.index & 0x7f) == 0) return true;
      if (setup.index != kBulkOut && setup.index != kBulkIn) return false;
      (setup.index == kBulkOut ? device_.out_stalled_ : device_.in_stalled_) = stalled;
      return true;
    }
    default:
      return false;
  }
}

// ---- to the host -----------------------------------------------------------------------------

void UsbipDevice::Session::reply(std::uint32_t sequence, int status, std::size_t length) {
  const usbip::Header header = usbip::submit_reply(sequence, status, length);
  out_.insert(out_.end(), header.begin(), header.end());
}

void UsbipDevice::Session::send() {
  while (!end_ && unsent() > 0) {
    const ssize_t count = ::send(socket_.get(), out_.data() + sent_, unsent(), MSG_NOSIGNAL);
    if (count < 0) {
      // What it had sent before it left has been read: there is nobody to take the answers.
      if (errno != EAGAIN && errno != EINTR) end(UsbipEnd::Why::HostLeft);
      break;
    }
    sent_ += static_cast<std::size_t>(count);
  }
  if (unsent() > 0 && sent_ < kMostUnsent) return;
  out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(sent_));
  sent_ = 0;
}

/// Lets the host take what it was sent: a TCP connection that is closed with bytes unread is reset,
/// and what was sent last is lost.
void UsbipDevice::Session::say_farewell() {
  const auto until = Clock::now() + kFarewell;
  bool shut = false;
  for (auto now = Clock::now(); now < until; now = Clock::now()) {
    if (unsent() == 0 && !std::exchange(shut, true)) shutdown(socket_.get(), SHUT_WR);
    pollfd file{socket_.get(), static_cast<short>(shut ? POLLIN : POLLIN | POLLOUT), 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now);
    if (poll(&file, 1, static_cast<int>(left.count())) < 0 && errno != EINTR) return;
    const ssize_t got = recv(socket_.get(), in_.data(), in_.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return;
    while (unsent() > 0) {
      const ssize_t count = ::send(socket_.get(), out_.data() + sent_, unsent(), MSG_NOSIGNAL);
      if (count < 0 && errno != EAGAIN && errno != EINTR) return;
      if (count < 0) break;
      sent_ += static_cast<std::size_t>(count);
    }
  }
}

// ---- to and from the board -------------------------------------------------------------------

void UsbipDevice::Session::pump_out() {
  while (!out_transfers_.empty()) {
    OutTransfer& transfer = out_transfers_.front();
    const bool stalled = device_.out_stalled_;
    if (!stalled && transfer.taken < transfer.bytes.size()) {
      const std::size_t taken = board_.write(std::span(transfer.bytes).subspan(transfer.taken));
      transfer.taken += taken;
      counters_.bytes_to_board += taken;
      if (transfer.taken < transfer.bytes.size()) return;
    }
    if (stalled) ++counters_.stalls;
    reply(transfer.sequence, stalled ? -EPIPE : 0, transfer.taken);
    waiting_bytes_ -= transfer.bytes.size();
    out_transfers_.pop_front();
  }
}

void UsbipDevice::Session::pump_in() {
  while (!in_transfers_.empty() && unsent() < kMostUnsent) {
    const InTransfer& transfer = in_transfers_.front();
    if (device_.in_stalled_) {
      ++counters_.stalls;
      reply(transfer.sequence, -EPIPE);
      in_transfers_.pop_front();
      continue;
    }
    const std::size_t packet = device_.descriptors_.max_packet();
    const std::size_t packets = (transfer.length + packet - 1) / packet;
    const std::size_t available = std::min(board_.readable(), packets * packet);
    if (available == 0 && transfer.length > 0) return;
    const std::size_t header_at = out_.size();
    out_.resize(header_at + usbip::kHeaderBytes + available);
    const std::size_t came = board_.read(std::span(out_).subspan(header_at + usbip::kHeaderBytes));
    const bool overflows = came > transfer.length;
    const std::size_t length = std::min(came, transfer.length);
    out_.resize(header_at + usbip::kHeaderBytes + length);
    const usbip::Header header =
        usbip::submit_reply(transfer.sequence, overflows ? -EOVERFLOW : 0, length);
    std::copy(header.begin(), header.end(), out_.begin() + static_cast<std::ptrdiff_t>(header_at));
    counters_.bytes_to_host += length;
    in_transfers_.pop_front();
  }
}

void UsbipDevice::Session::look_for_unplug() {
  if (end_ || !board_.unplugged()) return;
  const auto now = Clock::now();
  if (!unplugged_at_) unplugged_at_ = now;
  if (now < *unplugged_at_ + device_.pace_.latency + kLastBytes) return;
  const bool takes_last_bytes = board_.readable() > 0 && !in_transfers_.empty();
  if (takes_last_bytes && now < *unplugged_at_ + kFarewell) return;
  end(UsbipEnd::Why::Unplugged);
}

// ---- the device ------------------------------------------------------------------------------

UsbipDevice::UsbipDevice(std::unique_ptr<FaultyBoard> board, const BoardPace& pace,
                         UsbDescriptors descriptors)
    : descriptors_(std::move(descriptors)),
      pace_(pace),
      board_(std::move(board), pace, [this] { wake_.wake(); }) {}

UsbipEnd UsbipDevice::serve(FileDescriptor socket, const std::stop_token& stop) {
  UsbipEnd end = Session(*this, std::move(socket)).run(stop);
  out_stalled_ = in_stalled_ = false;
  board_.connection_lost();
  return end;
}

void UsbipDevice::stall(std::uint8_t endpoint) {
  (endpoint == kBulkOut ? out_stalled_ : in_stalled_) = true;
  wake_.wake();
}

UsbipCounters UsbipDevice::counters() const {
  const std::lock_guard lock(counters_mutex_);
  return counters_;
}

}  // namespace pcmlab::mock
