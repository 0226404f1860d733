#include "trainer/checkpoint.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/logging.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "model/random_model.h"

namespace alchemist {
namespace {

constexpr char kTokenizer[] = "tokenizer-digest";
const char* const kAllFiles[] = {"MANIFEST.json", "state.json", "moments.safetensors",
                                 "adapter/adapter_config.json",
                                 "adapter/adapter_model.safetensors"};

std::string FreshDirectory() {
  std::string path = absl::StrCat(testing::TempDir(), "/checkpoint-XXXXXX");
  PCHECK(mkdtemp(path.data()) != nullptr) << path;
  return path;
}

std::unique_ptr<const Model> MakeModel(uint64_t seed) {
  ModelConfig config = TinyModelConfig(ModelFamily::kLlama);
  config.layers = 2;
  const std::string directory = FreshDirectory() + "/model";
  CHECK(WriteRandomModel(config, seed, {}, directory).ok());
  auto model = Model::Load(directory);
  CHECK(model.ok()) << model.status();
  return *std::move(model);
}

std::unique_ptr<LoraAdapter> MakeAdapter(const Model& model, uint64_t seed) {
  LoraConfig config;
  config.rank = 2;
  config.targets = {Linear::kQ, Linear::kDown};
  config.lowest_layer = 1;
  auto adapter = LoraAdapter::Create(model.config(), config, seed);
  CHECK(adapter.ok()) << adapter.status();
  return *std::move(adapter);
}

void Fill(const LoraAdapter& adapter, uint64_t seed, AdapterGradients& tensors) {
  Random random(seed);
  for (int64_t layer = 0; layer < tensors.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      if (adapter.View(layer, linear).a.data == nullptr) continue;
      for (TensorView t : {tensors.A(layer, linear), tensors.B(layer, linear)}) {
        for (int64_t i = 0; i < t.rows * t.width; ++i) {
          static_cast<float*>(t.data)[i] = static_cast<float>(random.Normal());
        }
      }
    }
  }
}

std::string Bytes(const LoraAdapter& adapter, AdapterGradients& tensors) {
  std::string bytes;
  for (int64_t layer = 0; layer < tensors.layers(); ++layer) {
    for (const Linear linear : kLinears) {
      if (adapter.View(layer, linear).a.data == nullptr) continue;
      for (TensorView t : {tensors.A(layer, linear), tensors.B(layer, linear)}) {
        bytes.append(static_cast<const char*>(t.data), static_cast<size_t>(t.bytes()));
      }
    }
  }
  return bytes;
}

CheckpointState MakeState(const Model& model, int64_t step) {
  CheckpointState state;
  state.step = step;
  state.optimizer_steps = step + 7;
  state.parent = 3;
  state.base_digest = model.base_digest();
  state.tokenizer_digest = kTokenizer;
  state.passes = {{"fb-1", {2, false}}, {"fb-2", {8, true}}};
  state.lineage = {{"fb-1", 1}};
  state.drift_path = 0.1 + 0.2;  // No short decimal: the text must give the same bits back.
  state.adapter_norm = 1.0 / 3;
  state.drift_marks = {{"digest-a", 0.0}, {"digest-b", 1e-300}};
  return state;
}

class CheckpointTest : public testing::Test {
 protected:
  CheckpointTest()
      : model_(MakeModel(1)), directory_(FreshDirectory()), adapter_(MakeAdapter(*model_, 5)) {}

