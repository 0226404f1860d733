#include "tools/bench/proc_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

constexpr char kSmaps[] =
    R"(7f0000000000-7f0000100000 r--s 00000000 fe:00 1234       /models/a b/model.safetensors
Size:               1024 kB
Pss:                 512 kB
Pss_Dirty:             7 kB
VmFlags: rd mr me
7f0000100000-7f0000200000 r--s 00100000 fe:00 1234       /models/a b/model.safetensors
Pss:                   3 kB
7f0000200000-7f0000300000 rw-p 00000000 00:00 0
Pss:                1000 kB
7f0000300000-7f0000400000 r--s 00000000 00:01 5          /memfd:alchemist-weights (deleted)
Pss:                  20 kB
)";

TEST(ProcFilesTest, PssIsOfTheNamedMappingsAlone) {
  const auto file = PssBytes(kSmaps, {"/models/a b/model.safetensors"});
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*file, 515 * 1024);
  const auto both = PssBytes(kSmaps, {"/models/a b/", "/memfd:alchemist-weights"});
  ASSERT_TRUE(both.ok()) << both.status();
  EXPECT_EQ(*both, 535 * 1024);
  EXPECT_FALSE(PssBytes(kSmaps, {"/models/other"}).ok());
}

TEST(ProcFilesTest, CpuTimeIsReadPastANameWithSpaces) {
  const double ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto seconds = CpuSeconds("12 (a) b) c) S 1 2 3 4 5 6 7 8 9 10 1100 200 0 0 20 0 3 0 99\n");
  ASSERT_TRUE(seconds.ok()) << seconds.status();
  EXPECT_EQ(*seconds, 1300 / ticks);
  EXPECT_FALSE(CpuSeconds("12 (name) S 1 2").ok());
  EXPECT_FALSE(CpuSeconds("").ok());
}

TEST(ProcFilesTest, TheKernelsOwnFilesAreUnderstood) {
  const auto stat = ReadProcFile(getpid(), "stat");
  ASSERT_TRUE(stat.ok()) << stat.status();
  EXPECT_TRUE(CpuSeconds(*stat).ok());
  const auto smaps = ReadProcFile(getpid(), "smaps");
  ASSERT_TRUE(smaps.ok()) << smaps.status();
  const auto stack = PssBytes(*smaps, {"[stack]"});
  ASSERT_TRUE(stack.ok()) << stack.status();
  EXPECT_GT(*stack, 0);
}

}  // namespace
}  // namespace alchemist
