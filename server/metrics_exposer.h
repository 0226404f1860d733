// MetricsExposer: answers GET /metrics with the server's status as Prometheus text, on a port and
// threads of its own. Owned by main; one for the life of the server.
#ifndef ALCHEMIST_SERVER_METRICS_EXPOSER_H_
#define ALCHEMIST_SERVER_METRICS_EXPOSER_H_

#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "proto/alchemist/v1/admin.pb.h"

namespace alchemist {

class MetricsExposer {
 public:
  // Called on the exposer's threads, once for each scrape. What fails to be got is scraped as no
  // metrics at all.
  using GetStatus = std::function<absl::StatusOr<v1::GetStatusResponse>()>;

  // Listens on `address`, host:port; port 0 takes a free one. Unavailable when it cannot.
  static absl::StatusOr<std::unique_ptr<MetricsExposer>> Start(const std::string& address,
                                                               GetStatus get_status);
  virtual ~MetricsExposer() = default;  // Waits for the scrapes under way.
  virtual int port() const = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_METRICS_EXPOSER_H_
