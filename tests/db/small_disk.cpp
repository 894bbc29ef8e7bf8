// SPDX-License-Identifier: Apache-2.0
#include "tests/db/small_disk.h"

#include <algorithm>
#include <filesystem>

namespace pcmlab::db {

/// SQLite allocates it, with the real disk's own file behind it.
struct SmallDisk::File {
  sqlite3_file base;
  SmallDisk* disk;
  sqlite3_file* real;
};

struct SmallDiskMethods {
  using File = SmallDisk::File;

  static SmallDisk& disk_of(sqlite3_vfs* vfs) { return *static_cast<SmallDisk*>(vfs->pAppData); }
  static SmallDisk& disk_of(sqlite3_file* file) { return *reinterpret_cast<File*>(file)->disk; }
  static sqlite3_file* real(sqlite3_file* file) { return reinterpret_cast<File*>(file)->real; }

  static sqlite3_int64 size_of(sqlite3_file* file) {
    sqlite3_int64 size = 0;
    real(file)->pMethods->xFileSize(real(file), &size);
    return size;
  }

  static int close(sqlite3_file* file) { return real(file)->pMethods->xClose(real(file)); }
  static int read(sqlite3_file* file, void* data, int count, sqlite3_int64 offset) {
    return real(file)->pMethods->xRead(real(file), data, count, offset);
  }
  static int write(sqlite3_file* file, const void* data, int count, sqlite3_int64 offset) {
    SmallDisk& disk = disk_of(file);
    const sqlite3_int64 size = size_of(file);
    const sqlite3_int64 growth = std::max<sqlite3_int64>(0, offset + count - size);
    if (growth > disk.free_bytes_) {
      ++disk.failures_;
      const sqlite3_int64 end = size + disk.free_bytes_;
      if (end > offset) {
        real(file)->pMethods->xWrite(real(file), data, static_cast<int>(end - offset), offset);
        disk.free_bytes_ = 0;
      }
      return SQLITE_FULL;
    }
    disk.free_bytes_ -= growth;
    return real(file)->pMethods->xWrite(real(file), data, count, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    disk_of(file).free_bytes_ += std::max<sqlite3_int64>(0, size_of(file) - size);
    return real(file)->pMethods->xTruncate(real(file), size);
  }
  static int sync(sqlite3_file* file, int /*flags*/) {
    SmallDisk& disk = disk_of(file);
    if (disk.good_syncs_ == 0) {
      ++disk.failures_;
      return SQLITE_IOERR_FSYNC;
    }
    disk.good_syncs_ -= disk.good_syncs_ > 0 ? 1 : 0;
    return SQLITE_OK;  // no power is lost in these tests
  }
  static int file_size(sqlite3_file* file, sqlite3_int64* size) {
    return real(file)->pMethods->xFileSize(real(file), size);
  }
  static int lock(sqlite3_file* file, int kind) {
    return real(file)->pMethods->xLock(real(file), kind);
  }
  static int unlock(sqlite3_file* file, int kind) {
    return real(file)->pMethods->xUnlock(real(file), kind);
  }
  static int check_reserved_lock(sqlite3_file* file, int* result) {
    return real(file)->pMethods->xCheckReservedLock(real(file), result);
  }
  static int file_control(sqlite3_file* file, int operation, void* argument) {
    // Room asked for in advance would not be counted.
    if (operation == SQLITE_FCNTL_SIZE_HINT || operation == SQLITE_FCNTL_CHUNK_SIZE) {
      return SQLITE_OK;
    }
    return real(file)->pMethods->xFileControl(real(file), operation, argument);
  }
  static int sector_size(sqlite3_file* file) {
    return real(file)->pMethods->xSectorSize(real(file));
  }
  static int device_characteristics(sqlite3_file* file) {
    return real(file)->pMethods->xDeviceCharacteristics(real(file));
  }
  static int shm_map(sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, memory);
  }
  static int shm_lock(sqlite3_file* file, int offset, int count, int flags) {
    return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
  }
  static void shm_barrier(sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); }
  static int shm_unmap(sqlite3_file* file, int remove) {
    return real(file)->pMethods->xShmUnmap(real(file), remove);
  }

  static constexpr sqlite3_io_methods kMethods{
      .iVersion = 2,
      .xClose = close,
      .xRead = read,
      .xWrite = write,
      .xTruncate = truncate,
      .xSync = sync,
      .xFileSize = file_size,
      .xLock = lock,
      .xUnlock = unlock,
      .xCheckReservedLock = check_reserved_lock,
      .xFileControl = file_control,
      .xSectorSize = sector_size,
      .xDeviceCharacteristics = device_characteristics,
      .xShmMap = shm_map,
      .xShmLock = shm_lock,
      .xShmBarrier = shm_barrier,
      .xShmUnmap = shm_unmap,
      .xFetch = nullptr,
      .xUnfetch = nullptr,
  };

  static int open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* given) {
    auto* const opened = reinterpret_cast<File*>(file);
    opened->disk = &disk_of(vfs);
    opened->real = reinterpret_cast<sqlite3_file*>(opened + 1);
    const int result =
        disk_of(vfs).real_->xOpen(disk_of(vfs).real_, name, opened->real, flags, given);
    file->pMethods = opened->real->pMethods != nullptr ? &kMethods : nullptr;
    return result;
  }
  static int remove(sqlite3_vfs* vfs, const char* name, int sync_folder) {
    std::error_code failure;
    const auto size = std::filesystem::file_size(name, failure);
    const int result = disk_of(vfs).real_->xDelete(disk_of(vfs).real_, name, sync_folder);
    if (result == SQLITE_OK && !failure) {
      disk_of(vfs).free_bytes_ += static_cast<std::int64_t>(size);
    }
    return result;
  }
};

SmallDisk::SmallDisk(std::int64_t free_bytes)
    : real_(sqlite3_vfs_find(nullptr)), free_bytes_(free_bytes) {
  vfs_ = *real_;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
  vfs_.zName = "small-disk";
  vfs_.pAppData = this;
  vfs_.xOpen = SmallDiskMethods::open;
  vfs_.xDelete = SmallDiskMethods::remove;
  sqlite3_vfs_register(&vfs_, 1);
}

SmallDisk::~SmallDisk() { sqlite3_vfs_unregister(&vfs_); }

}  // namespace pcmlab::db
