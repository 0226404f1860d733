// TopView: two of the server's statuses, one some seconds after the other, as a page for people:
// what it does now, what it did in between, how long that took. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_TOP_VIEW_H_
#define ALCHEMIST_TOOLS_TOP_VIEW_H_

#include <optional>
#include <string>

#include "proto/alchemist/v1/admin.pb.h"

namespace alchemist {

// The value below which `share`, 0 to 1, of the observations of `later` lie that `earlier` had not
// made, taken as spread evenly within a bucket; what lies above all bounds is taken as the last
// bound. Nullopt when there are none, or the server was started anew in between.
std::optional<double> QuantileBetween(const v1::Histogram& earlier, const v1::Histogram& later,
                                      double share);

// Lines of at most 100 columns. REQUIRES: seconds > 0, the time between the two.
std::string FormatTop(const v1::GetStatusResponse& earlier, const v1::GetStatusResponse& later,
                      double seconds);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_TOP_VIEW_H_