  absl::Status Save(int64_t step, int keep = 3) {
    AdapterGradients first(*adapter_), second(*adapter_);
    Fill(*adapter_, static_cast<uint64_t>(step), first);
    Fill(*adapter_, static_cast<uint64_t>(step) + 1000, second);
    return SaveCheckpoint(directory_, MakeState(*model_, step), *adapter_, first, second, *model_,
                          keep);
  }
  // The step of what is loaded; -1: nothing; -2: refused.
  int64_t LoadedStep() const {
    const auto loaded = LoadNewestCheckpoint(directory_, *model_, kTokenizer);
    if (!loaded.ok()) return -2;
    return loaded->has_value() ? (*loaded)->state.step : -1;
  }
  std::string File(int64_t step, const std::string& name) const {
    return absl::StrCat(directory_, "/step-", step, "/", name);
  }
  static std::string Read(const std::string& path) {
    auto content = ReadFile(path, 1 << 20);
    CHECK(content.ok()) << content.status();
    return *content;
  }
  static void Write(const std::string& path, absl::string_view content) {
    CHECK(WriteFileSynced(path, content).ok()) << path;
  }
  // Flips bits of one byte of an open file.
  static void Flip(int fd, int64_t at, unsigned char bits) {
    unsigned char byte = 0;
    PCHECK(pread(fd, &byte, 1, at) == 1);
    byte ^= bits;
    PCHECK(pwrite(fd, &byte, 1, at) == 1);
  }

