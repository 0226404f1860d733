#include "model/safetensors.h"

#include <cstdlib>
#include <cstring>
#include <map>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/safetensors_writer.h"

namespace alchemist {
namespace {

using testing::HasSubstr;

std::string TempPath(const std::string& name) { return testing::TempDir() + "/" + name; }

// A file of `header` and `data_bytes` zeros.
std::string File(const std::string& header, size_t data_bytes) {
  std::string file(8, '\0');
  const uint64_t bytes = header.size();
  std::memcpy(file.data(), &bytes, sizeof(bytes));
  return file + header + std::string(data_bytes, '\0');
}

std::string Entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return absl::StrCat("{\"dtype\":\"", dtype, "\",\"shape\":", shape, ",\"data_offsets\":", offsets,
                      "}");
}

const std::string kPair = absl::StrCat("{\"a\":", Entry("F32", "[2,3]", "[0,24]"),
                                       ",\"b\":", Entry("BF16", "[4]", "[24,32]"),
                                       ",\"__metadata__\":{\"format\":\"pt\"}}");

TEST(SafetensorsTest, TensorsAreViewsIntoTheFile) {
  std::string file = File(kPair, 32);
  file[file.size() - 1] = 7;
  const auto tensors = ParseSafetensors(file, "f");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  ASSERT_EQ(tensors->size(), 2u);
  const SafetensorsTensor& a = (*tensors)[0];
  EXPECT_EQ(a.name, "a");
  EXPECT_EQ(a.dtype, DType::kF32);
  EXPECT_EQ(ShapeString(a.shape), "[2, 3]");
  EXPECT_EQ(a.bytes(), 24);
  const SafetensorsTensor& b = (*tensors)[1];
  EXPECT_EQ(b.dtype, DType::kBf16);
  EXPECT_EQ(b.bytes(), 8);
  EXPECT_EQ(b.data[7], std::byte{7});
  EXPECT_EQ(reinterpret_cast<const char*>(b.data) + 8, file.data() + file.size());
}

TEST(SafetensorsTest, EmptyTensorsAndScalarsAreAllowed) {
  const std::string header = absl::StrCat("{\"e\":", Entry("F32", "[0,5]", "[4,4]"),
                                          ",\"s\":", Entry("F32", "[]", "[0,4]"), "}  ");
  const auto tensors = ParseSafetensors(File(header, 4), "f");
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ((*tensors)[0].elements, 0);
  EXPECT_EQ((*tensors)[1].elements, 1);
  EXPECT_TRUE(ParseSafetensors(File("{}", 0), "f").ok());
}

TEST(SafetensorsTest, BrokenHeadersAreErrorsThatNameTensorAndField) {
  const std::string huge = "9223372036854775807";
  const struct {
    std::string header;
    const char* named;
  } kCases[] = {
      {"", "header"},
      {"[]", "header must be an object"},
      {"{", "header"},
      {"{\"a\":1}", "a: must be an object"},
      {"{\"a\":{}}", "a: dtype is missing"},
      {"{\"a\":" + Entry("F32", "[2,3]", "[0,20]") + "}", "a: data_offsets spans 20 bytes"},
      {"{\"a\":" + Entry("F32", "[2,3]", "[24,0]") + "}", "a: data_offsets[1]"},
      {"{\"a\":" + Entry("F32", "[2,3]", "[-24,0]") + "}", "a: data_offsets[0]"},
      {"{\"a\":" + Entry("F32", "[2,3]", "[0,25]") + "}", "a: data_offsets[1]"},
      {"{\"a\":" + Entry("F32", "[2,3]", "[0]") + "}", "a: data_offsets"},
      {"{\"a\":" + Entry("F32", "[2,3]", "[0,12,24]") + "}", "a: data_offsets"},
      {"{\"a\":" + Entry("F32", "[2,3]", "{}") + "}", "a: data_offsets"},
      {"{\"a\":" + Entry("F32", "[2,3]", "[0,18446744073709551615]") + "}", "data_offsets[1]"},
      {"{\"a\":" + Entry("F32", "[2,3]", "[18446744073709551592,0]") + "}", "data_offsets[0]"},
      {"{\"a\":" + Entry("F32", "[-2,-3]", "[0,24]") + "}", "a: shape[0]"},
      {"{\"a\":" + Entry("F32", "[2.0,3]", "[0,24]") + "}", "a: shape[0]"},
      {"{\"a\":" + Entry("F32", "6", "[0,24]") + "}", "a: shape"},
      {"{\"a\":" + Entry("F32", "[4294967296,4294967296]", "[0,0]") + "}", "a: shape"},
      {"{\"a\":" + Entry("F32", "[" + huge + "]", "[0,24]") + "}", "a: shape"},
      // Wraps to 0 bytes in 64 bits.
      {"{\"a\":" + Entry("F32", "[4611686018427387904]", "[0,0]") + "}", "a: shape"},
      {"{\"a\":" + Entry("F32", "[1,1,1,1,1,1,1,1,6]", "[0,24]") + "}", "more than 8"},
      {"{\"a\":" + Entry("F32", "[3]", "[0,12]") + ",\"b\":" + Entry("F32", "[3]", "[8,20]") + "}",
       "b: data_offsets overlap"},
      {"{\"a\":" + Entry("F32", "[6]", "[0,24]") + ",\"b\":" + Entry("F32", "[6]", "[0,24]") + "}",
       "data_offsets overlap"},
      {"{\"a\":" + Entry("F32", "[2]", "[0,8]") + ",\"b\":" + Entry("F32", "[3]", "[12,24]") + "}",
       "b: data_offsets leave a hole"},
      {"{\"a\":" + Entry("F32", "[5]", "[0,20]") + "}", "last 4 bytes"},
      {"{\"a\":" + Entry("F32", "[5]", "[4,24]") + "}", "a: data_offsets leave a hole"},
      {"{\"a\":" + Entry("F32", "[6]", "[0,24]") + ",\"a\":" + Entry("F32", "[6]", "[0,24]") + "}",
       "\"a\" occurs twice"},
      {"{\"" + std::string(257, 'n') + "\":" + Entry("F32", "[6]", "[0,24]") + "}", "longer than"},
      {"{\"__metadata__\":[],\"a\":" + Entry("F32", "[6]", "[0,24]") + "}", "__metadata__"},
      {"{\"a\":" + std::string(40, '[') + std::string(40, ']') + "}", "deeper"},
  };
  for (const auto& c : kCases) {
    const absl::Status status = ParseSafetensors(File(c.header, 24), "dir/w").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.header << status;
    EXPECT_THAT(status.message(), HasSubstr("dir/w: ")) << c.header;
    EXPECT_THAT(status.message(), HasSubstr(c.named)) << c.header;
  }
  for (const char* dtype : {"F64", "I64", "F8_E4M3", "", "f32"}) {
    const std::string header = "{\"a\":" + Entry(dtype, "[6]", "[0,24]") + "}";
    const absl::Status status = ParseSafetensors(File(header, 24), "f").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << dtype;
    EXPECT_THAT(status.message(), HasSubstr("f: a: dtype")) << dtype;
  }
}

TEST(SafetensorsTest, HeaderLengthsOutOfBoundsAreErrors) {
  for (const uint64_t length :
       {uint64_t{1} << 63, ~uint64_t{0}, uint64_t{1} << 32, uint64_t{16 << 20} + 1,
        uint64_t{kPair.size() + 33}, uint64_t{0}, uint64_t{1}}) {
    std::string file = File(kPair, 32);
    std::memcpy(file.data(), &length, sizeof(length));
    EXPECT_EQ(ParseSafetensors(file, "f").status().code(), absl::StatusCode::kInvalidArgument)
        << length;
  }
  const std::string large(kSafetensorsHeaderBytesMax + 1, ' ');
  EXPECT_THAT(ParseSafetensors(File(large, 0), "f").status().message(), HasSubstr("16777216"));
}

TEST(SafetensorsTest, EveryTruncationIsAnError) {
  const std::string file = File(kPair, 32);
  for (size_t bytes = 0; bytes < file.size(); ++bytes) {
    EXPECT_FALSE(ParseSafetensors(file.substr(0, bytes), "f").ok()) << bytes;
  }
  EXPECT_FALSE(ParseSafetensors(file + "x", "f").ok());
}

// Whatever a header says, a tensor that is accepted lies inside the file. Run under ASan, this also
// shows that no flip reads outside of it.
TEST(SafetensorsTest, FlippedHeaderBytesNeverGiveATensorOutsideTheFile) {
  const std::string file = File(kPair, 32);
  for (size_t i = 0; i < 8 + kPair.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = file;
      flipped[i] = static_cast<char>(flipped[i] ^ 1 << bit);
      const auto tensors = ParseSafetensors(flipped, "f");
      if (!tensors.ok()) continue;
      const auto* end = reinterpret_cast<const std::byte*>(flipped.data() + flipped.size());
      int64_t bytes = 0;
      for (const SafetensorsTensor& tensor : *tensors) {
        ASSERT_LE(tensor.data + tensor.bytes(), end) << i << " " << bit;
        bytes += tensor.bytes();
      }
      ASSERT_EQ(bytes, 32) << i << " " << bit;
    }
  }
}

