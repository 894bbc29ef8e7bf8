// SPDX-License-Identifier: Apache-2.0
#include "tests/usb/usb_bus.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <umockdev.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <shared_mutex>
#include <stdexcept>
#include <thread>
#include <utility>

namespace pcmlab::testing {
namespace {

/// What the kernel needs for a transfer besides its bytes, roughly.
constexpr std::size_t kTransferOverhead = 512;
constexpr std::size_t kSessionsKept = 32;
constexpr unsigned char kOutEndpoint = 0x01;
constexpr unsigned char kInEndpoint = 0x81;

/// The devices of the one bus there is, for ioctl().
struct Registry {
  std::shared_mutex mutex;
  std::vector<UsbDevice*> devices;
};
Registry& registry() {
  static Registry instance;
  return instance;
}

std::string hex(const std::vector<unsigned>& bytes) {
  std::string text;
  for (const unsigned byte : bytes) {
    std::array<char, 3> digits{};
    std::snprintf(digits.data(), digits.size(), "%02x", byte & 0xff);
    text += digits.data();
  }
  return text;
}

unsigned packet_bytes(unsigned speed_Mbit) {
  return speed_Mbit >= 5000 ? 1024 : speed_Mbit >= 480 ? 512 : 64;
}

/// Device and configuration descriptor, as the kernel has them in sysfs.
std::string descriptors(const UsbDeviceSettings& settings) {
  const bool super = settings.speed_Mbit >= 5000;
  const unsigned packet = packet_bytes(settings.speed_Mbit);
  const unsigned vendor = settings.vendor;
  const unsigned product = settings.product;
  const unsigned version = super ? 3 : 2;
  std::vector<unsigned> all = {18, 1, 0, version, 0, 0, 0, super ? 9U : 64U};
  all.insert(all.end(), {vendor & 0xff, vendor >> 8U, product & 0xff, product >> 8U});
  all.insert(all.end(), {0, 1, 0, 2, 3, 1});
  std::vector<unsigned> interface = {9, 4, 0, 0, 2, settings.interface_class, 0, 0, 0};
  for (const unsigned endpoint : {unsigned{kOutEndpoint}, unsigned{kInEndpoint}}) {
    interface.insert(interface.end(), {7, 5, endpoint, 2, packet & 0xff, packet >> 8U, 0});
    if (super) interface.insert(interface.end(), {6, 0x30, 0, 0, 0, 0});
  }
  const auto length = static_cast<unsigned>(9 + interface.size());
  all.insert(all.end(), {9, 2, length & 0xff, length >> 8U, 1, 1, 0, 0xc0, 50});
  all.insert(all.end(), interface.begin(), interface.end());
  return hex(all);
}

struct Submitted {
  usbdevfs_urb* urb = nullptr;
  std::size_t moved = 0;
};

/// From being plugged in to being unplugged; its file outlives that as long as somebody has it
/// open.
struct Session {
  int fifo = -1;  ///< one byte in it: nothing to reap. Full, i.e. not ready, for poll()
  bool ready = true;
  ino_t inode = 0;
  dev_t device = 0;
  bool gone = false;
  int claimed_by = -1;
  std::array<std::deque<Submitted>, 2> pending;
  std::deque<usbdevfs_urb*> ended;

  ~Session() {
    if (fifo >= 0) close(fifo);
  }
  bool owns(int file) const {
    struct stat status {};
    return file != fifo && syscall(SYS_fstat, file, &status) == 0 && status.st_ino == inode &&
           status.st_dev == device;
  }
  void show_ended() {
    char byte = 0;
    if (ended.empty() && ready && syscall(SYS_write, fifo, &byte, 1) == 1) ready = false;
    if (!ended.empty() && !ready && syscall(SYS_read, fifo, &byte, 1) == 1) ready = true;
  }
};

struct Faults {
  std::uint64_t bytes_to_stall = 0;
  unsigned stalls = 0;
  bool halted = false;
  int next_error = 0;
  int submission_error = 0;
  unsigned submission_errors = 0;
  bool hangs = false;
};

}  // namespace

struct UsbBus::State {
  UMockdevTestbed* testbed = umockdev_testbed_new();
  std::filesystem::path root;
  std::mutex plugging;
  unsigned last_number = 1;  // of the root hub
  std::vector<std::unique_ptr<UsbDevice>> devices;
  std::atomic<std::size_t> memory_limit = 16 << 20;
  std::atomic<std::size_t> memory = 0;

