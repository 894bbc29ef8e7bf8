// SPDX-License-Identifier: Apache-2.0
#include "experiments/network/training/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "experiments/network/training/topologies.h"
#include "experiments/network/training/trainable.h"
#include "tests/driver/file_size_limit.h"
#include "tests/experiments/network/temporary_folder.h"

namespace pcmlab::training {
namespace {

using pcmlab::test::TemporaryFolder;
using ::testing::HasSubstr;

Checkpoint example(std::int64_t steps) {
  Checkpoint c;
  c.settings = "[training]\nepochs = 3\n";
  c.noise_model = "[programming]\n";
  c.data = "some images";
  c.threads = 2;
  c.epoch = 1;
  c.step = 5;
  c.total_steps = steps;
  c.loss_sum = 1.0 / 3;
  c.correct = 7;
  c.seen = 10;
  c.seconds = 0.1;
  c.history = {{1, 2.5, 0.25, 0.5, 0.1, 3.5, 100}};
  c.network = make_network("mlp", {.input = {1, 2, 2}, .classes = 3, .hidden = 4},
                           static_cast<std::uint64_t>(steps))
                  .value();
  c.momentum.assign(Trainable(c.network).value_count(), 1.0f / 3);
  return c;
}

std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

void write(const std::filesystem::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
}

class Checkpoints : public ::testing::Test {
 protected:
  std::filesystem::path save(std::int64_t steps) {
    return save_checkpoint(folder_.path(), example(steps)).value();
  }
  std::string error_of(const std::filesystem::path& file) {
    const auto loaded = load_checkpoint(file);
    if (loaded) return "no error";
    EXPECT_FALSE(loaded.error().advice.empty());
    return loaded.error().message;
  }

  TemporaryFolder folder_;
};

TEST_F(Checkpoints, AreLoadedAsTheyWereSaved) {
  const Checkpoint before = example(12);
  const Checkpoint after = load_checkpoint(save(12)).value();
  EXPECT_EQ(after.settings, before.settings);
  EXPECT_EQ(after.noise_model, before.noise_model);
  EXPECT_EQ(after.data, before.data);
  EXPECT_EQ(after.threads, before.threads);
  EXPECT_EQ(after.epoch, before.epoch);
  EXPECT_EQ(after.step, before.step);
  EXPECT_EQ(after.total_steps, before.total_steps);
  EXPECT_EQ(after.loss_sum, before.loss_sum);
  EXPECT_EQ(after.correct, before.correct);
  EXPECT_EQ(after.seen, before.seen);
  EXPECT_EQ(after.seconds, before.seconds);
  ASSERT_EQ(after.history.size(), 1U);
  EXPECT_EQ(epoch_as_json(after.history[0]), epoch_as_json(before.history[0]));
  EXPECT_EQ(after.momentum, before.momentum);
  const Trainable trainable(before.network);
  EXPECT_EQ(trainable.values(after.network), trainable.values(before.network));
}

TEST_F(Checkpoints, TheNewestTwoAreKept) {
  for (const std::int64_t steps : {10, 20, 30, 100}) save(steps);
  const auto files = checkpoints_in(folder_.path());
  ASSERT_EQ(files.size(), 2U);
  EXPECT_EQ(files[0].filename(), "checkpoint-000000100.pcmtrain");
  EXPECT_EQ(files[1].filename(), "checkpoint-000000030.pcmtrain");
}

TEST_F(Checkpoints, ATruncatedOneIsRefusedWhereverItEnds) {
  const std::filesystem::path file = save(1);
  const std::string whole = bytes_of(file);
  for (std::size_t size = 0; size < whole.size(); size += 37) {
    write(file, whole.substr(0, size));
    ASSERT_THAT(error_of(file), ::testing::AnyOf(HasSubstr("cut short"), HasSubstr("not a")));
  }
}

TEST_F(Checkpoints, OneChangedBitIsNoticed) {
  const std::filesystem::path file = save(1);
  const std::string whole = bytes_of(file);
  for (std::size_t at = 40; at < whole.size(); at += 41) {
    std::string bad = whole;
    bad[at] = static_cast<char>(bad[at] ^ 4);
    write(file, bad);
    ASSERT_THAT(error_of(file), HasSubstr("checksum"));
  }
}

TEST_F(Checkpoints, AForeignFileAndANewerFormatAreTold) {
  const std::filesystem::path file = folder_.path() / "checkpoint-1.pcmtrain";
  write(file, "PK this is a zip file of another program");
  EXPECT_THAT(error_of(file), HasSubstr("not a checkpoint of pcmlab-train"));
  write(file, "pcmlab training checkpoint 2\nwhatever");
  EXPECT_THAT(error_of(file), HasSubstr("newer"));
  EXPECT_EQ(load_checkpoint(folder_.path() / "none").error().code, ErrorCode::NotFound);
}

TEST_F(Checkpoints, ADamagedOneIsNamedAndTheOneBeforeItUsed) {
  const std::filesystem::path good = save(1);
  const std::filesystem::path bad = save(2);
  write(bad, bytes_of(bad).substr(0, 500));
  const FoundCheckpoint found = newest_checkpoint(folder_.path()).value();
  EXPECT_EQ(found.file, good);
  EXPECT_EQ(found.checkpoint.total_steps, 1);
  ASSERT_EQ(found.damaged.size(), 1U);
  EXPECT_THAT(found.damaged[0].message, HasSubstr(bad.string()));
}

TEST_F(Checkpoints, WithoutAGoodOneTheNewestOnesErrorIsGiven) {
  EXPECT_EQ(newest_checkpoint(folder_.path()).error().code, ErrorCode::NotFound);
  write(save(1), "rubbish");
  EXPECT_EQ(newest_checkpoint(folder_.path()).error().code, ErrorCode::BadFile);
}

TEST_F(Checkpoints, AFullDiskLeavesTheLastGoodOneAndNothingElse) {
  const std::filesystem::path good = save(1);
  {
    const ::pcmlab::testing::FileSizeLimit limit(500);
    const auto saved = save_checkpoint(folder_.path(), example(2));
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().code, ErrorCode::DiskFull);
    EXPECT_FALSE(saved.error().advice.empty());
  }
  EXPECT_TRUE(load_checkpoint(good));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    files += entry.exists() ? 1 : 0;
  }
  EXPECT_EQ(files, 1U);
}

}  // namespace
}  // namespace pcmlab::training
