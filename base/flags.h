// ParseFlags: command-line flags by absl, with errors on stderr and exit codes that scripts can
// use. Every flag can also stand in a file, one --name=value a line, named by --flagfile. Called by
// main.
#ifndef ALCHEMIST_BASE_FLAGS_H_
#define ALCHEMIST_BASE_FLAGS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "base/status.h"

namespace alchemist {

// So that -1 can be an argument: puts "--" before the first word that is a negative number.
void EndFlagsBeforeNumber(std::vector<char*>& words);

// Sets the flags, starts logging to stderr, and returns the arguments that are no flags. Exits: 0
// after --version, 1, as absl does, after --help (`usage` first, then the program's own flags), for
// an unknown flag, a bad value and more than `arguments_max` arguments.
std::vector<std::string> ParseFlags(int argc, char** argv, absl::string_view usage,
                                    int arguments_max = 0);

// The flag --`name`'s `value`, in units of `unit_us`, as microseconds. InvalidArgument naming flag
// and limits unless it is from `min` units to kDurationFlagMaxUs: longer ones are slips of the
// keyboard, and multiplied they could overflow.
inline constexpr int64_t kDurationFlagMaxUs = int64_t{366} * 24 * 3600 * 1'000'000;  // A year.
absl::StatusOr<int64_t> DurationFlagUs(absl::string_view name, int64_t value, int64_t unit_us,
                                       int64_t min);

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_FLAGS_H_
