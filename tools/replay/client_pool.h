// ClientPool: lends clients of one server to the requests in flight, each client to so many at once
// that none waits inside gRPC for its connection (see AlchemistClient). Any thread.
#ifndef ALCHEMIST_TOOLS_REPLAY_CLIENT_POOL_H_
#define ALCHEMIST_TOOLS_REPLAY_CLIENT_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/mutex.h"
#include "tools/client/alchemist_client.h"

namespace alchemist {

class ClientPool {
 public:
  static constexpr int64_t kRequestsPerClientMax = 64;
  using MakeClient = std::function<std::unique_ptr<AlchemistClient>()>;

  // Makes clients for `requests_max` at once. Those that are not needed do not connect.
  ClientPool(int64_t requests_max, const MakeClient& make_client);

  AlchemistClient* Take();               // REQUIRES: fewer than `requests_max` are not given back.
  void Return(AlchemistClient* client);  // REQUIRES: came from Take, once for each.

 private:
  struct Lent {
    std::unique_ptr<AlchemistClient> client;
    int64_t requests = 0;
  };
  Mutex mutex_;  // Requests begin and end in threads of their own.
  std::vector<Lent> clients_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_REPLAY_CLIENT_POOL_H_
