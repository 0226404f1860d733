#include "server/held_time.h"

#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(HeldTimeTest, CountsOnlyWhatIsHeldAndUpToNow) {
  HeldTime time;
  EXPECT_EQ(time.TotalUs(10), 0);
  time.Set(true, 10);
  time.Set(true, 15);  // Still.
  EXPECT_EQ(time.TotalUs(17), 7);
  time.Set(false, 20);
  time.Set(false, 25);
  EXPECT_EQ(time.TotalUs(30), 10);
  time.Set(true, 40);
  EXPECT_TRUE(time.is_held());
  EXPECT_EQ(time.TotalUs(41), 11);
}

}  // namespace
}  // namespace alchemist
