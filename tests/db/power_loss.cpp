// SPDX-License-Identifier: Apache-2.0
#include "tests/db/power_loss.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string_view>

namespace pcmlab::db {
namespace {

/// What a disk writes whole or not; here even that is torn.
constexpr std::size_t kSectorBytes = 512;

using Bytes = std::vector<unsigned char>;

void put(Bytes& into, std::size_t offset, const unsigned char* data, std::size_t count) {
  if (into.size() < offset + count) into.resize(offset + count);
  std::memcpy(into.data() + offset, data, count);
}

}  // namespace

struct MemoryDisk::File {
  struct Change {
    bool truncates = false;
    std::size_t offset = 0;  ///< or the new size
    Bytes bytes{};
  };

  Bytes now;                                  ///< as the program sees it
  Bytes synced;                               ///< as it is certain to be
  std::vector<Change> changes;                ///< since then
  std::vector<std::unique_ptr<Bytes>> index;  ///< regions of the shared memory

  void sync() {
    synced = now;
    changes.clear();
  }
};

struct MemoryDisk::Handle {
  sqlite3_file base;
  MemoryDisk* disk;
  std::shared_ptr<File>* file;
  bool index_is_new;
};

struct MemoryDiskMethods {
  using Handle = MemoryDisk::Handle;
  using Call = MemoryDisk::Call;

  static MemoryDisk& disk_of(sqlite3_vfs* vfs) { return *static_cast<MemoryDisk*>(vfs->pAppData); }
  static Handle& handle_of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }
  static MemoryDisk::File& file_of(sqlite3_file* file) { return **handle_of(file).file; }

  static int close(sqlite3_file* file) {
    delete handle_of(file).file;
    return SQLITE_OK;
  }

  static int read(sqlite3_file* file, void* data, int count, sqlite3_int64 offset) {
    const Bytes& bytes = file_of(file).now;
    const auto wanted = static_cast<std::size_t>(count);
    const auto from = std::min(bytes.size(), static_cast<std::size_t>(offset));
    const std::size_t there = std::min(wanted, bytes.size() - from);
    std::memset(data, 0, wanted);
    if (there > 0) std::memcpy(data, bytes.data() + from, there);
    return there == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
  }

  static int write(sqlite3_file* file, const void* data, int count, sqlite3_int64 offset) {
    if (!handle_of(file).disk->allow(Call::Write)) return SQLITE_IOERR_WRITE;
    MemoryDisk::File& of = file_of(file);
    const auto* const bytes = static_cast<const unsigned char*>(data);
    put(of.now, static_cast<std::size_t>(offset), bytes, static_cast<std::size_t>(count));
    of.changes.push_back({false, static_cast<std::size_t>(offset), Bytes(bytes, bytes + count)});
    return SQLITE_OK;
  }

  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    if (!handle_of(file).disk->allow(Call::Truncate)) return SQLITE_IOERR_TRUNCATE;
    MemoryDisk::File& of = file_of(file);
    of.now.resize(static_cast<std::size_t>(size));
    of.changes.push_back({true, static_cast<std::size_t>(size)});
    return SQLITE_OK;
  }

  static int sync(sqlite3_file* file, int /*flags*/) {
    if (!handle_of(file).disk->allow(Call::Sync)) return SQLITE_IOERR_FSYNC;
    file_of(file).sync();
    return SQLITE_OK;
  }

  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    *size = static_cast<sqlite3_int64>(file_of(file).now.size());
    return SQLITE_OK;
  }

  // One connection at a time: all locks are free.
  static int lock(sqlite3_file* /*file*/, int /*level*/) { return SQLITE_OK; }
  static int check_reserved(sqlite3_file* /*file*/, int* reserved) {
    *reserved = 0;
    return SQLITE_OK;
  }
  static int control(sqlite3_file* /*file*/, int /*operation*/, void* /*argument*/) {
    return SQLITE_NOTFOUND;
  }
  static int sector_size(sqlite3_file* /*file*/) { return static_cast<int>(kSectorBytes); }
  static int characteristics(sqlite3_file* /*file*/) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

  static int shm_map(sqlite3_file* file, int region, int bytes, int extend,
                     void volatile** memory) {
    auto& index = file_of(file).index;
    const auto at = static_cast<std::size_t>(region);
    *memory = nullptr;
    if (at >= index.size()) {
      if (extend == 0) return SQLITE_OK;
      while (index.size() <= at) {
        index.push_back(std::make_unique<Bytes>(static_cast<std::size_t>(bytes)));
      }
    }
    *memory = index[at]->data();
    return SQLITE_OK;
  }
  static int shm_lock(sqlite3_file* /*file*/, int /*first*/, int /*count*/, int /*flags*/) {
    return SQLITE_OK;
  }
  static void shm_barrier(sqlite3_file* /*file*/) {}
  static int shm_unmap(sqlite3_file* file, int /*remove*/) {
    file_of(file).index.clear();
    return SQLITE_OK;
  }

  static int open(sqlite3_vfs* vfs, sqlite3_filename name, sqlite3_file* file, int flags,
                  int* out_flags) {
    static constexpr sqlite3_io_methods kMethods{2,
                                                 close,
                                                 read,
                                                 write,
                                                 truncate,
                                                 sync,
                                                 file_size,
                                                 lock,
                                                 lock,
                                                 check_reserved,
                                                 control,
                                                 sector_size,
                                                 characteristics,
                                                 shm_map,
                                                 shm_lock,
                                                 shm_barrier,
                                                 shm_unmap,
                                                 nullptr,
                                                 nullptr};
    MemoryDisk& disk = disk_of(vfs);
    file->pMethods = nullptr;
    if (!disk.has_power()) return SQLITE_CANTOPEN;
    if (disk.fails(Call::Open)) return SQLITE_IOERR;
    std::shared_ptr<MemoryDisk::File> opened;
    if (name == nullptr) {
      opened = std::make_shared<MemoryDisk::File>();
    } else {
      const auto found = disk.files_.find(name);
      if (found != disk.files_.end()) {
        opened = found->second;
      } else if ((flags & SQLITE_OPEN_CREATE) != 0) {
        opened = disk.files_[name] = std::make_shared<MemoryDisk::File>();
      } else {
        return SQLITE_CANTOPEN;
      }
    }
    Handle& handle = handle_of(file);
    handle.disk = &disk;
    handle.file = new std::shared_ptr<MemoryDisk::File>(std::move(opened));
    if (out_flags != nullptr) *out_flags = flags;
    file->pMethods = &kMethods;
    return SQLITE_OK;
  }

  static int remove(sqlite3_vfs* vfs, const char* name, int /*sync*/) {
    MemoryDisk& disk = disk_of(vfs);
    if (!disk.has_power()) return SQLITE_IOERR_DELETE;
    return disk.files_.erase(name) > 0 ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
  }

  static int access(sqlite3_vfs* vfs, const char* name, int flags, int* result) {
    const auto& files = disk_of(vfs).files_;
    const auto found = files.find(name);
    *result = found != files.end() && (flags != SQLITE_ACCESS_EXISTS || !found->second->now.empty())
                  ? 1
                  : 0;
    return SQLITE_OK;
  }
};