TEST(SafetensorsWriterTest, WhatWasWrittenIsReadBack) {
  const std::vector<float> wide = {1, 2, 3, 4, 5, 6};
  const std::vector<uint16_t> narrow = {7, 8, 9};
  const std::map<std::string, std::string> metadata = {{"note", "a \"quoted\" text"}};
  SafetensorsWriter writer(metadata);
  writer.Add("a.narrow", {3}, DType::kF16, narrow.data());
  writer.Add("b.wide", {2, 3}, DType::kF32, wide.data());
  const std::string path = TempPath("written.safetensors");
  ASSERT_TRUE(writer.WriteSynced(path).ok());
  EXPECT_EQ(*Sha256OfFile(path), writer.Sha256Hex());

  const auto file = SafetensorsFile::Open(path);
  ASSERT_TRUE(file.ok()) << file.status();
  ASSERT_EQ(file->tensors().size(), 2u);
  const SafetensorsTensor* b = file->Find("b.wide");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(ShapeString(b->shape), "[2, 3]");
  EXPECT_EQ(std::memcmp(b->data, wide.data(), 24), 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b->data) % 64, 0u);
  EXPECT_EQ(std::memcmp(file->Find("a.narrow")->data, narrow.data(), 6), 0);
  EXPECT_EQ(file->Find("c"), nullptr);

  SafetensorsWriter other_order(metadata);
  other_order.Add("b.wide", {2, 3}, DType::kF32, wide.data());
  other_order.Add("a.narrow", {3}, DType::kF16, narrow.data());
  EXPECT_EQ(other_order.Sha256Hex(), writer.Sha256Hex());
}

TEST(SafetensorsFileTest, ErrorsNameThePath) {
  const std::string path = TempPath("broken.safetensors");
  EXPECT_EQ(SafetensorsFile::Open(TempPath("absent")).status().code(), absl::StatusCode::kNotFound);
  for (const std::string& content : {std::string(), std::string("1234567"), File("{}", 1)}) {
    ASSERT_TRUE(WriteFileSynced(path, content).ok());
    EXPECT_THAT(SafetensorsFile::Open(path).status().message(), HasSubstr(path));
  }
}

TEST(RealModelTest, TinyStoriesWeightsAreRead) {
  const char* data = std::getenv("ALCHEMIST_DATA");
  if (data == nullptr) GTEST_SKIP() << "ALCHEMIST_DATA is not set";
  const auto file =
      SafetensorsFile::Open(absl::StrCat(data, "/models/tinystories-656K/model.safetensors"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->tensors().size(), 20u);
  ASSERT_NE(file->Find("lm_head.weight"), nullptr);
  EXPECT_EQ(ShapeString(file->Find("lm_head.weight")->shape), "[2048, 128]");
}

}  // namespace
}  // namespace alchemist
