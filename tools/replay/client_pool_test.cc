#include "tools/replay/client_pool.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <map>

namespace alchemist {
namespace {

class ClientPoolTest : public testing::Test {
 protected:
  ClientPool::MakeClient MakeClient() {
    return [this] {
      ++made_;
      return AlchemistClient::Create("127.0.0.1:1");  // Is never called.
    };
  }

  int64_t made_ = 0;
};

TEST_F(ClientPoolTest, AClientIsLentToNoMoreThanItsConnectionCarries) {
  ClientPool pool(/*requests_max=*/130, MakeClient());
  EXPECT_EQ(made_, 3);
  std::map<AlchemistClient*, int64_t> lent;
  for (int i = 0; i < 130; ++i) ++lent[pool.Take()];
  EXPECT_EQ(lent.size(), 3u);
  for (const auto& [client, requests] : lent) EXPECT_LE(requests, 64);
}

TEST_F(ClientPoolTest, WhatWasGivenBackIsLentAgain) {
  ClientPool pool(/*requests_max=*/64, MakeClient());
  EXPECT_EQ(made_, 1);
  AlchemistClient* client = nullptr;
  for (int i = 0; i < 64; ++i) client = pool.Take();
  for (int i = 0; i < 100; ++i) {
    pool.Return(client);
    EXPECT_EQ(pool.Take(), client);
  }
}

}  // namespace
}  // namespace alchemist
