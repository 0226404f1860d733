#include "base/file.h"

#include <unistd.h>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

std::string TempPath(const std::string& name) { return testing::TempDir() + "/" + name; }

TEST(FileTest, ReplaceFileLeavesOneWholeFile) {
  const std::string path = TempPath("replaced");
  ASSERT_TRUE(ReplaceFile(path, "old").ok());
  ASSERT_TRUE(ReplaceFile(path, "new content").ok());
  EXPECT_EQ(*ReadFile(path, 100), "new content");
  EXPECT_NE(access((path + ".tmp").c_str(), F_OK), 0) << "the file written aside is gone";
}

TEST(FileTest, ReadFileNamesThePathAndTheLimit) {
  EXPECT_EQ(ReadFile(TempPath("absent"), 10).status().code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileSynced(TempPath("long"), "12345678901").ok());
  const absl::Status status = ReadFile(TempPath("long"), 10).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(status.message().find("long"), std::string::npos);
  EXPECT_NE(status.message().find("10 bytes"), std::string::npos);
}

TEST(FileTest, PiecesAreWrittenInOrder) {
  const std::string path = TempPath("pieces");
  ASSERT_TRUE(WriteFileSynced(path, "something longer than the pieces").ok());
  const absl::string_view pieces[] = {"ab", "", "c"};
  ASSERT_TRUE(WritePiecesSynced(path, pieces).ok());
  EXPECT_EQ(*ReadFile(path, 100), "abc");
}

TEST(FileTest, ALockedFileIsOneHoldersUntilItLetsGo) {
  const std::string path = TempPath("lock");
  {
    const auto first = LockFile(path);
    ASSERT_TRUE(first.ok()) << first.status();
    const absl::Status second = LockFile(path).status();
    EXPECT_EQ(second.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_NE(second.message().find(path), std::string::npos);
  }
  EXPECT_TRUE(LockFile(path).ok());
}

TEST(FileTest, MappedFileShowsTheContent) {
  const std::string path = TempPath("mapped");
  ASSERT_TRUE(WriteFileSynced(path, "content").ok());
  auto mapped = MappedFile::Open(path);
  ASSERT_TRUE(mapped.ok()) << mapped.status();
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(mapped->data()), mapped->bytes()), "content");
  EXPECT_FALSE(MappedFile::Open(testing::TempDir()).ok()) << "a directory is refused";
}

}  // namespace
}  // namespace alchemist
