// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <span>

#include "experiments/network/onnx_writer.h"
#include "experiments/network/sha256.h"
#include "experiments/network/training/atomic_file.h"
#include "experiments/network/training/trainable.h"

namespace pcmlab::training {
namespace {

using nlohmann::json;

constexpr std::string_view kMagic = "pcmlab training checkpoint 1\n";
constexpr std::string_view kMagicOfAnyVersion = "pcmlab training checkpoint ";
constexpr std::size_t kHashSize = 64;
constexpr std::size_t kKept = 2;
constexpr const char* kExtension = ".pcmtrain";

json to_json(const EpochResult& epoch) {
  return {{"epoch", epoch.epoch},
          {"loss", epoch.loss},
          {"train_accuracy", epoch.train_accuracy},
          {"test_accuracy", epoch.test_accuracy},
          {"learning_rate", epoch.learning_rate},
          {"seconds", epoch.seconds},
          {"images_per_s", epoch.images_per_s}};
}

EpochResult epoch_from(const json& from) {
  return {from.at("epoch"),         from.at("loss"),          from.at("train_accuracy"),
          from.at("test_accuracy"), from.at("learning_rate"), from.at("seconds"),
          from.at("images_per_s")};
}

void append(std::vector<std::byte>& to, std::span<const std::byte> bytes) {
  to.insert(to.end(), bytes.begin(), bytes.end());
}

std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

tl::unexpected<Error> bad(const std::filesystem::path& file, const std::string& what) {
  return fail(ErrorCode::BadFile, fmt::format("{}: {}", file.string(), what),
              "remove it; the checkpoint before it is used if there is one");
}

Result<std::vector<std::byte>> bytes_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return fail(ErrorCode::NotFound, fmt::format("cannot open the checkpoint {}", file.string()));
  }
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (stream.bad()) {
    return fail(ErrorCode::Io, fmt::format("cannot read the checkpoint {}", file.string()),
                "check the disk");
  }
  const auto bytes = std::as_bytes(std::span(text));
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

/// The header's numbers and texts. Throws json::exception.
Checkpoint from_header(const json& header) {
  Checkpoint c;
  c.settings = header.at("settings");
  c.noise_model = header.at("noise_model");
  c.data = header.at("data");
  c.threads = header.at("threads");
  c.epoch = header.at("epoch");
  c.step = header.at("step");
  c.total_steps = header.at("total_steps");
  c.loss_sum = header.at("loss_sum");
  c.correct = header.at("correct");
  c.seen = header.at("seen");
  c.seconds = header.at("seconds");
  for (const json& epoch : header.at("history")) c.history.push_back(epoch_from(epoch));
  return c;
}

}  // namespace

std::string epoch_as_json(const EpochResult& epoch) { return to_json(epoch).dump(); }

Result<std::filesystem::path> save_checkpoint(const std::filesystem::path& folder,
                                              const Checkpoint& c) {
  PCM_ASSIGN(const std::vector<std::byte> onnx, to_onnx(c.network));
  json history = json::array();
  for (const EpochResult& epoch : c.history) history.push_back(to_json(epoch));
  const json header{{"settings", c.settings},
                    {"noise_model", c.noise_model},
                    {"data", c.data},
                    {"threads", c.threads},
                    {"epoch", c.epoch},
                    {"step", c.step},
                    {"total_steps", c.total_steps},
                    {"loss_sum", c.loss_sum},
                    {"correct", c.correct},
                    {"seen", c.seen},
                    {"seconds", c.seconds},
                    {"history", history},
                    {"network", c.network.name},
                    {"network_bytes", onnx.size()},
                    {"momentum_count", c.momentum.size()}};
  const std::string text = header.dump();
  const std::uint64_t size = text.size();
  std::vector<std::byte> bytes;
  append(bytes, std::as_bytes(std::span(kMagic)));
  append(bytes, std::as_bytes(std::span(&size, 1)));
  append(bytes, std::as_bytes(std::span(text)));
  append(bytes, onnx);
  append(bytes, std::as_bytes(std::span(c.momentum)));
  const std::string hash = sha256_hex(bytes);
  append(bytes, std::as_bytes(std::span(hash)));
  const auto file = folder / fmt::format("checkpoint-{:09}{}", c.total_steps, kExtension);
  PCM_TRY(replace_file(file, bytes));
  const auto all = checkpoints_in(folder);
  for (std::size_t i = kKept; i < all.size(); ++i) {
    std::error_code ignored;
    std::filesystem::remove(all[i], ignored);
  }
  return file;
}

Result<Checkpoint> load_checkpoint(const std::filesystem::path& file) {
  PCM_ASSIGN(const std::vector<std::byte> bytes, bytes_of(file));
  const std::string_view all = text_of(bytes);
  if (!all.starts_with(kMagic)) {
    if (all.starts_with(kMagicOfAnyVersion)) {
      return fail(ErrorCode::Unsupported,
                  fmt::format("{} was written by a newer pcmlab-train", file.string()),
                  "use that one");
    }
    return bad(file, "not a checkpoint of pcmlab-train");
  }
  std::uint64_t header_size = 0;
  const std::size_t head = kMagic.size() + sizeof header_size;
  if (all.size() < head + kHashSize) return bad(file, "cut short");
  const std::size_t content = all.size() - kHashSize;
  if (sha256_hex(std::span(bytes).first(content)) != all.substr(content)) {
    return bad(file, "cut short or damaged: its checksum is wrong");
  }
  std::memcpy(&header_size, bytes.data() + kMagic.size(), sizeof header_size);
  try {
    const json header = json::parse(all.substr(head, header_size));
    Checkpoint c = from_header(header);
    const std::size_t network_bytes = header.at("network_bytes");
    c.momentum.resize(header.at("momentum_count"));
    if (head + header_size + network_bytes + c.momentum.size() * sizeof(float) != content) {
      return bad(file, "its parts do not fit its size");
    }
    const std::span<const std::byte> rest = std::span(bytes).subspan(head + header_size);
    PCM_ASSIGN(c.network, parse_network(rest.first(network_bytes), header.at("network")));
    std::memcpy(c.momentum.data(), rest.data() + network_bytes, c.momentum.size() * sizeof(float));
    if (c.momentum.size() != Trainable(c.network).value_count()) {
      return bad(file, "its momentum does not fit its network");
    }
    return c;
  } catch (const json::exception& error) {
    return bad(file, fmt::format("its header cannot be read: {}", error.what()));
  }
}

std::vector<std::filesystem::path> checkpoints_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  std::error_code status;
  std::filesystem::directory_iterator entries(folder, status);
  for (const auto& entry : entries) {
    if (entry.path().extension() == kExtension) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end(), std::greater<>());
  return files;
}

Result<FoundCheckpoint> newest_checkpoint(const std::filesystem::path& folder) {
  std::vector<Error> damaged;
  for (const auto& file : checkpoints_in(folder)) {
    auto checkpoint = load_checkpoint(file);
    if (checkpoint) return FoundCheckpoint{file, std::move(*checkpoint), std::move(damaged)};
    damaged.push_back(std::move(checkpoint).error());
  }
  if (!damaged.empty()) return tl::unexpected<Error>(damaged.front());
  return fail(ErrorCode::NotFound, fmt::format("there is no checkpoint in {}", folder.string()),
              "give the folder that a training was started with, or start one without --resume");
}

}  // namespace pcmlab::training