  void add(const std::string& text) const {
    GError* error = nullptr;
    if (umockdev_testbed_add_from_string(testbed, text.c_str(), &error) == 0) {
      throw std::runtime_error(error != nullptr ? error->message : "umockdev took no device");
    }
  }
};

struct UsbDevice::State {
  UsbBus::State& bus;
  const UsbDeviceSettings settings;

  mutable std::mutex mutex;
  mutable std::condition_variable moved;
  std::shared_ptr<UsbFunction> function;
  std::deque<std::unique_ptr<Session>> sessions;  // the last one is the current
  std::filesystem::path node;  // of the current session; changed while the bus is plugging
  bool plugged = false;
  bool busy = false;
  unsigned mode = 0666;
  std::array<Faults, 2> faults;
  std::size_t largest_in = 0;
  unsigned empty_packets = 0;
  UsbCounters counters;

  State(UsbBus::State& on, UsbDeviceSettings with) : bus(on), settings(std::move(with)) {}

  std::string syspath() const { return "/sys/devices/usb1/1-" + std::to_string(settings.port); }
  Session* session() { return sessions.empty() ? nullptr : sessions.back().get(); }
  Faults& faults_of(Direction direction) { return faults[static_cast<std::size_t>(direction)]; }

  void end(Session& session, const Submitted& submitted, int status) {
    submitted.urb->status = status;
    submitted.urb->actual_length = static_cast<int>(submitted.moved);
    session.ended.push_back(submitted.urb);
    session.show_ended();
    moved.notify_all();
  }
  void end_first(Session& session, Direction direction, int status) {
    auto& pending = session.pending[static_cast<std::size_t>(direction)];
    const Submitted first = pending.front();
    pending.pop_front();
    end(session, first, status);
  }

