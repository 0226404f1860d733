#include "tools/gpu_check/show.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"

namespace alchemist {
namespace {

std::string Temporary(const std::string& name) {
  return absl::StrCat(testing::TempDir(), "/", name);
}

TEST(ShowTest, AReportOfAnotherMachineIsShownAsItsTable) {
  const auto table = ShowReport("tools/gpu_check/testdata/recorded.json");
  ASSERT_TRUE(table.ok()) << table.status();
  const auto recorded = ReadFile("tools/gpu_check/testdata/recorded.txt", 1 << 20);
  ASSERT_TRUE(recorded.ok()) << recorded.status();
  EXPECT_EQ(*table, *recorded);
}

TEST(ShowTest, ErrorsNameTheFile) {
  EXPECT_TRUE(absl::IsNotFound(ShowReport("/none/there.json").status()));
  EXPECT_TRUE(absl::StrContains(ShowReport("/none/there.json").status().message(), "there.json"));
  const std::string path = Temporary("half.json");
  ASSERT_TRUE(WriteFileSynced(path, "{\"program\":").ok());
  EXPECT_EQ(ShowReport(path).status().message(), absl::StrCat(path, ": not valid JSON"));
}

TEST(ShowTest, AFileThatIsTooLargeIsNotRead) {
  const std::string path = Temporary("large.json");
  ASSERT_TRUE(WriteFileSynced(path, "{}").ok());
  ASSERT_EQ(truncate(path.c_str(), kReportBytesMax + 1), 0);
  EXPECT_TRUE(absl::IsResourceExhausted(ShowReport(path).status())) << ShowReport(path).status();
}

}  // namespace
}  // namespace alchemist
