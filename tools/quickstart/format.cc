#include "tools/quickstart/format.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace alchemist {

std::string FormatNumber(double value) {
  if (std::isinf(value)) return "never";
  if (value == std::round(value) && std::abs(value) < 1e15) return absl::StrFormat("%.0f", value);
  const double size = std::abs(value);
  return absl::StrFormat("%.*f", size < 10 ? 3 : size < 100 ? 2 : 1, value);
}

std::string FormatCount(int64_t count) {
  std::string text = absl::StrCat(count);
  const size_t first = count < 0 ? 1 : 0;
  for (size_t end = text.size(); end > first + 3; end -= 3) text.insert(end - 3, 1, ',');
  return text;
}

}  // namespace alchemist