MemoryDisk::MemoryDisk() {
  vfs_ = *sqlite3_vfs_find(nullptr);
  vfs_.zName = "memory-disk";
  vfs_.pAppData = this;
  vfs_.pNext = nullptr;
  vfs_.szOsFile = sizeof(Handle);
  vfs_.xOpen = MemoryDiskMethods::open;
  vfs_.xDelete = MemoryDiskMethods::remove;
  vfs_.xAccess = MemoryDiskMethods::access;
  sqlite3_vfs_register(&vfs_, 1);
}

MemoryDisk::~MemoryDisk() { sqlite3_vfs_unregister(&vfs_); }

void MemoryDisk::fail_at(Call kind, std::int64_t nth) {
  fail_kind_ = kind;
  fail_left_ = nth;
  failed_ = false;
}

bool MemoryDisk::fails(Call kind) {
  if (kind != fail_kind_ || fail_left_ == 0 || --fail_left_ > 0) return false;
  failed_ = true;
  return true;
}

bool MemoryDisk::allow(Call kind) {
  if (calls_left_ > 0) --calls_left_;
  return has_power() && !fails(kind);
}

void MemoryDisk::restart(std::mt19937_64& random) {
  calls_left_ = -1;
  for (auto& [name, file] : files_) {
    // Whole changes, and sectors of one change, come in any order, or not at all.
    std::vector<File::Change> pieces;
    for (const File::Change& change : file->changes) {
      if (change.truncates) {
        pieces.push_back(change);
        continue;
      }
      for (std::size_t done = 0; done < change.bytes.size();) {
        const std::size_t at = change.offset + done;
        const std::size_t count =
            std::min(kSectorBytes - at % kSectorBytes, change.bytes.size() - done);
        const auto from = change.bytes.begin() + static_cast<std::ptrdiff_t>(done);
        pieces.push_back({false, at, Bytes(from, from + static_cast<std::ptrdiff_t>(count))});
        done += count;
      }
    }
    std::shuffle(pieces.begin(), pieces.end(), random);
    // Nothing, all, or any part of it had reached the disk.
    const std::uint64_t kept_in_8 = random() % 9;
    Bytes bytes = file->synced;
    for (const File::Change& piece : pieces) {
      if (random() % 8 >= kept_in_8) continue;
      if (piece.truncates) {
        bytes.resize(piece.offset);
        continue;
      }
      const bool torn = random() % 16 == 0;
      put(bytes, piece.offset, piece.bytes.data(),
          torn ? random() % piece.bytes.size() : piece.bytes.size());
    }
    file->now = std::move(bytes);
    file->index.clear();
    file->sync();
  }
}

}  // namespace pcmlab::db
