#include "tools/replay/client_pool.h"

#include <algorithm>

#include "base/logging.h"

namespace alchemist {

ClientPool::ClientPool(int64_t requests_max, const MakeClient& make_client) {
  MutexLock lock(&mutex_);
  for (int64_t requests = 0; requests < requests_max; requests += kRequestsPerClientMax) {
    clients_.push_back({.client = make_client()});
  }
}

AlchemistClient* ClientPool::Take() {
  MutexLock lock(&mutex_);
  const auto lent = std::find_if(clients_.begin(), clients_.end(), [](const Lent& candidate) {
    return candidate.requests < kRequestsPerClientMax;
  });
  CHECK(lent != clients_.end()) << "more requests than the pool was made for";
  ++lent->requests;
  return lent->client.get();
}

void ClientPool::Return(AlchemistClient* client) {
  MutexLock lock(&mutex_);
  const auto lent = std::find_if(clients_.begin(), clients_.end(), [&](const Lent& candidate) {
    return candidate.client.get() == client;
  });
  CHECK(lent != clients_.end() && lent->requests > 0) << "was not lent";
  --lent->requests;
}

}  // namespace alchemist
