// Numbers and columns as the quickstart prints them. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_FORMAT_H_
#define ALCHEMIST_TOOLS_QUICKSTART_FORMAT_H_

#include <cstdint>
#include <string>

namespace alchemist {

// Three digits behind the point below 10, fewer above; whole numbers without; "never" for infinity.
std::string FormatNumber(double value);
// With a comma between thousands.
std::string FormatCount(int64_t count);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_FORMAT_H_
