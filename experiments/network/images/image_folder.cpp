// SPDX-License-Identifier: Apache-2.0
// Folders of images, one folder a class.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <thread>

#include "experiments/network/dataset.h"
#include "experiments/network/images/image_file.h"
#include "experiments/network/images/input_file.h"
#include "experiments/network/images/resize.h"
#include "experiments/network/share_jobs.h"

namespace pcmlab {
namespace {

namespace fs = std::filesystem;

constexpr const char* kAdvice =
    "Give a folder that holds val/CLASS/*.jpg or *.png, one folder a class (train/CLASS/... for "
    "the "
    "training images), or CLASS/... itself. ImageNet's validation images can be had from "
    "image-net.org (ILSVRC2012); sort them into one folder a class by their synset names.";

class ImagesOnDisk : public ImageSource {
 public:
  ImagesOnDisk(std::vector<fs::path> files, FolderLayout layout)
      : files_(std::move(files)), layout_(layout) {}

  Result<void> read(std::size_t first, std::size_t count, const Normalisation& normalisation,
                    std::span<float> pixels) const override {
    const std::size_t size =
        3 * static_cast<std::size_t>(layout_.height) * static_cast<std::size_t>(layout_.width);
    std::vector<std::uint8_t> bytes(size);
    for (std::size_t i = 0; i < count; ++i) {
      const fs::path& path = files_[first + i];
      PCM_ASSIGN(const auto file, read_file(path));
      PCM_ASSIGN(const RgbImage image, decode_image(file, path.string()));
      resize_and_crop(image, layout_, bytes);
      normalise(bytes, size, normalisation, pixels.subspan(i * size, size));
    }
    return {};
  }

 private:
  std::vector<fs::path> files_;
  FolderLayout layout_;
};

bool is_image(const fs::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

/// What a folder holds, by name; hidden entries are none of it.
Result<std::vector<fs::path>> entries_of(const fs::path& folder) {
  std::error_code status;
  std::vector<fs::path> entries;
  for (fs::directory_iterator at(folder, status), end; !status && at != end; at.increment(status)) {
    if (!at->path().filename().string().starts_with('.')) entries.push_back(at->path());
  }
  if (status) {
    return fail(ErrorCode::Io,
                fmt::format("cannot list {}: {}", folder.string(), status.message()));
  }
  std::sort(entries.begin(), entries.end());
  return entries;
}

/// The images of each class, and how many other files lie beside them.
struct Classes {
  fs::path folder;
  std::vector<std::vector<fs::path>> files;
  std::size_t images = 0;
  std::size_t others = 0;
};

Result<Classes> find_classes(const fs::path& folder, Split split) {
  std::error_code status;
  if (!fs::is_directory(folder, status)) {
    return fail(ErrorCode::NotFound,
                fmt::format("image folder: there is no folder {}", folder.string()), kAdvice);
  }
  Classes classes;
  classes.folder = folder / (split == Split::Train ? "train" : "val");
  if (!fs::is_directory(classes.folder, status)) {
    if (split == Split::Train) {
      return fail(ErrorCode::NotFound,
                  fmt::format("image folder: training images are wanted, but there is no folder {}",
                              classes.folder.string()),
                  kAdvice);
    }
    classes.folder = folder;
  }
  PCM_ASSIGN(const auto folders, entries_of(classes.folder));
  for (const fs::path& entry : folders) {
    if (!fs::is_directory(entry, status)) {
      ++classes.others;
      continue;
    }
    PCM_ASSIGN(auto files, entries_of(entry));
    const std::size_t all = files.size();
    std::erase_if(files, [](const fs::path& path) { return !is_image(path); });
    classes.others += all - files.size();
    classes.images += files.size();
    classes.files.push_back(std::move(files));
  }
  if (classes.images == 0) {
    return fail(ErrorCode::NotFound,
                fmt::format("image folder: {} holds {} class folders and no image in them",
                            classes.folder.string(), classes.files.size()),
                kAdvice);
  }
  constexpr std::size_t kMostClasses = 65536;
  if (classes.files.size() > kMostClasses) {
    return fail(ErrorCode::BadFile,
                fmt::format("image folder: {} holds {} class folders, at most {} are allowed",
                            classes.folder.string(), classes.files.size(), kMostClasses),
                kAdvice);
  }
  return classes;
}

/// One SHA-256 over lines of "SHA-256 of a file  its name below the folder", or of names alone.
std::string hash_of_list(const std::vector<fs::path>& files, const fs::path& folder,
                         const std::vector<std::string>& hashes) {
  Sha256 all;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string name = files[i].lexically_relative(folder).string();
    const std::string line =
        hashes.empty() ? name + "\n" : fmt::format("{}  {}\n", hashes[i], name);
    all.update(std::as_bytes(std::span(line)));
  }
  return all.hex();
}

/// Decodes every image once, on all cores. \return the SHA-256 of each file.
Result<std::vector<std::string>> check_all(const std::vector<fs::path>& files) {
  std::vector<std::string> hashes(files.size());
  PCM_TRY(share_jobs(std::thread::hardware_concurrency(), files.size(),
                     [&](std::size_t, std::size_t i) -> Result<void> {
                       PCM_ASSIGN(const auto file, read_file(files[i]));
                       PCM_TRY(decode_image(file, files[i].string()));
                       hashes[i] = sha256_hex(std::as_bytes(std::span(file)));
                       return {};
                     }));
  return hashes;
}

}  // namespace

Result<Dataset> load_image_folder(const fs::path& folder, Split split, std::size_t limit,
                                  FolderLayout layout) {
  if (layout.shorter_side < std::max(layout.height, layout.width)) {
    return fail(ErrorCode::BadPlan,
                fmt::format("image folder: {}x{} pixels cannot be cut out of images whose shorter "
                            "side is {}",
                            layout.height, layout.width, layout.shorter_side),
                "set shorter_side_px to the side of the network's images or more");
  }
  PCM_ASSIGN(const Classes classes, find_classes(folder, split));

  Dataset set;
  std::vector<fs::path> files;
  const std::size_t count = limited(classes.images, limit);
  // One image of each class in turn: any first part of the set is as mixed as can be.
  for (std::size_t round = 0; files.size() < count; ++round) {
    for (std::size_t label = 0; label < classes.files.size() && files.size() < count; ++label) {
      if (round >= classes.files[label].size()) continue;
      files.push_back(classes.files[label][round]);
      set.labels.push_back(static_cast<std::uint16_t>(label));
    }
  }
  set.name = fmt::format("image-folder {}", to_string(split));
  set.description =
      fmt::format("{} of {} images in {} classes, one of each class in turn, from {}; ", count,
                  classes.images, classes.files.size(), classes.folder.string());
  if (split == Split::Test) {
    PCM_ASSIGN(const auto hashes, check_all(files));
    set.description += fmt::format("sha256 of the list of sha256 and names {}",
                                   hash_of_list(files, classes.folder, hashes));
  } else {
    set.description += fmt::format("sha256 of the list of names {}, contents not looked at",
                                   hash_of_list(files, classes.folder, {}));
  }
  set.description += fmt::format("; {} other files passed over", classes.others);
  set.channels = 3;
  set.height = layout.height;
  set.width = layout.width;
  set.classes = static_cast<int>(classes.files.size());
  set.normalisation = {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}};
  set.source = std::make_shared<ImagesOnDisk>(std::move(files), layout);
  return set;
}

}  // namespace pcmlab
