// SPDX-License-Identifier: Apache-2.0
#include "app/doctor.h"

#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>
#include <utility>

namespace pcmlab::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kVendor = "1209";
constexpr std::string_view kProduct = "0001";
constexpr std::string_view kGroup = "plugdev";
constexpr std::string_view kRule = "70-pcmlab.rules";
constexpr std::string_view kReloadUdev = "sudo udevadm control --reload; sudo udevadm trigger";

/// The file's text without the white space at its end; empty when it cannot be read.
std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  const std::size_t end = text.find_last_not_of(" \t\n");
  text.resize(end == std::string::npos ? 0 : end + 1);
  return text;
}

std::vector<std::string> lines_of(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::optional<std::int64_t> number_in(const fs::path& file) {
  const std::string text = text_of(file);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool is_there(const fs::path& file) {
  std::error_code ignored;
  return fs::exists(file, ignored);
}

/// Sorted; none when there is no such folder.
std::vector<fs::path> entries_of(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    entries.push_back(entry->path());
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

std::string gigabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} GB", static_cast<double>(bytes) / 1e9);
}

/// The folder itself or the nearest one above it that is there.
fs::path existing_part(fs::path folder) {
  while (!folder.empty() && !is_there(folder) && folder != folder.parent_path()) {
    folder = folder.parent_path();
  }
  return folder.empty() ? fs::path("/") : folder;
}

/// A path in mountinfo has its blanks as \040.
std::string unescaped(std::string_view text) {
  constexpr std::size_t kDigits = 3;
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    if (text[i] == '\\' && i + kDigits < text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 1 + kDigits, code, 8).ec ==
            std::errc{}) {
      result += static_cast<char>(code);
      i += kDigits;
    } else {
      result += text[i];
    }
  }
  return result;
}

bool is_within(const fs::path& path, const fs::path& folder) {
  const auto [in_folder, in_path] =
      std::mismatch(folder.begin(), folder.end(), path.begin(), path.end());
  return in_folder == folder.end() || in_folder->empty();
}

struct Board {
  std::string name;  ///< "1-4 serial PCM0001"
  fs::path node;     ///< /dev/bus/usb/001/007
  fs::path control;  ///< power/control
};

class Examination {
 public:
  explicit Examination(const Surroundings& surroundings)
      : s_(surroundings), has_usb_(is_there(at("sys/bus/usb/devices"))), boards_(find_boards()) {}

  std::vector<Finding> run() {
    check_usb();
    check_rule();
    check_groups();
    check_boards();
    check_autosuspend();
    check_usb_memory();
    check_disk();
    check_file_system();
    check_database();
    check_clock();
    check_suspend();
    check_processor();
    check_shared_memory();
    return std::move(findings_);
  }

 private:
  fs::path at(const char* path) const { return s_.root / path; }

  void ok(std::string check, std::string found) {
    findings_.push_back({std::move(check), Verdict::Ok, std::move(found), {}});
  }
  void warning(std::string check, std::string found, std::string mend) {
    findings_.push_back({std::move(check), Verdict::Warning, std::move(found), std::move(mend)});
  }
  void problem(std::string check, std::string found, std::string mend) {
    findings_.push_back({std::move(check), Verdict::Problem, std::move(found), std::move(mend)});
  }
  void not_applicable(std::string check, std::string found) {
    findings_.push_back({std::move(check), Verdict::NotApplicable, std::move(found), {}});
  }

  std::vector<Board> find_boards() const {
    std::vector<Board> boards;
    for (const fs::path& device : entries_of(at("sys/bus/usb/devices"))) {
      if (text_of(device / "idVendor") != kVendor || text_of(device / "idProduct") != kProduct) {
        continue;
      }
      const std::int64_t bus = number_in(device / "busnum").value_or(0);
      const std::int64_t number = number_in(device / "devnum").value_or(0);
      boards.push_back(
          {device.filename().string() + " serial " + text_of(device / "serial"),
           at("dev/bus/usb") / fmt::format("{:03}", bus) / fmt::format("{:03}", number),
           device / "power" / "control"});
    }
    return boards;
  }

  /// A path as it is called on the machine looked at.
  std::string name(const fs::path& path) const {
    return "/" + path.lexically_relative(s_.root).string();
  }