  /// How many of `bytes` pass before the endpoint stalls; halts it if that is now.
  std::size_t before_stall(Faults& fault, std::size_t bytes) {
    if (fault.stalls == 0) return bytes;
    bytes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, fault.bytes_to_stall));
    if (bytes == 0) fault.halted = true;
    return bytes;
  }
  static void passed(Faults& fault, std::size_t bytes) {
    if (fault.stalls > 0) fault.bytes_to_stall -= bytes;
  }

  /// Moves what can be moved.
  void pump() {
    Session* current = session();
    if (current == nullptr || current->gone) return;
    while (pump_out(*current)) {
    }
    while (pump_in(*current)) {
    }
    if (function && function->unplugged() && function->readable() == 0) lose(*current);
    moved.notify_all();
  }

  bool ends_badly(Session& session, Direction direction) {
    Faults& fault = faults_of(direction);
    if (fault.next_error != 0) {
      end_first(session, direction, -std::exchange(fault.next_error, 0));
      return true;
    }
    if (fault.halted) {
      end_first(session, direction, -EPIPE);
      return true;
    }
    return false;
  }

  bool pump_out(Session& session) {
    auto& pending = session.pending[0];
    Faults& fault = faults_of(Direction::Out);
    if (pending.empty() || fault.hangs) return false;
    if (ends_badly(session, Direction::Out)) return true;
    Submitted& first = pending.front();
    const auto length = static_cast<std::size_t>(first.urb->buffer_length);
    if (first.moved < length) {
      const std::size_t most = before_stall(fault, length - first.moved);
      if (fault.halted) return true;
      if (!function) return false;
      const std::size_t taken =
          function->write({static_cast<const std::byte*>(first.urb->buffer) + first.moved, most});
      passed(fault, taken);
      first.moved += taken;
      counters.bytes_out += taken;
      if (first.moved < length) return taken > 0;
    }
    if ((first.urb->flags & USBDEVFS_URB_ZERO_PACKET) != 0 &&
        length % packet_bytes(settings.speed_Mbit) == 0) {
      ++counters.empty_packets_out;
    }
    end_first(session, Direction::Out, 0);
    return true;
  }

  bool pump_in(Session& session) {
    auto& pending = session.pending[1];
    Faults& fault = faults_of(Direction::In);
    if (pending.empty() || fault.hangs) return false;
    if (ends_badly(session, Direction::In)) return true;
    if (empty_packets > 0) {
      --empty_packets;
      end_first(session, Direction::In, 0);
      return true;
    }
    if (!function || function->readable() == 0) return false;
    Submitted& first = pending.front();
    auto most = static_cast<std::size_t>(first.urb->buffer_length);
    if (largest_in > 0) most = std::min(most, largest_in);
    most = before_stall(fault, most);
    if (fault.halted) return true;
    first.moved = function->read({static_cast<std::byte*>(first.urb->buffer), most});
    passed(fault, first.moved);
    counters.bytes_in += first.moved;
    end_first(session, Direction::In, 0);
    return true;
  }

  void lose(Session& session) {
    session.gone = true;
    for (std::size_t k = 0; k < 2; ++k) {
      while (!session.pending[k].empty()) {
        end_first(session, static_cast<Direction>(k), -ESHUTDOWN);
      }
      faults[k].halted = false;
    }
    moved.notify_all();
  }

  int submit(Session& session, usbdevfs_urb* urb) {
    const Direction direction = urb->endpoint == kInEndpoint ? Direction::In : Direction::Out;
    Faults& fault = faults_of(direction);
    if (session.gone) return ENODEV;
    if (urb->type != USBDEVFS_URB_TYPE_BULK) return EINVAL;
    if (fault.submission_errors > 0) {
      --fault.submission_errors;
      return fault.submission_error;
    }
    const std::size_t memory = kTransferOverhead + static_cast<std::size_t>(urb->buffer_length);
    if (bus.memory.fetch_add(memory) + memory > bus.memory_limit) {
      bus.memory -= memory;
      return ENOMEM;
    }
    auto& pending = session.pending[static_cast<std::size_t>(direction)];
    pending.push_back({urb, 0});
    if (direction == Direction::In) {
      ++counters.ins;
      counters.most_ins = std::max(counters.most_ins, pending.size());
    } else {
      ++counters.outs;
      counters.most_outs = std::max(counters.most_outs, pending.size());
    }
    pump();
    return 0;
  }

  int reap(Session& session, usbdevfs_urb** into) {
    if (session.ended.empty()) return session.gone ? ENODEV : EAGAIN;
    *into = session.ended.front();
    session.ended.pop_front();
    bus.memory -= kTransferOverhead + static_cast<std::size_t>((*into)->buffer_length);
    session.show_ended();
    return 0;
  }

  int discard(Session& session, const void* urb) {
    for (auto& pending : session.pending) {
      const auto found = std::find_if(pending.begin(), pending.end(),
                                      [&](const Submitted& one) { return one.urb == urb; });
      if (found == pending.end()) continue;
      const Submitted submitted = *found;
      pending.erase(found);
      ++counters.cancelled;
      end(session, submitted, -ENOENT);
      return 0;
    }
    return EINVAL;
  }

  int clear_halt(const Session& session, unsigned endpoint) {
    if (session.gone) return ENODEV;
    Faults& fault = faults_of(endpoint == kInEndpoint ? Direction::In : Direction::Out);
    ++counters.halts_cleared;
    if (!fault.halted) return 0;
    fault.halted = false;
    if (fault.stalls > 0) --fault.stalls;
    fault.bytes_to_stall = 0;
    return 0;
  }

  int reset(const Session& session) {
    if (session.gone) return ENODEV;
    ++counters.resets;
    if (function) function->connection_lost();
    return 0;
  }

  int claim(Session& session, int file) const {
    if (session.gone) return ENODEV;
    if (busy || (session.claimed_by >= 0 && session.claimed_by != file)) return EBUSY;
    session.claimed_by = file;
    return 0;
  }

  /// \return an errno, or 0
  int serve(Session& session, int file, unsigned long request, void* argument) {
    switch (request) {
      case USBDEVFS_GET_CAPABILITIES:
        *static_cast<std::uint32_t*>(argument) =
            USBDEVFS_CAP_ZERO_PACKET | USBDEVFS_CAP_BULK_CONTINUATION |
            USBDEVFS_CAP_NO_PACKET_SIZE_LIM | USBDEVFS_CAP_BULK_SCATTER_GATHER |
            USBDEVFS_CAP_REAP_AFTER_DISCONNECT;
        return 0;
      case USBDEVFS_GETDRIVER:
        return ENODATA;
      case USBDEVFS_CLAIMINTERFACE:
      case USBDEVFS_DISCONNECT_CLAIM:
        return claim(session, file);
      case USBDEVFS_RELEASEINTERFACE:
        if (session.gone) return ENODEV;
        if (session.claimed_by == file) session.claimed_by = -1;
        return 0;
      case USBDEVFS_CLEAR_HALT:
        return clear_halt(session, *static_cast<unsigned*>(argument));
      case USBDEVFS_RESET:
        return reset(session);
      case USBDEVFS_SUBMITURB:
        return submit(session, static_cast<usbdevfs_urb*>(argument));
      case USBDEVFS_REAPURBNDELAY:
        return reap(session, static_cast<usbdevfs_urb**>(argument));
      case USBDEVFS_DISCARDURB:
        return discard(session, argument);
      default:
        return ENOTTY;
    }
  }
};

