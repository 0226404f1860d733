// TopView: two of the server's statuses, one some seconds after the other, as a page for people:
// what it does now, what it did in between, how long that took. Pure functions, any thread; and
// TopPages, which asks for the statuses, page after page.
#ifndef ALCHEMIST_TOOLS_TOP_VIEW_H_
#define ALCHEMIST_TOOLS_TOP_VIEW_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

// One thread calls.
class TopPages {
 public:
  // `get_status` asks the server; `now_us` is the clock.
  TopPages(std::function<absl::StatusOr<v1::GetStatusResponse>()> get_status,
           std::function<int64_t()> now_us);

  // Asks for what the first page is compared with.
  absl::Status Begin();
  // What the server did since it last answered; or, when it does not answer, what the call says.
  // REQUIRES: Begin was OK, and time has passed since then or the last page.
  std::string Next();

 private:
  const std::function<absl::StatusOr<v1::GetStatusResponse>()> get_status_;
  const std::function<int64_t()> now_us_;
  v1::GetStatusResponse earlier_;  // The last answer, and when it came.
  int64_t earlier_us_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_TOP_VIEW_H_
