// The server's status as Prometheus metrics: `alchemist_*`, in base units. Their labels have a
// fixed set of values each, so that the number of series never grows with traffic; nothing of a
// request, a tenant or a client is in them. Pure.
#ifndef ALCHEMIST_SERVER_METRIC_FAMILIES_H_
#define ALCHEMIST_SERVER_METRIC_FAMILIES_H_

#include <prometheus/metric_family.h>

#include <vector>

#include "proto/alchemist/v1/admin.pb.h"

namespace alchemist {

std::vector<prometheus::MetricFamily> MetricFamiliesOf(const v1::GetStatusResponse& status);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_METRIC_FAMILIES_H_