UsbDevice::UsbDevice(UsbBus& bus, UsbDeviceSettings settings)
    : state_(std::make_unique<State>(*bus.state_, std::move(settings))) {
  const std::unique_lock lock(registry().mutex);
  registry().devices.push_back(this);
}

UsbDevice::~UsbDevice() {
  const std::unique_lock lock(registry().mutex);
  std::erase(registry().devices, this);
}

const UsbDeviceSettings& UsbDevice::settings() const { return state_->settings; }

void UsbDevice::attach(std::shared_ptr<UsbFunction> function) {
  const std::lock_guard lock(state_->mutex);
  std::swap(state_->function, function);
  state_->pump();
}

void UsbDevice::changed() {
  const std::lock_guard lock(state_->mutex);
  state_->pump();
}

void UsbDevice::plug() {
  State& state = *state_;
  const std::lock_guard plugging(state.bus.plugging);
  const unsigned number = ++state.bus.last_number;
  std::array<char, 40> node{};
  std::snprintf(node.data(), node.size(), "bus/usb/001/%03u", number);
  const std::filesystem::path path = state.bus.root / "dev" / node.data();
  state.node = path;

  // Made before the device is announced, so that nobody opens anything else.
  auto session = std::make_unique<Session>();
  if (mkfifo(path.c_str(), 0600) != 0 || chmod(path.c_str(), state.mode) != 0) {
    throw std::runtime_error("cannot make " + path.string());
  }
  session->fifo = static_cast<int>(
      syscall(SYS_openat, AT_FDCWD, path.c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC));
  struct stat status {};
  if (session->fifo < 0 || syscall(SYS_fstat, session->fifo, &status) != 0) {
    throw std::runtime_error("cannot open " + path.string());
  }
  fcntl(session->fifo, F_SETPIPE_SZ, 4096);  // one page: a byte in it and it is not writable
  session->inode = status.st_ino;
  session->device = status.st_dev;
  session->show_ended();
  {
    const std::lock_guard lock(state.mutex);
    if (state.sessions.size() >= kSessionsKept) state.sessions.pop_front();
    state.sessions.push_back(std::move(session));
    state.plugged = true;
  }

  const UsbDeviceSettings& settings = state.settings;
  std::array<char, 40> ids{};
  std::snprintf(ids.data(), ids.size(), "%03u", number);
  std::string text = "P: /devices/usb1/1-" + std::to_string(settings.port) +
                     "\nE: SUBSYSTEM=usb\nE: DRIVER=usb\nE: DEVTYPE=usb_device\nE: BUSNUM=001" +
                     "\nE: DEVNUM=" + ids.data() + "\nE: DEVNAME=/dev/" + node.data();
  text += "\nA: bConfigurationValue=1\\n\nA: busnum=1\\n\nA: devnum=" + std::to_string(number) +
          "\\n\nA: speed=" + std::to_string(settings.speed_Mbit) + "\\n";
  std::snprintf(ids.data(), ids.size(), "\nA: idVendor=%04x\\n\nA: idProduct=%04x\\n",
                settings.vendor, settings.product);
  text += ids.data();
  if (!settings.serial.empty()) text += "\nA: serial=" + settings.serial + "\\n";
  text += "\nA: product=" + settings.product_name + "\\n\nH: descriptors=" + descriptors(settings) +
          "\n";
  state.bus.add(text);
}

