// SPDX-License-Identifier: Apache-2.0
// Machines that are fit and unfit, as folders in the place of `/`.
#include "app/doctor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/app/command_line.h"

namespace pcmlab::app {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

std::string text_of(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// A lab PC with everything in order and one board, whose parts a test spoils.
class DoctorTest : public ::testing::Test {
 protected:
  DoctorTest() {
    write("sys/bus/usb/devices/usb1/idVendor", "1d6b\n");
    write("sys/bus/usb/devices/1-4/idVendor", "1209\n");
    write("sys/bus/usb/devices/1-4/idProduct", "0001\n");
    write("sys/bus/usb/devices/1-4/serial", "PCM0001\n");
    write("sys/bus/usb/devices/1-4/busnum", "1\n");
    write("sys/bus/usb/devices/1-4/devnum", "7\n");
    write("sys/bus/usb/devices/1-4/power/control", "on\n");
    write("sys/module/usbcore/parameters/autosuspend", "2\n");
    write("sys/module/usbcore/parameters/usbfs_memory_mb", "16\n");
    write("sys/power/state", "freeze mem disk\n");
    write("dev/bus/usb/001/007", "");
    fs::permissions(root() / "dev/bus/usb/001/007", fs::perms(0660));
    fs::create_directories(root() / "dev/shm");
    write("usr/lib/udev/rules.d/70-pcmlab.rules", text_of(PCMLAB_UDEV_RULE));
    write("run/systemd/timesync/synchronized", "");
    fs::create_directories(root() / "run/systemd/system");
    fs::create_directories(root() / "etc/systemd/system");
    fs::create_symlink("/dev/null", root() / "etc/systemd/system/sleep.target");
    write("proc/cpuinfo", "processor : 0\nflags\t\t: fpu sse4_2 fma avx2 avx512_bf16\n\n");
    mount("/", "ext4");
    s.root = root();
    s.database = folder / "data" / "pcmlab.db";
    s.user = "alice";
    s.uid = 1000;
    s.groups = {"alice", "plugdev"};
    s.may_write = [this](const fs::path& path) { return !forbidden.contains(path); };
    s.free_bytes = [this](const fs::path&) { return free_bytes; };
    s.clock_is_synchronised = [this] { return synchronised; };
  }

  fs::path root() const { return folder / "root"; }

  void write(const fs::path& file, const std::string& text) const {
    fs::create_directories((root() / file).parent_path());
    std::ofstream(root() / file) << text;
  }

  void mount(const std::string& on, const std::string& type) {
    mounts += "36 35 98:0 / " + on + " rw,noatime master:1 - " + type + " /dev/x rw\n";
    write("proc/self/mountinfo", mounts);
  }

  Finding finding(const std::string& check) const {
    const std::vector<Finding> all = examine(s);
    const auto found =
        std::ranges::find_if(all, [&](const Finding& f) { return f.check == check; });
    if (found == all.end()) throw std::runtime_error("no check " + check);
    return *found;
  }

  void expect(const std::string& check, Verdict verdict, const std::string& found,
              const std::string& mend = "") const {
    const Finding finding = this->finding(check);
    EXPECT_EQ(to_string(finding.verdict), to_string(verdict)) << check << ": " << finding.found;
    EXPECT_THAT(finding.found, HasSubstr(found));
    EXPECT_THAT(finding.mend, HasSubstr(mend));
    const bool to_be_mended = verdict == Verdict::Warning || verdict == Verdict::Problem;
    EXPECT_EQ(finding.mend.empty(), !to_be_mended) << "what is wrong has a way to mend it";
  }

  TemporaryFolder folder;
  Surroundings s;
  std::set<fs::path> forbidden;
  std::optional<std::uint64_t> free_bytes = 100'000'000'000;
  std::optional<bool> synchronised;
  std::string mounts;
};

TEST_F(DoctorTest, FindsNothingWrongWithAMachineInOrder) {
  for (const Finding& finding : examine(s)) {
    EXPECT_EQ(finding.verdict, Verdict::Ok) << finding.check << ": " << finding.found;
    EXPECT_TRUE(finding.mend.empty()) << finding.check;
  }
  expect("boards", Verdict::Ok, "1-4 serial PCM0001");
  expect("udev rule", Verdict::Ok, "/usr/lib/udev/rules.d/70-pcmlab.rules");
}

TEST_F(DoctorTest, AsksNothingOfUsbWhereThereIsNone) {
  fs::remove_all(root() / "sys/bus");
  s.groups.clear();
  for (const char* check :
       {"USB", "udev rule", "board access", "boards", "USB autosuspend", "USB memory"}) {
    expect(check, Verdict::NotApplicable, "");
  }
}

TEST_F(DoctorTest, MissesTheUdevRule) {
  fs::remove_all(root() / "usr/lib/udev");
  expect("udev rule", Verdict::Problem, "not installed", "sudo cp app/udev/70-pcmlab.rules");
}

TEST_F(DoctorTest, TakesTheUdevRuleThatUdevTakes) {
  write("etc/udev/rules.d/70-pcmlab.rules", "# nothing\n");
  expect("udev rule", Verdict::Problem, "/etc/udev/rules.d/70-pcmlab.rules lacks 1209");
  fs::remove_all(root() / "etc/udev");
  write("run/udev/rules.d/70-pcmlab.rules", text_of(PCMLAB_UDEV_RULE));
  expect("udev rule", Verdict::Ok, "/run/udev/rules.d");
}

TEST_F(DoctorTest, DislikesAUdevRuleForEverybody) {
  std::string rule = text_of(PCMLAB_UDEV_RULE);
  rule.replace(rule.find("0660"), 4, "0666");
  write("etc/udev/rules.d/70-pcmlab.rules", rule);
  expect("udev rule", Verdict::Problem, "everybody", "sudo cp");
}

TEST_F(DoctorTest, WantsTheUserInTheGroup) {
  s.groups = {"alice"};
  write("etc/group", "plugdev:x:46:bob,carol\n");
  expect("board access", Verdict::Problem, "alice is not in group plugdev",
         "adduser alice plugdev");
  write("etc/group", "plugdev:x:46:bob,alice\n");
  expect("board access", Verdict::Problem, "not in this session", "log out and in");
}

TEST_F(DoctorTest, WarnsWhenOnlyTheSeatGivesAccess) {
  s.groups = {"alice"};
  write("run/systemd/sessions/3", "UID=1000\nACTIVE=1\nSEAT=seat0\n");
  expect("board access", Verdict::Warning, "only while sitting", "adduser alice plugdev");
  write("run/systemd/sessions/3", "UID=1001\nACTIVE=1\nSEAT=seat0\n");
  expect("board access", Verdict::Problem, "not in group");
}

TEST_F(DoctorTest, LetsRootUseBoards) {
  s.uid = 0;
  s.groups.clear();
  expect("board access", Verdict::Ok, "root");
}

TEST_F(DoctorTest, MissesTheBoard) {
  fs::remove_all(root() / "sys/bus/usb/devices/1-4");
  expect("boards", Verdict::Warning, "no board (1209:0001)", "cable");
}

TEST_F(DoctorTest, SeesThatABoardMayNotBeOpened) {
  forbidden.insert(root() / "dev/bus/usb/001/007");
  expect("boards", Verdict::Problem, "no permission for /dev/bus/usb/001/007", "udev rule");
}

TEST_F(DoctorTest, SeesThatABoardHasNoNode) {
  fs::remove_all(root() / "dev/bus");
  expect("boards", Verdict::Problem, "there is no /dev/bus/usb/001/007", "--device");
}

TEST_F(DoctorTest, WarnsOfABoardThatEverybodyMayUse) {
  fs::permissions(root() / "dev/bus/usb/001/007", fs::perms(0666));
  expect("boards", Verdict::Warning, "everybody", "0666");
}

TEST_F(DoctorTest, SeesABoardThatMayBePutToSleep) {
  write("sys/bus/usb/devices/1-4/power/control", "auto\n");
  expect("USB autosuspend", Verdict::Problem, "after 2 s by default",
         "echo on | sudo tee /sys/bus/usb/devices/1-4/power/control");
  write("sys/module/usbcore/parameters/autosuspend", "-1\n");
  expect("USB autosuspend", Verdict::Problem, "never by default");
}

TEST_F(DoctorTest, WarnsOfLittleUsbMemory) {
  write("sys/module/usbcore/parameters/usbfs_memory_mb", "1\n");
  expect("USB memory", Verdict::Warning, "1 MiB for all devices", "echo 16");
  write("sys/module/usbcore/parameters/usbfs_memory_mb", "0\n");
  expect("USB memory", Verdict::Ok, "no limit");
}

TEST_F(DoctorTest, SeesAFullDisk) {
  free_bytes = 300'000'000;
  expect("disk space", Verdict::Problem, "0.3 GB", "make room");
  free_bytes = 3'000'000'000;
  expect("disk space", Verdict::Warning, "3.0 GB", "make room");
  free_bytes.reset();
  expect("disk space", Verdict::Warning, "unknown", "df");
}

TEST_F(DoctorTest, RefusesFileSystemsOfANetwork) {
  const std::string here = fs::canonical(folder / "").parent_path().string();
  for (const char* type : {"nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "9p"}) {
    mount(here, type);
    expect("file system", Verdict::Problem, type, "--database");
  }
  mount(here, "btrfs");
  expect("file system", Verdict::Ok, "btrfs");
  mount(here, "tmpfs");
  expect("file system", Verdict::Warning, "gone at power-off", "--database");
  mount(here + "beside", "nfs");
  expect("file system", Verdict::Warning, "tmpfs", "");
}

TEST_F(DoctorTest, SeesThatTheDatabaseCannotBeWritten) {
  expect("database", Verdict::Ok, "will be made");
  forbidden.insert(folder / "");
  forbidden.insert((folder / "").parent_path());
  expect("database", Verdict::Problem, "no permission to write in", "--database");
  forbidden.clear();
  fs::create_directories(folder / "data");
  folder.file("data/pcmlab.db", "");
  folder.file("data/pcmlab.db-wal", "");
  expect("database", Verdict::Ok, "pcmlab.db");
  forbidden.insert(folder / "data" / "pcmlab.db-wal");
  expect("database", Verdict::Problem, "pcmlab.db-wal", "chown");
}

TEST_F(DoctorTest, WarnsOfAClockThatNobodySets) {
  fs::remove(root() / "run/systemd/timesync/synchronized");
  expect("clock", Verdict::NotApplicable, "");
  synchronised = true;
  expect("clock", Verdict::Ok, "synchronised");
  synchronised = false;
  expect("clock", Verdict::Warning, "not synchronised", "timedatectl");
}

TEST_F(DoctorTest, WarnsThatTheMachineCanBeSuspended) {
  fs::remove(root() / "etc/systemd/system/sleep.target");
  expect("suspend", Verdict::Warning, "can suspend", "systemctl mask sleep.target");
  write("etc/systemd/logind.conf", "[Login]\n#IdleAction=hibernate\nIdleAction=ignore\n");
  expect("suspend", Verdict::Warning, "can suspend", "");
  write("etc/systemd/logind.conf.d/night.conf", "[Login]\nIdleAction=suspend\n");
  expect("suspend", Verdict::Problem, "IdleAction=suspend", "systemd-inhibit");
  write("sys/power/state", "freeze\n");
  expect("suspend", Verdict::NotApplicable, "");
}

TEST_F(DoctorTest, SaysWhatTheProcessorLacks) {
  write("proc/cpuinfo", "flags : fpu sse4_2 fma avx2\n");
  expect("processor", Verdict::Ok, "float32");
  write("proc/cpuinfo", "flags : fpu avx2_not\n");
  expect("processor", Verdict::Warning, "lacks sse4_2 avx2", "newer processor");
  write("proc/cpuinfo", "");
  expect("processor", Verdict::NotApplicable, "");
}

TEST_F(DoctorTest, WantsSharedMemory) {
  forbidden.insert(root() / "dev/shm");
  expect("/dev/shm", Verdict::Warning, "no permission", "mount");
  fs::remove_all(root() / "dev/shm");
  expect("/dev/shm", Verdict::Warning, "not there", "mount");
}

TEST_F(DoctorTest, WritesAlignedLinesWithTheRemedyBelow) {
  const std::vector<Finding> findings = {{"USB", Verdict::Ok, "there is a bus", ""},
                                         {"boards", Verdict::Problem, "none", "plug it in"},
                                         {"clock", Verdict::NotApplicable, "silent", ""},
                                         {"disk", Verdict::Warning, "full soon", "make room"}};
  EXPECT_EQ(findings_text(findings),
            "ok       USB     there is a bus\n"
            "PROBLEM  boards  none\n"
            "         -> plug it in\n"
            "-        clock   silent\n"
            "warning  disk    full soon\n"
            "         -> make room\n"
            "\n1 problem, 1 warning, 1 ok\n");
}

TEST_F(DoctorTest, ProgramEndsWith7WhenThereIsAProblemAndWith0WhenThereIsNone) {
  const std::string database = (folder / "pcmlab.db").string();
  const CommandResult fit = pcmlab({"doctor", "--root", root().string(), "--database", database});
  EXPECT_EQ(fit.exit_code, 0) << fit.out << fit.err;
  EXPECT_THAT(fit.out, HasSubstr("0 problems"));

  write("sys/bus/usb/devices/1-4/power/control", "auto\n");
  const CommandResult unfit = pcmlab({"doctor", "--root", root().string(), "--database", database});
  EXPECT_EQ(unfit.exit_code, 7);
  EXPECT_THAT(unfit.out, HasSubstr("PROBLEM  USB autosuspend"));
  EXPECT_THAT(unfit.out, HasSubstr("-> echo on"));
  EXPECT_EQ(unfit.err, "");
  EXPECT_FALSE(fs::exists(database)) << "it changes nothing";
}

TEST(Doctor, LooksAtThisMachine) {
  const TemporaryFolder folder;
  const CommandResult result =
      pcmlab({"doctor", "--json", "--database", (folder / "pcmlab.db").string()});
  const auto findings = nlohmann::json::parse(result.out);
  ASSERT_GE(findings.size(), 12U);
  bool problem = false;
  for (const auto& finding : findings) {
    const std::string verdict = finding.at("verdict");
    const bool to_be_mended = verdict == "warning" || verdict == "problem";
    EXPECT_EQ(finding.at("mend").get<std::string>().empty(), !to_be_mended) << finding;
    problem = problem || verdict == "problem";
  }
  EXPECT_EQ(result.exit_code, problem ? 7 : 0);
}

TEST(UdevRule, LetsTheSeatAndOneGroupUseTheBoardAndNobodyElse) {
  const std::string rules = text_of(PCMLAB_UDEV_RULE);
  EXPECT_THAT(rules, Not(HasSubstr("0666")));
  std::istringstream lines(rules);
  std::string rule;
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    rule = line;
    ++count;
  }
  EXPECT_EQ(count, 1);
  for (const char* part :
       {R"(SUBSYSTEM=="usb")", R"(ENV{DEVTYPE}=="usb_device")", R"(ATTR{idVendor}=="1209")",
        R"(ATTR{idProduct}=="0001")", R"(MODE="0660")", R"(GROUP="plugdev")", R"(TAG+="uaccess")",
        R"(ATTR{power/control}="on")"}) {
    EXPECT_THAT(rule, HasSubstr(part));
  }
}

}  // namespace
}  // namespace pcmlab::app