  // ---- USB -------------------------------------------------------------------------------------

  void check_usb() {
    if (has_usb_) return ok("USB", "there is a bus");
    not_applicable("USB", "none on this machine (a container?): mock boards and recordings only");
  }

  void check_rule() {
    if (!has_usb_) return not_applicable("udev rule", "no USB");
    // As udev does: the first folder that has the name counts.
    for (const char* folder : {"etc/udev/rules.d", "run/udev/rules.d", "usr/local/lib/udev/rules.d",
                               "usr/lib/udev/rules.d", "lib/udev/rules.d"}) {
      const fs::path file = at(folder) / kRule;
      if (is_there(file)) return check_rule(file);
    }
    problem("udev rule", "not installed: boards belong to root and may be put to sleep",
            fmt::format("sudo cp app/udev/{} /etc/udev/rules.d/; {}", kRule, kReloadUdev));
  }

  void check_rule(const fs::path& file) {
    std::string rules;
    for (const std::string& line : lines_of(file)) {
      if (!line.starts_with('#')) rules += line + '\n';
    }
    const std::string again =
        fmt::format("sudo cp app/udev/{} {}; {}", kRule, name(file), kReloadUdev);
    if (rules.find("0666") != std::string::npos) {
      return problem("udev rule", name(file) + " lets everybody pulse the chip (0666)", again);
    }
    for (const std::string_view part : {kVendor, kProduct, kGroup, std::string_view("\"uaccess\""),
                                        std::string_view("{power/control}=\"on\"")}) {
      if (rules.find(part) == std::string::npos) {
        return problem("udev rule", fmt::format("{} lacks {}", name(file), part), again);
      }
    }
    ok("udev rule", name(file));
  }

  /// Whether the user has a session at the machine's own screen and keyboard.
  bool sits_at_the_machine() const {
    for (const fs::path& session : entries_of(at("run/systemd/sessions"))) {
      const std::vector<std::string> lines = lines_of(session);
      const auto says = [&lines](const std::string& what) {
        return std::find(lines.begin(), lines.end(), what) != lines.end();
      };
      if (says("UID=" + std::to_string(s_.uid)) && says("ACTIVE=1") && says("SEAT=seat0")) {
        return true;
      }
    }
    return false;
  }

  bool is_member_on_file() const {
    for (const std::string& line : lines_of(at("etc/group"))) {
      if (!line.starts_with(std::string(kGroup) + ":")) continue;
      std::istringstream members(line.substr(line.rfind(':') + 1));
      for (std::string member; std::getline(members, member, ',');) {
        if (member == s_.user) return true;
      }
    }
    return false;
  }

  void check_groups() {
    const std::string check = "board access";
    if (!has_usb_) return not_applicable(check, "no USB");
    if (s_.uid == 0) return ok(check, "root may use every board");
    if (std::find(s_.groups.begin(), s_.groups.end(), kGroup) != s_.groups.end()) {
      return ok(check, fmt::format("{} is in group {}", s_.user, kGroup));
    }
    if (is_member_on_file()) {
      return problem(check,
                     fmt::format("{} is in group {}, but not in this session", s_.user, kGroup),
                     "log out and in again");
    }
    if (sits_at_the_machine()) {
      return warning(check, s_.user + " has boards only while sitting at this machine",
                     fmt::format("for runs that outlast it: sudo adduser {} {}; log out and in",
                                 s_.user, kGroup));
    }
    problem(check, fmt::format("{} is not in group {}", s_.user, kGroup),
            fmt::format("sudo adduser {} {}; log out and in", s_.user, kGroup));
  }

  void check_boards() {
    const std::string check = "boards";
    if (!has_usb_) return not_applicable(check, "no USB");
    if (boards_.empty()) {
      return warning(check, fmt::format("no board ({}:{}) is plugged in", kVendor, kProduct),
                     "check its cable and power; mock boards need none");
    }
    for (const Board& board : boards_) {
      std::error_code error;
      const fs::perms mode = fs::status(board.node, error).permissions();
      if (error || !is_there(board.node)) {
        problem(check, board.name + ": there is no " + name(board.node),
                "in a container: start it with --device /dev/bus/usb");
      } else if (!s_.may_write(board.node)) {
        problem(check, board.name + ": no permission for " + name(board.node),
                "mend \"udev rule\" and \"board access\" above, then plug it in again");
      } else if ((mode & fs::perms::others_write) != fs::perms::none) {
        warning(check, board.name + ": everybody on this machine may pulse the chip",
                "look for a udev rule with MODE=\"0666\" and take it away");
      } else {
        ok(check, board.name);
      }
    }
  }

