// ParseFlags: command-line flags by absl, with errors on stderr and exit codes that scripts can
// use. Every flag can also stand in a file, one --name=value a line, named by --flagfile. Called by
// main.
#ifndef ALCHEMIST_BASE_FLAGS_H_
#define ALCHEMIST_BASE_FLAGS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace alchemist {

// Sets the flags, starts logging to stderr, and returns the arguments that are no flags. Exits: 0
// after --help or --version (`usage` first, then the program's own flags), 1 for an unknown flag, a
// bad value or more than `arguments_max` arguments.
std::vector<std::string> ParseFlags(int argc, char** argv, absl::string_view usage,
                                    int arguments_max = 0);

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_FLAGS_H_
