#include "model/base_digest.h"

#include <sys/stat.h>

#include <filesystem>

#include "base/digest.h"
#include "base/file.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

// A clock far from the times of the test's files: they count as settled.
class LateClock : public Clock {
 public:
  int64_t MonotonicUs() const override { return WallUs(); }
  int64_t WallUs() const override { return Clock::Real()->WallUs() + 60'000'000; }
};

timespec ChangeTime(const std::string& path) {
  struct stat info;
  EXPECT_EQ(stat(path.c_str(), &info), 0);
  return info.st_ctim;
}

class BaseDigestTest : public testing::Test {
 protected:
  BaseDigestTest() : root_(testing::TempDir() + "/base_digest_test"), cache_(root_ + "/a/cache") {
    std::filesystem::remove_all(root_);
    std::filesystem::create_directories(root_);
    EXPECT_TRUE(WriteFileSynced(root_ + "/x", "content of x").ok());
    EXPECT_TRUE(WriteFileSynced(root_ + "/y", "content of y").ok());
  }

  // The files of the cache.
  std::vector<std::string> Entries() const {
    std::vector<std::string> entries;
    if (!std::filesystem::exists(cache_)) return entries;
    for (const auto& entry : std::filesystem::directory_iterator(cache_)) {
      entries.push_back(entry.path());
    }
    return entries;
  }

  const std::string root_;
  const std::string cache_;
  const LateClock late_;
};

TEST_F(BaseDigestTest, NamesAndContentsCountAndOrderDoesNot) {
  const DigestCache none("", Clock::Real());
  const std::string digest = *BaseDigest(root_, {"x", "y"}, none);
  EXPECT_EQ(*BaseDigest(root_, {"y", "x"}, none), digest);
  EXPECT_NE(*BaseDigest(root_, {"x"}, none), digest);
  ASSERT_TRUE(WriteFileSynced(root_ + "/y", "content of z").ok());
  EXPECT_NE(*BaseDigest(root_, {"x", "y"}, none), digest);
  ASSERT_EQ(rename((root_ + "/y").c_str(), (root_ + "/z").c_str()), 0);
  EXPECT_EQ(BaseDigest(root_, {"x", "y"}, none).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(BaseDigestTest, ASettledFileIsReadOnce) {
  const DigestCache cache(cache_, &late_);
  EXPECT_EQ(*cache.Sha256OfFile(root_ + "/x"), Sha256Hex("content of x"));
  ASSERT_EQ(Entries().size(), 1u);
  // Another digest under the file's state shows that it comes from the cache.
  std::string entry = *ReadFile(Entries()[0], 1000);
  const std::string other = Sha256Hex("other");
  entry.replace(entry.size() - 65, 64, other);
  ASSERT_TRUE(WriteFileSynced(Entries()[0], entry).ok());
  EXPECT_EQ(*cache.Sha256OfFile(root_ + "/x"), other);
  // A damaged entry is not believed.
  for (const std::string& damaged :
       {entry.substr(0, entry.size() - 1), entry.substr(1), std::string(), entry + "x",
        std::string(entry).replace(entry.size() - 2, 1, "G")}) {
    ASSERT_TRUE(WriteFileSynced(Entries()[0], damaged).ok());
    EXPECT_EQ(*cache.Sha256OfFile(root_ + "/x"), Sha256Hex("content of x"));
  }
}

TEST_F(BaseDigestTest, AChangedFileIsReadAgain) {
  const DigestCache cache(cache_, &late_);
  ASSERT_TRUE(cache.Sha256OfFile(root_ + "/x").ok());
  const auto time = std::filesystem::last_write_time(root_ + "/x");
  // Same inode, size and modification time, as `cp -p` leaves them. The system's clock for files
  // ticks every few milliseconds; the time of the change is another one after a tick.
  const timespec before = ChangeTime(root_ + "/x");
  do {
    ASSERT_TRUE(WriteFileSynced(root_ + "/x", "CONTENT of x").ok());
    std::filesystem::last_write_time(root_ + "/x", time);
  } while (ChangeTime(root_ + "/x").tv_sec == before.tv_sec &&
           ChangeTime(root_ + "/x").tv_nsec == before.tv_nsec);
  EXPECT_EQ(*cache.Sha256OfFile(root_ + "/x"), Sha256Hex("CONTENT of x"));
}

TEST_F(BaseDigestTest, AFileThatJustChangedIsNotKept) {
  const DigestCache cache(cache_, Clock::Real());
  EXPECT_EQ(*cache.Sha256OfFile(root_ + "/x"), Sha256Hex("content of x"));
  EXPECT_TRUE(Entries().empty());
}

TEST_F(BaseDigestTest, ACacheThatCannotBeWrittenIsNoError) {
  const DigestCache cache(root_ + "/x/not_a_directory", &late_);
  EXPECT_EQ(*cache.Sha256OfFile(root_ + "/y"), Sha256Hex("content of y"));
}

}  // namespace
}  // namespace alchemist