  void check_autosuspend() {
    const std::string check = "USB autosuspend";
    if (!has_usb_) return not_applicable(check, "no USB");
    const std::int64_t default_s =
        number_in(at("sys/module/usbcore/parameters/autosuspend")).value_or(2);
    const std::string default_text =
        default_s < 0 ? "never by default" : fmt::format("after {} s by default", default_s);
    for (const Board& board : boards_) {
      if (text_of(board.control) == "on") continue;
      return problem(check, board.name + " may be put to sleep, " + default_text,
                     "echo on | sudo tee " + name(board.control) + "; and mend \"udev rule\"");
    }
    ok(check, boards_.empty() ? default_text : "no board is put to sleep");
  }

  void check_usb_memory() {
    // The driver's transfers take 1 MiB a board; other programs take from the same.
    constexpr std::int64_t kNeeded_MB = 2;
    const std::string check = "USB memory";
    const std::optional<std::int64_t> memory_MB =
        number_in(at("sys/module/usbcore/parameters/usbfs_memory_mb"));
    if (!has_usb_ || !memory_MB) return not_applicable(check, "no USB");
    if (*memory_MB == 0) return ok(check, "no limit; pcmlab takes 1 MiB a board");
    const std::string found =
        fmt::format("{} MiB for all devices; pcmlab takes 1 MiB a board", *memory_MB);
    if (*memory_MB >= kNeeded_MB) return ok(check, found);
    warning(check, found, "echo 16 | sudo tee /sys/module/usbcore/parameters/usbfs_memory_mb");
  }

  // ---- the database ----------------------------------------------------------------------------

  void check_disk() {
    constexpr std::uint64_t kProblem = 500'000'000;
    constexpr std::uint64_t kWarning = 5'000'000'000;
    const std::string check = "disk space";
    const fs::path folder = existing_part(s_.database.parent_path());
    const std::optional<std::uint64_t> bytes = s_.free_bytes(folder);
    if (!bytes) return warning(check, "unknown for " + folder.string(), "check it: df -h");
    const std::string found =
        fmt::format("{} free for {}", gigabytes(*bytes), s_.database.string());
    const std::string mend = "make room, or --database on another disk; a run takes about 0.1 GB";
    if (*bytes < kProblem) return problem(check, found, mend);
    if (*bytes < kWarning) return warning(check, found, mend);
    ok(check, found);
  }

  std::string file_system_of(const fs::path& folder) const {
    std::string type;
    std::size_t longest = 0;
    for (const std::string& line : lines_of(at("proc/self/mountinfo"))) {
      // ID PARENT DEVICE ROOT MOUNT-POINT OPTIONS [TAGS] - TYPE SOURCE OPTIONS
      std::istringstream fields(line);
      std::string field;
      std::string mount_point;
      for (int i = 0; i < 4; ++i) fields >> field;
      fields >> mount_point;
      while (fields >> field && field != "-") {
      }
      mount_point = unescaped(mount_point);
      // Of two on the same place the later one is on top.
      if (fields >> field && mount_point.size() >= longest && is_within(folder, mount_point)) {
        type = field;
        longest = mount_point.size();
      }
    }
    return type;
  }

