// SPDX-License-Identifier: Apache-2.0
#include "db/file_system.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

namespace pcmlab::db {
namespace {

/// Magic numbers of statfs(2), linux/magic.h and the file systems' own sources.
constexpr std::uint32_t kFuse = 0x65735546;
constexpr std::array<std::pair<std::uint32_t, const char*>, 14> kNetworkFileSystems{
    {{0x6969, "NFS"},
     {0x517B, "SMB"},
     {0xFF534D42, "CIFS"},
     {0xFE534D42, "SMB"},
     {0x01021997, "9P"},
     {0x00C36400, "Ceph"},
     {0x73757245, "Coda"},
     {0x5346414F, "AFS"},
     {0x6B414653, "AFS"},
     {0x0BD00BD0, "Lustre"},
     {0x47504653, "GPFS"},
     {0x19830326, "BeeGFS"},
     {0x01161970, "GFS2"},
     {0x7461636F, "OCFS2"}}};

/// Type of the mount with this device number; a line of /proc/self/mountinfo:
/// "36 35 0:45 / /mnt rw,noatime shared:1 - fuse.sshfs host:/ rw".
std::string mount_type(dev_t device) {
  const std::string wanted = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, number, word;
    fields >> id >> parent >> number;
    if (number != wanted) continue;
    while (fields >> word && word != "-") {
    }
    fields >> word;
    return word;
  }
  return {};
}

/// Many file systems are FUSE; a disk of this machine is "fuseblk", a container's is an overlay.
bool is_local(const std::string& fuse_type) {
  return fuse_type == "fuseblk" || fuse_type == "fuse.fuse-overlayfs";
}

std::string network_name_of(const FileSystem& of) {
  if (of.magic == kFuse) {
    return is_local(of.mounted_as) ? "" : of.mounted_as.empty() ? "FUSE" : of.mounted_as;
  }
  const auto* const found =
      std::find_if(kNetworkFileSystems.begin(), kNetworkFileSystems.end(),
                   [&](const auto& known) { return known.first == of.magic; });
  return found == kNetworkFileSystems.end() ? "" : found->second;
}

}  // namespace

std::optional<FileSystem> file_system_of(const std::filesystem::path& file_or_folder) {
  struct statfs system {};
  struct stat file {};
  if (::statfs(file_or_folder.c_str(), &system) != 0 ||
      ::stat(file_or_folder.c_str(), &file) != 0) {
    return std::nullopt;
  }
  FileSystem of{static_cast<std::uint32_t>(system.f_type)};
  if (of.magic == kFuse) of.mounted_as = mount_type(file.st_dev);
  return of;
}

Result<void> refuse_network_file_system(const std::filesystem::path& file,
                                        const FileSystemOf& file_system) {
  std::error_code failure;
  const bool is_there = std::filesystem::exists(file, failure);
  const auto of =
      file_system(is_there ? file : std::filesystem::absolute(file, failure).parent_path());
  if (!of) {
    return {};
  }
  const std::string name = network_name_of(*of);
  if (name.empty()) {
    return {};
  }
  return fail(ErrorCode::Io,
              "opening " + file.string() + " for writing: it is on a network file system, " + name +
                  ", where a run would damage it",
              "Keep the database on a disk of this machine (--database FILE); pcmlab backup copies "
              "it to the network, also during a run.");
}

}  // namespace pcmlab::db