void UsbDevice::cut() {
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  if (Session* session = state.session(); session != nullptr && !session->gone) {
    state.lose(*session);
  }
  if (state.function) state.function->connection_lost();
}

void UsbDevice::unplug() {
  State& state = *state_;
  const std::lock_guard plugging(state.bus.plugging);
  cut();
  {
    const std::lock_guard lock(state.mutex);
    if (!std::exchange(state.plugged, false)) return;
  }
  umockdev_testbed_uevent(state.bus.testbed, state.syspath().c_str(), "remove");
  umockdev_testbed_remove_device(state.bus.testbed, state.syspath().c_str());
  unlink(state.node.c_str());
}

bool UsbDevice::plugged() const {
  const std::lock_guard lock(state_->mutex);
  return state_->plugged;
}

bool UsbDevice::wait_until_dropped(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(state_->mutex);
  return state_->moved.wait_until(lock, deadline, [this] {
    const Session* session = state_->session();
    return session != nullptr && session->gone;
  });
}

void UsbDevice::set_mode(unsigned mode) {
  const std::lock_guard lock(state_->mutex);
  state_->mode = mode;
  if (const Session* session = state_->session()) fchmod(session->fifo, mode);
}

void UsbDevice::set_busy(bool busy) {
  const std::lock_guard lock(state_->mutex);
  state_->busy = busy;
}

void UsbDevice::stall(Direction direction, std::uint64_t after, unsigned times) {
  const std::lock_guard lock(state_->mutex);
  Faults& fault = state_->faults_of(direction);
  fault.bytes_to_stall = after;
  fault.stalls = times;
  state_->pump();
}

void UsbDevice::fail_next(Direction direction, int error) {
  const std::lock_guard lock(state_->mutex);
  state_->faults_of(direction).next_error = error;
  state_->pump();
}

void UsbDevice::fail_submissions(Direction direction, int error, unsigned times) {
  const std::lock_guard lock(state_->mutex);
  state_->faults_of(direction).submission_error = error;
  state_->faults_of(direction).submission_errors = times;
}

void UsbDevice::hang(Direction direction, bool hangs) {
  const std::lock_guard lock(state_->mutex);
  state_->faults_of(direction).hangs = hangs;
  state_->pump();
}

void UsbDevice::set_largest_in(std::size_t bytes) {
  const std::lock_guard lock(state_->mutex);
  state_->largest_in = bytes;
}

void UsbDevice::send_empty_packets(unsigned count) {
  const std::lock_guard lock(state_->mutex);
  state_->empty_packets = count;
  state_->pump();
}

UsbCounters UsbDevice::counters() const {
  const std::lock_guard lock(state_->mutex);
  return state_->counters;
}

std::size_t UsbDevice::in_flight(Direction direction) const {
  const std::lock_guard lock(state_->mutex);
  const Session* session = state_->session();
  return session == nullptr ? 0 : session->pending[static_cast<std::size_t>(direction)].size();
}

bool UsbDevice::wait_until(const std::function<bool()>& condition,
                           std::chrono::steady_clock::time_point deadline) const {
  std::unique_lock lock(state_->mutex);
  for (;;) {
    lock.unlock();
    if (condition()) return true;
    lock.lock();
    if (std::chrono::steady_clock::now() >= deadline) return false;
    // The condition may change between the look at it and the wait.
    state_->moved.wait_for(lock, std::chrono::milliseconds(1));
  }
}