  void check_file_system() {
    constexpr std::array<std::string_view, 14> kOfANetwork = {
        "nfs",  "nfs4",      "cifs",   "smb3",  "smbfs", "9p",   "afs",
        "ceph", "glusterfs", "lustre", "ncpfs", "ocfs2", "gfs2", "vboxsf"};
    const std::string check = "file system";
    std::error_code error;
    fs::path folder = fs::canonical(existing_part(s_.database.parent_path()), error);
    const std::string type = error ? std::string() : file_system_of(folder);
    if (type.empty()) {
      return warning(check, "unknown", "see that the database is on a disk of this machine");
    }
    const bool of_a_network =
        std::find(kOfANetwork.begin(), kOfANetwork.end(), type) != kOfANetwork.end() ||
        type.starts_with("fuse.");
    if (of_a_network && type != "fuse.mergerfs" && type != "fuse.ext2") {
      return problem(check, type + " cannot share SQLite's write-ahead log: results may be damaged",
                     "--database on a disk of this machine; copy the file when the run is done");
    }
    if (type == "tmpfs" || type == "ramfs") {
      return warning(check, type + ": the results are gone at power-off",
                     "--database on a disk of this machine");
    }
    ok(check, type);
  }

  void check_database() {
    const std::string check = "database";
    const fs::path folder = s_.database.parent_path().empty() ? "." : s_.database.parent_path();
    const fs::path there = existing_part(folder);
    const std::string mend =
        "choose another with --database, or: sudo chown -R " + s_.user + " " + there.string();
    if (!s_.may_write(there)) {
      return problem(check, "no permission to write in " + there.string(), mend);
    }
    for (const char* suffix : {"", "-wal", "-shm"}) {
      const fs::path file = s_.database.string() + suffix;
      if (is_there(file) && !s_.may_write(file)) {
        return problem(check, "no permission to write " + file.string(), mend);
      }
    }
    ok(check, s_.database.string() + (is_there(s_.database) ? "" : " (will be made)"));
  }

  // ---- the machine -----------------------------------------------------------------------------

  void check_clock() {
    const std::string check = "clock";
    if (is_there(at("run/systemd/timesync/synchronized")))
      return ok(check, "synchronised by systemd");
    const std::optional<bool> synchronised = s_.clock_is_synchronised();
    if (!synchronised) return not_applicable(check, "the kernel does not say");
    if (*synchronised) return ok(check, "synchronised");
    warning(check, "not synchronised: UTC stamps may be wrong (drift is measured by other clocks)",
            "sudo apt install systemd-timesyncd; sudo timedatectl set-ntp true");
  }

  /// The last setting counts, as in systemd.
  std::string idle_action() const {
    std::vector<fs::path> files = {at("etc/systemd/logind.conf")};
    for (const char* folder : {"usr/lib/systemd/logind.conf.d", "etc/systemd/logind.conf.d"}) {
      const std::vector<fs::path> more = entries_of(at(folder));
      files.insert(files.end(), more.begin(), more.end());
    }
    constexpr std::string_view kKey = "IdleAction=";
    std::string action;
    for (const fs::path& file : files) {
      for (const std::string& line : lines_of(file)) {
        if (line.starts_with(kKey)) action = line.substr(kKey.size());
      }
    }
    return action;
  }

  bool is_masked(const char* unit) const {
    for (const char* folder : {"etc/systemd/system", "run/systemd/system"}) {
      std::error_code error;
      if (fs::read_symlink(at(folder) / unit, error) == "/dev/null" && !error) return true;
    }
    return false;
  }

  void check_suspend() {
    const std::string check = "suspend";
    const std::string mend =
        "sudo systemctl mask sleep.target suspend.target; or for one run: systemd-inhibit pcmlab "
        "run ...";
    const std::string states = text_of(at("sys/power/state"));
    if (states.find("mem") == std::string::npos || !is_there(at("run/systemd/system"))) {
      return not_applicable(check, "this machine does not suspend");
    }
    if (is_masked("sleep.target") || is_masked("suspend.target")) return ok(check, "masked");
    const std::string action = idle_action();
    if (!action.empty() && action != "ignore" && action != "lock") {
      return problem(check, "IdleAction=" + action + " ends a night's run when nobody types", mend);
    }
    warning(check, "a desktop, a lid or a person can suspend this machine during a run", mend);
  }

