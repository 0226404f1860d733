#include "server/metrics_exposer.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <exception>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "server/metric_families.h"

namespace alchemist {
namespace {

class StatusMetrics final : public prometheus::Collectable {
 public:
  explicit StatusMetrics(MetricsExposer::GetStatus get_status)
      : get_status_(std::move(get_status)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    const absl::StatusOr<v1::GetStatusResponse> status = get_status_();
    if (status.ok()) return MetricFamiliesOf(*status);
    LOG_EVERY_N(WARNING, 100) << "no metrics: " << status.status();
    return {};
  }

 private:
  const MetricsExposer::GetStatus get_status_;
};

class HttpExposer final : public MetricsExposer {
 public:
  // Throws what civetweb throws.
  HttpExposer(const std::string& address, GetStatus get_status)
      : metrics_(std::make_shared<StatusMetrics>(std::move(get_status))),
        exposer_(OptionsFor(address)) {
    exposer_.RegisterCollectable(metrics_);
  }

  int port() const override { return exposer_.GetListeningPorts().at(0); }

 private:
  // Two threads: a scraper that says nothing holds one of them, and not for long.
  static std::vector<std::string> OptionsFor(const std::string& address) {
    return {"listening_ports",    address, "num_threads",           "2",
            "request_timeout_ms", "5000",  "keep_alive_timeout_ms", "5000"};
  }

  const std::shared_ptr<StatusMetrics> metrics_;
  prometheus::Exposer exposer_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsExposer>> MetricsExposer::Start(const std::string& address,
                                                                      GetStatus get_status) {
  try {  // The one place where a library of ours throws.
    return std::make_unique<HttpExposer>(address, std::move(get_status));
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address, ": ", error.what()));
  }
}

}  // namespace alchemist
