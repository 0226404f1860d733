#include "tools/quickstart/screen.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace alchemist {
namespace {

constexpr int64_t kTableIntervalUs = 200'000;
constexpr int64_t kLineIntervalUs = 5'000'000;

}  // namespace

void Screen::Show(const Progress& progress, int64_t now_us) {
  if (progress.phase == phase_ && now_us < next_us_) return;
  phase_ = progress.phase;
  next_us_ = now_us + (is_terminal_ ? kTableIntervalUs : kLineIntervalUs);
  Draw(progress);
}

void Screen::Finish(const Progress& progress) {
  Draw(progress);
  lines_ = 0;
  phase_.clear();
}

void Screen::Draw(const Progress& progress) {
  if (!is_terminal_) {
    *out_ << FormatLine(progress) << std::endl;
    return;
  }
  // ECMA-48: CPL goes up to the table's first line, EL 0 clears what is left of each old line.
  if (lines_ > 0) *out_ << "\x1b[" << lines_ << "F";
  const std::string table = FormatTable(progress);
  lines_ = std::count(table.begin(), table.end(), '\n');
  *out_ << absl::StrReplaceAll(table, {{"\n", "\x1b[K\n"}}) << std::flush;
}

}  // namespace alchemist