  void check_processor() {
    const std::string check = "processor";
    std::string flags;
    for (const std::string& line : lines_of(at("proc/cpuinfo"))) {
      if (!line.starts_with("flags")) continue;
      flags = line.substr(line.find(':') + 1) + " ";
      break;
    }
    if (flags.empty()) return not_applicable(check, "the kernel does not say what it can");
    std::string has;
    std::string lacks;
    for (const char* feature : {"sse4_2", "avx2", "fma", "avx512_bf16"}) {
      const bool there = flags.find(fmt::format(" {} ", feature)) != std::string::npos;
      (there ? has : lacks) += fmt::format(" {}", feature);
    }
    if (lacks.find("sse4_2") != std::string::npos || lacks.find("avx2") != std::string::npos) {
      return warning(check, "lacks" + lacks + ": the mock chip and the network are slow",
                     "nothing is wrong with results; a newer processor is faster");
    }
    if (lacks.find("bf16") == std::string::npos) return ok(check, "has" + has);
    ok(check, "has" + has + "; without avx512_bf16 networks run in float32");
  }

  void check_shared_memory() {
    const std::string check = "/dev/shm";
    const fs::path folder = at("dev/shm");
    if (is_there(folder) && s_.may_write(folder)) return ok(check, "may be written");
    warning(check, is_there(folder) ? "no permission to write" : "is not there",
            "sudo mount -t tmpfs -o mode=1777 tmpfs /dev/shm");
  }

  const Surroundings& s_;
  bool has_usb_;
  std::vector<Board> boards_;
  std::vector<Finding> findings_;
};

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::Ok:
      return "ok";
    case Verdict::Warning:
      return "warning";
    case Verdict::Problem:
      return "problem";
    case Verdict::NotApplicable:
      return "not applicable";
  }
  return {};
}

Surroundings this_machine(const fs::path& database) {
  Surroundings surroundings;
  std::error_code error;
  surroundings.database = fs::absolute(database, error);
  if (error) surroundings.database = database;
  surroundings.uid = geteuid();
  const passwd* user = getpwuid(surroundings.uid);
  surroundings.user = user != nullptr ? user->pw_name : std::to_string(surroundings.uid);
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(getgroups(0, nullptr), 0)));
  if (getgroups(static_cast<int>(groups.size()), groups.data()) < 0) groups.clear();
  groups.push_back(getegid());
  for (const gid_t id : groups) {
    if (const group* entry = getgrgid(id)) surroundings.groups.emplace_back(entry->gr_name);
  }
  surroundings.may_write = [](const fs::path& path) {
    return eaccess(path.c_str(), R_OK | W_OK) == 0;
  };
  surroundings.free_bytes = [](const fs::path& folder) -> std::optional<std::uint64_t> {
    std::error_code unknown;
    const fs::space_info space = fs::space(folder, unknown);
    if (unknown) return std::nullopt;
    return space.available;
  };
  surroundings.clock_is_synchronised = []() -> std::optional<bool> {
    timex clock{};
    if (adjtimex(&clock) < 0) return std::nullopt;
    return (clock.status & STA_UNSYNC) == 0;
  };
  return surroundings;
}

std::vector<Finding> examine(const Surroundings& surroundings) {
  return Examination(surroundings).run();
}

std::string findings_text(const std::vector<Finding>& findings) {
  constexpr int kVerdictWidth = 9;
  std::size_t width = 0;
  for (const Finding& finding : findings) width = std::max(width, finding.check.size());
  std::string text;
  std::array<int, 4> count{};
  for (const Finding& finding : findings) {
    ++count.at(static_cast<std::size_t>(finding.verdict));
    std::string verdict(to_string(finding.verdict));
    if (finding.verdict == Verdict::NotApplicable) verdict = "-";
    if (finding.verdict == Verdict::Problem) verdict = "PROBLEM";
    text += fmt::format("{:<{}}{:<{}}  {}\n", verdict, kVerdictWidth, finding.check, width,
                        finding.found);
    if (!finding.mend.empty()) {
      text += fmt::format("{:<{}}-> {}\n", "", kVerdictWidth, finding.mend);
    }
  }
  const auto of = [&count](Verdict verdict) { return count.at(static_cast<std::size_t>(verdict)); };
  const int problems = of(Verdict::Problem);
  const int warnings = of(Verdict::Warning);
  return text + fmt::format("\n{} {}, {} {}, {} ok\n", problems,
                            problems == 1 ? "problem" : "problems", warnings,
                            warnings == 1 ? "warning" : "warnings", of(Verdict::Ok));
}

}  // namespace pcmlab::app