  const std::unique_ptr<const Model> model_;
  const std::string directory_;
  const std::unique_ptr<LoraAdapter> adapter_;
};

// The process is killed at each marked point of saving; what it saved before is there. Stands
// first: a process decides at its first kill point where it dies, so that none may be passed before
// the forks.
class CheckpointCrashTest : public CheckpointTest {
 protected:
  // Saves `step` in a child that is to die at `point`.
  void SaveAndDie(int64_t step, const char* point) {
    const pid_t pid = fork();
    if (pid == 0) {
      setenv("ALCHEMIST_KILL_POINT", point, 1);
      _exit(Save(step).ok() ? 0 : 1);
    }
    int status = 0;
    PCHECK(waitpid(pid, &status, 0) == pid);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << point << " was not passed";
  }
};

TEST_F(CheckpointCrashTest, AKillWhileSavingLeavesTheOneBefore) {
  SaveAndDie(1, "checkpoint.after_rename");
  EXPECT_EQ(LoadedStep(), 1) << "what was renamed counts";
  SaveAndDie(2, "checkpoint.moments_written");
  EXPECT_EQ(LoadedStep(), 1);
  SaveAndDie(2, "checkpoint.before_rename");
  EXPECT_EQ(LoadedStep(), 1);
  SaveAndDie(2, "checkpoint.after_rename");
  EXPECT_EQ(LoadedStep(), 2) << "over what the dead ones left";
  SaveAndDie(2, "checkpoint.before_rename");
  EXPECT_EQ(LoadedStep(), 2) << "the same step again";
  SaveAndDie(2, "checkpoint.after_rename");
  EXPECT_EQ(LoadedStep(), 2);
}

TEST_F(CheckpointTest, ComesBackExactly) {
  ASSERT_TRUE(Save(12).ok());
  auto loaded = LoadNewestCheckpoint(directory_, *model_, kTokenizer);
  ASSERT_TRUE(loaded.ok() && loaded->has_value()) << loaded.status();
  Checkpoint& checkpoint = **loaded;
  const CheckpointState wanted = MakeState(*model_, 12);
  const CheckpointState& got = checkpoint.state;
  EXPECT_EQ(got.step, 12);
  EXPECT_EQ(got.optimizer_steps, 19);
  EXPECT_EQ(got.parent, 3u);
  EXPECT_EQ(got.base_digest, wanted.base_digest);
  EXPECT_EQ(got.tokenizer_digest, kTokenizer);
  ASSERT_EQ(got.passes.size(), 2u);
  EXPECT_EQ(got.passes.at("fb-1").passes, 2);
  EXPECT_FALSE(got.passes.at("fb-1").done);
  EXPECT_TRUE(got.passes.at("fb-2").done);
  EXPECT_EQ(got.lineage, wanted.lineage);
  EXPECT_EQ(got.drift_path, wanted.drift_path);
  EXPECT_EQ(got.adapter_norm, wanted.adapter_norm);
  EXPECT_EQ(got.drift_marks, wanted.drift_marks);
  EXPECT_EQ(checkpoint.adapter->digest(), adapter_->digest());
  AdapterGradients moment(*adapter_);
  Fill(*adapter_, 12, moment);
  EXPECT_EQ(Bytes(*adapter_, *checkpoint.first_moment), Bytes(*adapter_, moment));
  Fill(*adapter_, 1012, moment);
  EXPECT_EQ(Bytes(*adapter_, *checkpoint.second_moment), Bytes(*adapter_, moment));
}

TEST_F(CheckpointTest, WithoutOneThereIsNone) {
  EXPECT_EQ(LoadedStep(), -1);
  std::filesystem::create_directories(directory_ + "/step-");
  std::filesystem::create_directories(directory_ + "/step-x");
  std::filesystem::create_directories(directory_ + "/step-9");
  EXPECT_EQ(LoadedStep(), -1) << "an empty folder is none";
}

TEST_F(CheckpointTest, TheNewestIsLoadedAndOldOnesGo) {
  for (const int64_t step : {1, 2, 10, 11}) ASSERT_TRUE(Save(step, /*keep=*/2).ok());
  EXPECT_EQ(LoadedStep(), 11) << "by number, not by name";
  EXPECT_TRUE(std::filesystem::exists(File(10, "state.json")));
  EXPECT_FALSE(std::filesystem::exists(File(2, "state.json")));
  EXPECT_FALSE(std::filesystem::exists(File(1, "state.json")));
}

TEST_F(CheckpointTest, OneOfAnotherModelOrTokenizerIsRefused) {
  ASSERT_TRUE(Save(1).ok());
  const auto other = MakeModel(2);
  EXPECT_EQ(LoadNewestCheckpoint(directory_, *other, kTokenizer).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(LoadNewestCheckpoint(directory_, *model_, "another").status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(CheckpointTest, ASecondSaveOfAStepTakesTheFirstOnesPlace) {
  ASSERT_TRUE(Save(4).ok());
  AdapterGradients zero(*adapter_);
  CheckpointState state = MakeState(*model_, 4);
  state.passes["fb-1"].done = true;
  ASSERT_TRUE(SaveCheckpoint(directory_, state, *adapter_, zero, zero, *model_, 3).ok());
  const auto loaded = LoadNewestCheckpoint(directory_, *model_, kTokenizer);
  ASSERT_TRUE(loaded.ok() && loaded->has_value());
  EXPECT_TRUE((*loaded)->state.passes.at("fb-1").done);
  ASSERT_TRUE(Save(5).ok()) << "what the exchange left aside is in nobody's way";
  EXPECT_EQ(LoadedStep(), 5);
}

// F12 of the fault matrix, at the size of a pull request.
class DamagedCheckpointTest : public CheckpointTest {
 protected:
  void SetUp() override {
    ASSERT_TRUE(Save(1).ok());
    ASSERT_TRUE(Save(2).ok());
    ASSERT_EQ(LoadedStep(), 2);
  }
  void ExpectPreviousWithFlip(const char* file, int64_t at, unsigned char bits) {
    const FileDescriptor fd(open(File(2, file).c_str(), O_RDWR | O_CLOEXEC));
    PCHECK(fd.valid()) << file;
    Flip(fd.get(), at, bits);
    ASSERT_EQ(LoadedStep(), 1) << file << " byte " << at << " ^ " << static_cast<int>(bits);
    Flip(fd.get(), at, bits);
  }
};

TEST_F(DamagedCheckpointTest, EveryByteOfManifestAndStateIsGuarded) {
  Random random(3);
  for (const char* file : {"MANIFEST.json", "state.json"}) {
    const int64_t bytes = static_cast<int64_t>(Read(File(2, file)).size());
    for (int64_t at = 0; at < bytes; ++at) {
      const auto bits = static_cast<unsigned char>(1u << random.Below(8));
      ASSERT_NO_FATAL_FAILURE(ExpectPreviousWithFlip(file, at, bits));
    }
  }
  EXPECT_EQ(LoadedStep(), 2) << "all flips were undone";
}

TEST_F(DamagedCheckpointTest, RandomFlipsAreSeen) {
  Random random(4);
  for (int i = 0; i < 500; ++i) {
    const char* file = kAllFiles[random.Below(std::size(kAllFiles))];
    const int64_t bytes = static_cast<int64_t>(std::filesystem::file_size(File(2, file)));
    ASSERT_NO_FATAL_FAILURE(ExpectPreviousWithFlip(
        file, random.Below(bytes), static_cast<unsigned char>(1 + random.Below(255))));
  }
}

TEST_F(DamagedCheckpointTest, TruncatedLongerEmptyAndMissingFilesAreSeen) {
  for (const char* file : kAllFiles) {
    const std::string path = File(2, file);
    const std::string good = Read(path);
    const int64_t bytes = static_cast<int64_t>(good.size());
    std::vector<int64_t> cuts = {0, 1, bytes - 1};
    for (int64_t cut = 4096; cut < bytes; cut += 4096) cuts.push_back(cut);
    for (const int64_t cut : cuts) {
      Write(path, good.substr(0, static_cast<size_t>(cut)));
      EXPECT_EQ(LoadedStep(), 1) << file << " cut to " << cut;
    }
    Write(path, good + "\n");
    EXPECT_EQ(LoadedStep(), 1) << file << " longer";
    Write(path, std::string(good.size(), '\0'));
    EXPECT_EQ(LoadedStep(), 1) << file << " zeros";
    PCHECK(unlink(path.c_str()) == 0);
    EXPECT_EQ(LoadedStep(), 1) << file << " missing";
    Write(path, good);
  }
  EXPECT_EQ(LoadedStep(), 2);
}

TEST_F(DamagedCheckpointTest, SwappedFilesAndFoldersAreSeen) {
  for (const char* file : {"MANIFEST.json", "state.json", "moments.safetensors"}) {
    const std::string newer = Read(File(2, file));
    Write(File(2, file), Read(File(1, file)));
    EXPECT_EQ(LoadedStep(), 1) << file << " of step 1";
    Write(File(2, file), newer);
  }
  std::filesystem::rename(directory_ + "/step-1", directory_ + "/step-7");
  EXPECT_EQ(LoadedStep(), 2) << "step 1 under the name of step 7";
}

// Checksums that fit do not make content good.
TEST_F(DamagedCheckpointTest, BadContentWithTheRightChecksumsIsPassedOver) {
  const std::string state = Read(File(2, "state.json"));
  const std::string manifest = Read(File(2, "MANIFEST.json"));
  const std::pair<const char*, const char*> changes[] = {
      {"\"step\":2", "\"step\":-2"},
      {"\"step\":2", "\"step\":\"2\""},
      {"\"format\":1", "\"format\":2"},
      {"\"passes\":2", "\"passes\":1e30"},
      {"\"done\":true", "\"done\":1"},
      {"\"lineage\":{", "\"lineage\":[{"},
      {"\"drift_path\":", "\"drift\":\"x\",\"drift_path\":-"},
      {"\"parent\":3", "\"parent\":1.5"},
      {"\"fb-1\":{", "\"fb-1\":{{"},
  };
  for (const auto& [from, to] : changes) {
    const std::string bad = absl::StrReplaceAll(state, {{from, to}});
    ASSERT_NE(bad, state) << from;
    Write(File(2, "state.json"), bad);
    Write(File(2, "MANIFEST.json"),
          absl::StrReplaceAll(manifest, {{Sha256Hex(state), Sha256Hex(bad)}}));
    EXPECT_EQ(LoadedStep(), 1) << from << " -> " << to;
  }
}

}  // namespace
}  // namespace alchemist
