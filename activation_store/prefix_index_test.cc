#include "activation_store/prefix_index.h"

#include <numeric>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

RecordIdentity Identity() {
  return {.tenant = "t",
          .base_digest = "b",
          .tokenizer_digest = "k",
          .adapter_id = "a",
          .revision = 3,
          .revision_digest = "d"};
}

std::vector<int32_t> Tokens(int64_t count) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), 0);
  return tokens;
}

TEST(HashBlocksTest, OnlyWholeBlocksHaveAHash) {
  EXPECT_EQ(HashBlocks(Identity(), Tokens(63)).size(), 0u);
  EXPECT_EQ(HashBlocks(Identity(), Tokens(64)).size(), 1u);
  EXPECT_EQ(HashBlocks(Identity(), Tokens(191)).size(), 2u);
}

TEST(HashBlocksTest, AHashStandsForAllThatComesBefore) {
  const std::vector<std::string> hashes = HashBlocks(Identity(), Tokens(192));
  std::vector<int32_t> longer = Tokens(300);
  longer[200] = 7;
  const std::vector<std::string> same = HashBlocks(Identity(), longer);
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(same[i], hashes[i]);
  std::vector<int32_t> other = Tokens(192);
  other[5] = 9;
  const std::vector<std::string> changed = HashBlocks(Identity(), other);
  for (size_t i = 0; i < 3; ++i) EXPECT_NE(changed[i], hashes[i]) << i;
  EXPECT_NE(hashes[0], hashes[1]);
}

TEST(HashBlocksTest, EveryPartOfTheIdentityCounts) {
  const auto first = [](const RecordIdentity& identity) {
    return HashBlocks(identity, Tokens(64))[0];
  };
  const std::string wanted = first(Identity());
  EXPECT_EQ(first(Identity()), wanted);
  for (std::string RecordIdentity::*field :
       {&RecordIdentity::tenant, &RecordIdentity::base_digest, &RecordIdentity::tokenizer_digest,
        &RecordIdentity::adapter_id, &RecordIdentity::revision_digest}) {
    RecordIdentity identity = Identity();
    identity.*field += "x";
    EXPECT_NE(first(identity), wanted);
  }
  RecordIdentity identity = Identity();
  identity.revision = 4;
  EXPECT_NE(first(identity), wanted);
  // Fields do not run into each other.
  RecordIdentity moved = Identity();
  moved.tenant = "tb";
  moved.base_digest = "";
  EXPECT_NE(first(moved), wanted);
}

TEST(PrefixIndexTest, FindsTheLongestPrefixAndTheOldestRecordThatHoldsIt) {
  PrefixIndex index;
  index.Add(5, {"a", "b"});
  index.Add(7, {"a", "b"});
  index.Add(9, {"c"});  // Goes on from 5 or 7.
  Prefix found = index.Find(std::vector<std::string>{"a", "b", "x"});
  EXPECT_EQ(found.record_id, 5u);
  EXPECT_EQ(found.tokens, 128);
  found = index.Find(std::vector<std::string>{"a", "b", "c"});
  EXPECT_EQ(found.record_id, 9u);
  EXPECT_EQ(found.tokens, 192);
  EXPECT_EQ(index.Find(std::vector<std::string>{"x", "b"}).record_id, 0u);
  EXPECT_EQ(index.Find({}).tokens, 0);
  index.Remove(5, {"a", "b"});
  EXPECT_EQ(index.Find(std::vector<std::string>{"a"}).record_id, 7u);
  index.Remove(7, {"a", "b"});
  index.Remove(9, {"c"});
  EXPECT_EQ(index.size(), 0);
}

}  // namespace
}  // namespace alchemist
