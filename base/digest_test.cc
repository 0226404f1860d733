#include "base/digest.h"

#include "gtest/gtest.h"

namespace alchemist {
namespace {

TEST(DigestTest, MatchesTheStandardsTestVector) {  // FIPS 180-2, appendix B.1.
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(DigestTest, PiecesDigestLikeTheWhole) {
  Sha256 sha;
  sha.Add("a");
  sha.Add("bc");
  EXPECT_EQ(sha.HexDigest(), Sha256Hex("abc"));
}

}  // namespace
}  // namespace alchemist
