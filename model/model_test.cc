#include "model/model.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "kernels/bf16.h"
#include "model/random_model.h"
#include "model/safetensors_writer.h"
#include "model/weight_conversion.h"
#include "model/weight_files.h"
#include "model/weight_roles.h"

namespace alchemist {
namespace {

using testing::HasSubstr;

constexpr ModelFamily kFamilies[] = {ModelFamily::kLlama, ModelFamily::kMistral,
                                     ModelFamily::kQwen2, ModelFamily::kQwen3};

// A fresh directory for each name.
std::string TempDirectory(const std::string& name) {
  const std::string directory = absl::StrCat(testing::TempDir(), "/model_test_", name);
  std::filesystem::remove_all(directory);
  return directory;
}

std::string WriteTiny(ModelFamily family, const ModelWriteOptions& options,
                      const std::string& name) {
  const std::string directory = TempDirectory(name);
  const absl::Status status = WriteRandomModel(TinyModelConfig(family), 1, options, directory);
  EXPECT_TRUE(status.ok()) << status;
  return directory;
}

std::vector<float> Values(ConstTensorView view) {
  Scratch<float> scratch;
  const float* data = AsF32(view, scratch);
  return std::vector<float>(data, data + view.rows * view.width);
}

// All tensors of a model, in the order of their roles.
std::vector<std::vector<float>> AllValues(const Model& model) {
  ModelWeights weights = model.weights();
  std::vector<std::vector<float>> values;
  for (const WeightRole& role : WeightRoles(model.config(), weights)) {
    values.push_back(Values(*role.view));
  }
  return values;
}

FileDescriptor Duplicate(int fd) { return FileDescriptor(fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

TEST(ModelTest, EveryFamilyComesBackAsItWasWritten) {
  for (const ModelFamily family : kFamilies) {
    const ModelConfig config = TinyModelConfig(family);
    const auto model = Model::Load(WriteTiny(family, {}, ModelTypeName(family)));
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ((*model)->config().family, family);
    EXPECT_EQ((*model)->config().head_dim, config.head_dim);
    EXPECT_EQ((*model)->config().norm_epsilon, config.norm_epsilon);
    EXPECT_EQ((*model)->config().tied_head, config.tied_head);
    EXPECT_EQ((*model)->config().eos_ids, config.eos_ids);
    EXPECT_EQ((*model)->rope().context(), config.context);
    EXPECT_EQ((*model)->converted(), nullptr) << "f32 files are used in place";
    const ModelWeights& weights = (*model)->weights();
    ASSERT_EQ(weights.layers.size(), 3u);
    const LayerWeights& layer = weights.layers[2];
    EXPECT_EQ(layer.q.out(), config.q_width());
    EXPECT_EQ(layer.k.in(), config.hidden);
    EXPECT_EQ(layer.down.in(), config.ffn);
    EXPECT_EQ(layer.q.bias.data != nullptr, family == ModelFamily::kQwen2);
    EXPECT_EQ(layer.v.bias.data != nullptr, family == ModelFamily::kQwen2);
    EXPECT_EQ(layer.o.bias.data, nullptr);
    EXPECT_EQ(layer.q_norm.data != nullptr, family == ModelFamily::kQwen3);
    EXPECT_EQ(weights.head.values.data == weights.embedding.data, config.tied_head);
    EXPECT_EQ(weights.head.out(), config.vocab);
    EXPECT_EQ((*model)->base_digest().size(), 64u);
  }
}

// Whether the bytes at `data` are those of a mapping of the file `name`.
bool LiesInFile(const void* data, const std::string& name) {
  const std::string path = std::filesystem::canonical(name);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uintptr_t begin = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx", &begin, &end) != 2) continue;
    const auto address = reinterpret_cast<uintptr_t>(data);
    if (begin <= address && address < end) return line.find(path) != std::string::npos;
  }
  return false;
}

class ModelInPlaceTest : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(Types, ModelInPlaceTest, testing::Values(DType::kF32, DType::kBf16),
                         [](const auto& info) { return DTypeName(info.param); });

TEST_P(ModelInPlaceTest, TensorsAreTheFilesOwnBytes) {
  const std::string directory = WriteTiny(ModelFamily::kLlama, {.dtype = GetParam()},
                                          absl::StrCat("in_place_", DTypeName(GetParam())));
  const auto model = Model::Load(directory);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->dtype(), GetParam());
  EXPECT_EQ((*model)->converted(), nullptr);
  const auto files = WeightFiles::Open(directory);
  ASSERT_TRUE(files.ok()) << files.status();
  ModelWeights weights = (*model)->weights();
  for (const WeightRole& role : WeightRoles((*model)->config(), weights)) {
    const SafetensorsTensor* tensor = files->Find(role.name).tensor;
    ASSERT_NE(tensor, nullptr) << role.name;
    EXPECT_EQ(role.view->dtype, GetParam());
    EXPECT_TRUE(LiesInFile(role.view->data, directory + "/" + kWeightFileName)) << role.name;
    EXPECT_EQ(std::memcmp(role.view->data, tensor->data, tensor->bytes()), 0) << role.name;
  }
}

TEST(ModelTest, NarrowWeightsAreConvertedExactly) {
  for (const DType dtype : {DType::kBf16, DType::kF16}) {
    const std::string directory =
        WriteTiny(ModelFamily::kQwen2, {.dtype = dtype}, absl::StrCat("narrow_", DTypeName(dtype)));
    const auto model = Model::Load(directory, DType::kF32);
    ASSERT_TRUE(model.ok()) << model.status();
    ASSERT_NE((*model)->converted(), nullptr);
    EXPECT_EQ((*model)->dtype(), DType::kF32);
    const auto files = WeightFiles::Open(directory);
    ModelWeights weights = (*model)->weights();
    for (const WeightRole& role : WeightRoles((*model)->config(), weights)) {
      const SafetensorsTensor* tensor = files->Find(role.name).tensor;
      ASSERT_EQ(tensor->dtype, dtype);
      std::vector<float> expected(tensor->elements);
      ConvertToF32(dtype, tensor->data, tensor->elements, expected.data());
      EXPECT_EQ(Values(*role.view), expected) << role.name;
      EXPECT_EQ(reinterpret_cast<uintptr_t>(role.view->data) % 64, 0u) << role.name;
    }
  }
}

TEST(ModelTest, F32IsRoundedToBf16OnlyWhenAskedFor) {
  const std::string directory = WriteTiny(ModelFamily::kQwen2, {}, "rounded");
  const auto wide = Model::Load(directory);
  const auto rounded = Model::Load(directory, DType::kBf16);
  ASSERT_TRUE(wide.ok() && rounded.ok()) << wide.status() << rounded.status();
  EXPECT_EQ((*wide)->dtype(), DType::kF32);
  EXPECT_EQ((*rounded)->dtype(), DType::kBf16);
  EXPECT_NE((*rounded)->converted(), nullptr);
  EXPECT_EQ((*rounded)->base_digest(), (*wide)->base_digest()) << "of the files";
  ModelWeights weights = (*rounded)->weights();
  for (const WeightRole& role : WeightRoles((*rounded)->config(), weights)) {
    EXPECT_EQ(role.view->dtype, DType::kBf16) << role.name;
  }
  std::vector<std::vector<float>> expected = AllValues(**wide);
  for (std::vector<float>& tensor : expected) {
    for (float& value : tensor) value = ToF32(ToBf16(value));
  }
  EXPECT_EQ(AllValues(**rounded), expected);
}

TEST(ModelTest, TypesOfTheFlagAreNamed) {
  EXPECT_EQ(*ParseModelDType("auto"), std::nullopt);
  EXPECT_EQ(*ParseModelDType("f32"), DType::kF32);
  EXPECT_EQ(*ParseModelDType("bf16"), DType::kBf16);
  EXPECT_THAT(ParseModelDType("f16").status().message(), HasSubstr("'f16'"));
}

TEST_P(ModelInPlaceTest, UnalignedTensorsAreConverted) {
  const std::string directory = WriteTiny(ModelFamily::kLlama, {.dtype = GetParam()},
                                          absl::StrCat("unaligned_", DTypeName(GetParam())));
  const auto aligned = Model::Load(directory);
  const std::string path = directory + "/" + kWeightFileName;
  std::string file = *ReadFile(path, 1 << 20);
  file.insert(8, 1, ' ');  // A header one byte longer is as valid.
  file[0] = static_cast<char>(file[0] + 1);
  ASSERT_NE(file[0], 0) << "no carry";
  // In place, so that the first model's mapping would see it; hence into a new file.
  ASSERT_TRUE(ReplaceFile(path, file).ok());
  const auto model = Model::Load(directory);
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->dtype(), GetParam());
  EXPECT_NE((*model)->converted(), nullptr);
  EXPECT_EQ(AllValues(**model), AllValues(**aligned));
}

TEST(ModelTest, ShardsMakeTheSameModel) {
  const auto whole = Model::Load(WriteTiny(ModelFamily::kQwen3, {}, "whole"));
  const std::string directory = WriteTiny(ModelFamily::kQwen3, {.shards = 4}, "sharded");
  EXPECT_NE(access((directory + "/" + kWeightFileName).c_str(), F_OK), 0);
  const auto sharded = Model::Load(directory);
  ASSERT_TRUE(whole.ok() && sharded.ok()) << whole.status() << sharded.status();
  EXPECT_EQ(AllValues(**sharded), AllValues(**whole));
  EXPECT_NE((*sharded)->base_digest(), (*whole)->base_digest());
}

TEST(ModelTest, ATiedHeadIsFoundUnderEitherName) {
  std::vector<std::vector<float>> values;
  for (const TiedHeadNames names :
       {TiedHeadNames::kEmbedding, TiedHeadNames::kHead, TiedHeadNames::kBoth}) {
    const auto model = Model::Load(WriteTiny(ModelFamily::kLlama, {.tied_head_names = names},
                                             absl::StrCat("tied_", static_cast<int>(names))));
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ((*model)->weights().head.values.data, (*model)->weights().embedding.data);
    if (values.empty()) values = AllValues(**model);
    EXPECT_EQ(AllValues(**model), values);
  }
}

TEST(ModelTest, TheOtherDaemonMapsTheSameWeights) {
  for (const DType stored : {DType::kF32, DType::kBf16, DType::kF16}) {
    const std::string directory = WriteTiny(ModelFamily::kLlama, {.dtype = stored},
                                            absl::StrCat("shared_", DTypeName(stored)));
    const auto server = Model::Load(directory);
    ASSERT_TRUE(server.ok()) << server.status();
    const SharedMemory* converted = (*server)->converted();
    std::optional<FileDescriptor> fd;
    if (converted != nullptr) fd = Duplicate(converted->fd());
    const auto trainer =
        Model::LoadShared(directory, (*server)->base_digest(), (*server)->dtype(), std::move(fd),
                          converted == nullptr ? 0 : converted->bytes());
    ASSERT_TRUE(trainer.ok()) << trainer.status();
    EXPECT_EQ((*trainer)->dtype(), (*server)->dtype());
    EXPECT_EQ(AllValues(**trainer), AllValues(**server));
    EXPECT_EQ((*trainer)->base_digest(), (*server)->base_digest());
    if (converted == nullptr) continue;
    // One memory, not two of the same content: what is written here is seen there.
    const int64_t last = converted->bytes() - 1;
    const std::byte before = (*trainer)->converted()->data()[last];
    converted->writable_data()[last] ^= std::byte{0xff};
    EXPECT_NE((*trainer)->converted()->data()[last], before);
  }
}

TEST(ModelTest, AnotherModelIsRefusedByTheOtherDaemon) {
  const std::string f32 = WriteTiny(ModelFamily::kLlama, {}, "other_f32");
  const std::string bf16 = WriteTiny(ModelFamily::kLlama, {.dtype = DType::kBf16}, "other_bf16");
  const auto server = Model::Load(bf16, DType::kF32);
  ASSERT_TRUE(server.ok()) << server.status();
  const SharedMemory& converted = *(*server)->converted();
  const std::string& digest = (*server)->base_digest();
  const auto code = [](const auto& model) { return model.status().code(); };
  EXPECT_EQ(code(Model::LoadShared(f32, digest, DType::kF32, std::nullopt, 0)),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(Model::LoadShared(bf16, digest, DType::kF32, std::nullopt, converted.bytes())),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(code(Model::LoadShared(bf16, digest, DType::kF32, Duplicate(converted.fd()),
                                   converted.bytes() - 1)),
            absl::StatusCode::kFailedPrecondition);
  const auto short_memory = SharedMemory::Create("short", 64);
  ASSERT_TRUE(short_memory.ok());
  EXPECT_EQ(code(Model::LoadShared(bf16, digest, DType::kF32, Duplicate(short_memory->fd()),
                                   converted.bytes())),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(code(Model::LoadShared(bf16, digest, DType::kBf16, Duplicate(converted.fd()),
                                   converted.bytes())),
            absl::StatusCode::kFailedPrecondition)
      << "converted for another type";
}

TEST(ModelTest, MatmulShapesAreDistinct) {
  const auto model = Model::Load(WriteTiny(ModelFamily::kQwen3, {}, "shapes"));
  ASSERT_TRUE(model.ok()) << model.status();
  std::vector<std::pair<int64_t, int64_t>> shapes;
  for (const MatmulShape& shape : (*model)->MatmulShapes()) shapes.push_back({shape.in, shape.out});
  EXPECT_THAT(shapes, testing::UnorderedElementsAre(testing::Pair(40, 64), testing::Pair(40, 32),
                                                    testing::Pair(64, 40), testing::Pair(40, 56),
                                                    testing::Pair(56, 40), testing::Pair(40, 96)));
}

// Rewrites the weights of a tiny model's directory, tensor by tensor.
void Rewrite(const std::string& directory,
             const std::function<void(std::vector<SafetensorsTensor>&)>& change) {
  const std::string path = directory + "/" + kWeightFileName;
  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  std::vector<SafetensorsTensor> tensors = file->tensors();
  change(tensors);
  SafetensorsWriter writer;
  for (const SafetensorsTensor& t : tensors) writer.Add(t.name, t.shape, t.dtype, t.data);
  ASSERT_TRUE(writer.WriteSynced(path + ".new").ok());
  ASSERT_EQ(rename((path + ".new").c_str(), path.c_str()), 0);
}

void Remove(std::vector<SafetensorsTensor>& tensors, const std::string& name) {
  tensors.erase(std::find_if(tensors.begin(), tensors.end(),
                             [&](const SafetensorsTensor& t) { return t.name == name; }));
}

TEST(ModelTest, MissingExtraAndMisshapenTensorsAreNamed) {
  const std::string k_proj = "model.layers.1.self_attn.k_proj.weight";
  const float extra[4] = {};
  const auto* extra_data = reinterpret_cast<const std::byte*>(extra);
  const struct {
    std::function<void(std::vector<SafetensorsTensor>&)> change;
    std::string named;
  } kCases[] = {
      {[&](auto& tensors) { Remove(tensors, k_proj); }, k_proj + ": missing"},
      {[&](auto& tensors) { Remove(tensors, kHeadName); }, "lm_head.weight: missing"},
      {[&](auto& tensors) { Remove(tensors, kEmbeddingName); }, "embed_tokens.weight: missing"},
      {[&](auto& tensors) {
         for (auto& t : tensors) {
           if (t.name == k_proj) std::swap(t.shape[0], t.shape[1]);
         }
       },
       k_proj + ": shape is [40, 16], config.json makes it [16, 40]"},
      {[&](auto& tensors) {
         for (auto& t : tensors) {
           if (t.name == "model.norm.weight") t.shape = {1, 40};
         }
       },
       "model.norm.weight: shape is [1, 40]"},
      {[&](auto& tensors) {
         tensors.push_back(
             {"model.layers.0.self_attn.o_proj.bias", DType::kF32, {4}, 4, extra_data});
       },
       "model.layers.0.self_attn.o_proj.bias: no tensor of a MistralForCausalLM"},
      {[&](auto& tensors) {
         tensors.push_back(
             {"model.layers.3.input_layernorm.weight", DType::kF32, {4}, 4, extra_data});
       },
       "model.layers.3.input_layernorm.weight"},
  };
  for (const auto& c : kCases) {
    const std::string directory = WriteTiny(ModelFamily::kMistral, {}, "broken");
    Rewrite(directory, c.change);
    const auto model = Model::Load(directory);
    EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(model.status().message(), HasSubstr(c.named));
    EXPECT_THAT(model.status().message(), HasSubstr("/model.safetensors: "));
  }
  const std::string directory = WriteTiny(ModelFamily::kMistral, {}, "inv_freq");
  Rewrite(directory, [&](auto& tensors) {
    tensors.push_back(
        {"model.layers.0.self_attn.rotary_emb.inv_freq", DType::kF32, {4}, 4, extra_data});
  });
  EXPECT_TRUE(Model::Load(directory).ok());
}

TEST(ModelTest, BrokenIndexesAreErrors) {
  const std::string first = "model-00001-of-00002.safetensors";
  const auto load = [&](const std::function<void(nlohmann::json&)>& change) {
    const std::string directory = WriteTiny(ModelFamily::kLlama, {.shards = 2}, "index");
    const std::string path = directory + "/" + kWeightIndexName;
    nlohmann::json index = nlohmann::json::parse(*ReadFile(path, 1 << 20));
    change(index);
    EXPECT_TRUE(WriteFileSynced(path, index.dump()).ok());
    return Model::Load(directory).status();
  };
  EXPECT_TRUE(load([](auto&) {}).ok());
  const std::string norm = "model.norm.weight";
  for (const char* name : {"/etc/passwd", "../x.safetensors", "..", ".", "", "a/b"}) {
    const absl::Status status = load([&](auto& index) { index["weight_map"][norm] = name; });
    EXPECT_THAT(status.message(), HasSubstr("must be a plain file name")) << name;
  }
  EXPECT_THAT(load([&](auto& index) { index["weight_map"][norm] = 7; }).message(),
              HasSubstr("model.norm.weight must be a string"));
  EXPECT_EQ(load([&](auto& index) { index["weight_map"][norm] = "absent"; }).code(),
            absl::StatusCode::kNotFound);
  EXPECT_THAT(load([&](auto& index) { index["weight_map"][norm] = first; }).message(),
              HasSubstr("not listed for this file"));
  EXPECT_THAT(load([&](auto& index) { index["weight_map"].erase(norm); }).message(),
              HasSubstr("not listed for this file"));
  EXPECT_THAT(load([&](auto& index) { index["weight_map"]["ghost"] = first; }).message(),
              HasSubstr("ghost: is not in"));
  EXPECT_THAT(load([](auto& index) { index.erase("weight_map"); }).message(),
              HasSubstr("weight_map is missing"));
  EXPECT_THAT(load([](auto& index) { index["weight_map"] = nlohmann::json::object(); }).message(),
              HasSubstr("lists no tensors"));
}

TEST(ModelTest, ADirectoryWithoutWeightsSaysSo) {
  const std::string directory = WriteTiny(ModelFamily::kLlama, {}, "no_weights");
  ASSERT_EQ(unlink((directory + "/" + kWeightFileName).c_str()), 0);
  const auto model = Model::Load(directory);
  EXPECT_EQ(model.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(model.status().message(), HasSubstr("has neither model.safetensors nor"));
}

TEST(RandomModelTest, SeedAndConfigAloneMakeTheBytes) {
  const auto digest = [](uint64_t seed, const std::string& name) {
    const std::string directory = TempDirectory(name);
    EXPECT_TRUE(WriteRandomModel(TinyModelConfig(ModelFamily::kLlama), seed, {}, directory).ok());
    return *Sha256OfFile(directory + "/" + kWeightFileName);
  };
  EXPECT_EQ(digest(1, "seed_a"), digest(1, "seed_b"));
  EXPECT_NE(digest(1, "seed_a"), digest(2, "seed_b"));
  EXPECT_EQ(WriteRandomModel(TinyModelConfig(ModelFamily::kLlama), 1, {.shards = 1000},
                             TempDirectory("many"))
                .code(),
            absl::StatusCode::kInvalidArgument);
}

TEST(RandomModelTest, AConfigThatCannotBeLoadedIsNotWritten) {
  ModelConfig config = TinyModelConfig(ModelFamily::kLlama);
  config.vocab = -1;
  const std::string directory = TempDirectory("unloadable");
  EXPECT_THAT(WriteRandomModel(config, 1, {}, directory).message(), HasSubstr("vocab_size"));
  EXPECT_FALSE(std::filesystem::exists(directory));
}

TEST(RealModelTest, TinyStoriesIsLoadedInPlace) {
  const char* data = std::getenv("ALCHEMIST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ALCHEMIST_DATA is not set";
  const auto model = Model::Load(absl::StrCat(data, "/models/tinystories-656K"));
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ((*model)->converted(), nullptr);
  EXPECT_EQ((*model)->weights().embedding.rows, 2048);
  EXPECT_EQ((*model)->weights().head.values.data, (*model)->weights().embedding.data)
      << "its tied head is stored as lm_head.weight";
}

}  // namespace
}  // namespace alchemist