bool UsbDevice::answer(int file, unsigned long request, void* argument, int& result) {
  const std::lock_guard lock(state_->mutex);
  const auto session = std::find_if(state_->sessions.rbegin(), state_->sessions.rend(),
                                    [&](const auto& one) { return one->owns(file); });
  if (session == state_->sessions.rend()) return false;
  const int error = state_->serve(**session, file, request, argument);
  result = error == 0 ? 0 : -1;
  if (error != 0) errno = error;
  return true;
}

UsbBus::UsbBus() : state_(std::make_unique<State>()) {
  if (umockdev_in_mock_environment() == 0) {
    throw std::runtime_error("libumockdev-preload is not linked in, or not first");
  }
  char* root = umockdev_testbed_get_root_dir(state_->testbed);
  state_->root = root;
  g_free(root);
  std::filesystem::create_directories(state_->root / "dev/bus/usb/001");
  state_->add(
      "P: /devices/usb1\nE: SUBSYSTEM=usb\nE: DRIVER=usb\nE: DEVTYPE=usb_device\nE: BUSNUM=001\n"
      "E: DEVNUM=001\nE: DEVNAME=/dev/bus/usb/001/001\nA: bConfigurationValue=1\\n\n"
      "A: busnum=1\\n\nA: devnum=1\\n\nA: speed=480\\n\n"
      "H: descriptors=12010002090001406b1d020010060302010109021900010100e0000904000001090000000705"
      "81030400"
      "0c\n");
}

void UsbBus::open_to_everybody() {
  // umockdev's thread makes this socket in its own time.
  while (!std::filesystem::exists(state_->root / "ioctl/_default")) std::this_thread::yield();
  chmod(state_->root.c_str(), 0777);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(state_->root)) {
    if (entry.is_symlink()) continue;
    if (entry.is_directory() || entry.is_socket()) chmod(entry.path().c_str(), 0777);
  }
}

UsbBus::~UsbBus() {
  for (const auto& device : state_->devices) device->unplug();
  state_->devices.clear();
  g_object_unref(state_->testbed);
}

UsbDevice& UsbBus::add(UsbDeviceSettings settings) {
  state_->devices.push_back(std::unique_ptr<UsbDevice>(new UsbDevice(*this, std::move(settings))));
  return *state_->devices.back();
}

void UsbBus::set_memory_limit(std::size_t bytes) { state_->memory_limit = bytes; }

}  // namespace pcmlab::testing

/// Taken by libusb in place of the C library's: answers for the devices of the bus and passes on
/// everything else.
extern "C" int ioctl(int file, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (_IOC_TYPE(request) == 'U') {
    auto& registry = pcmlab::testing::registry();
    const std::shared_lock lock(registry.mutex);
    for (pcmlab::testing::UsbDevice* device : registry.devices) {
      int result = 0;
      if (device->answer(file, request, argument, result)) return result;
    }
  }
  static const auto next =
      reinterpret_cast<int (*)(int, unsigned long, void*)>(dlsym(RTLD_NEXT, "ioctl"));
  return next(file, request, argument);
}

/// For umockdev, which gives up when a listener goes between its being found and its being told, as
/// when a program closes its libusb context while a device is unplugged. The kernel would not mind.
extern "C" ssize_t sendmsg(int socket, const msghdr* message, int flags) {
  static const auto next =
      reinterpret_cast<ssize_t (*)(int, const msghdr*, int)>(dlsym(RTLD_NEXT, "sendmsg"));
  const ssize_t sent = next(socket, message, flags);
  if (sent >= 0 || errno != ECONNREFUSED) return sent;
  ssize_t all = 0;
  for (std::size_t i = 0; i < message->msg_iovlen; ++i) {
    all += static_cast<ssize_t>(message->msg_iov[i].iov_len);
  }
  return all;
}

#ifdef __SANITIZE_THREAD__
/// umockdev, glib and udev are not instrumented: how their threads wait for each other is not seen.
extern "C" const char* __tsan_default_suppressions() {
  return "race:libumockdev.so\nrace:libglib-2.0.so\nrace:libudev.so\n";
}
#endif
