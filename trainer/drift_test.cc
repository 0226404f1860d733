#include "trainer/drift.h"

#include <cmath>
#include <limits>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(DriftTest, IsThePathSinceARevisionOverTheNormNow) {
  Drift drift = Drift::Restore(0, 2.0, {});
  drift.Mark("a");
  drift.OnUpdate(1.0, 3.0);
  drift.Mark("b");
  drift.OnUpdate(0.5, 4.0);
  EXPECT_EQ(drift.path(), 1.5);
  EXPECT_EQ(drift.SinceRevision("a"), 1.5 / 4);
  EXPECT_EQ(drift.SinceRevision("b"), 0.5 / 4);
  EXPECT_EQ(drift.Since(drift.path()), 0);
}

TEST(DriftTest, ARevisionThatIsNotOnThePathIsInfinitelyFar) {
  Drift drift;
  EXPECT_EQ(drift.SinceRevision("a"), std::numeric_limits<double>::infinity());
  drift.Mark("a");
  EXPECT_EQ(drift.SinceRevision("a"), 0) << "also while the norm is 0";
}

TEST(DriftTest, ThereAndBackIsFar) {
  Drift drift = Drift::Restore(0, 1.0, {});
  drift.Mark("a");
  drift.OnUpdate(1.0, 2.0);
  drift.OnUpdate(1.0, 1.0);  // The same weights again, for all that is known.
  EXPECT_EQ(drift.SinceRevision("a"), 2.0);
}

TEST(DriftTest, MarksBeyondTheLimitAreForgotten) {
  Drift drift = Drift::Restore(0, 1.0, {});
  drift.Mark("a");
  drift.OnUpdate(1.0, 1.0);
  drift.Mark("b");
  drift.OnUpdate(0.25, 1.0);
  drift.ForgetBeyond(0.5);
  EXPECT_EQ(drift.marks().count("a"), 0u);
  EXPECT_EQ(drift.SinceRevision("b"), 0.25);
}

}  // namespace
}  // namespace alchemist
