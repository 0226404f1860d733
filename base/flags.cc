#include "base/flags.h"

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <vector>

#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

constexpr char kVersion[] = "alchemist 0.1.0\n";

// --help shows the flags of the program's own *_main.cc files and of its option files.
bool IsOurFlagFile(absl::string_view file) { return file.find("absl/") == absl::string_view::npos; }

}  // namespace

void EndFlagsBeforeNumber(std::vector<char*>& words) {
  static char end_of_flags[] = "--";
  const auto number = std::find_if(words.begin() + 1, words.end(), [](const char* word) {
    return word[0] == '-' && absl::ascii_isdigit(static_cast<unsigned char>(word[1]));
  });
  if (number != words.end()) words.insert(number, end_of_flags);
}

std::vector<std::string> ParseFlags(int argc, char** argv, absl::string_view usage,
                                    int arguments_max) {
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(argv[0]);
  absl::FlagsUsageConfig config;
  config.contains_helpshort_flags = IsOurFlagFile;
  config.contains_help_flags = IsOurFlagFile;
  config.version_string = [] { return std::string(kVersion); };
  absl::SetFlagsUsageConfig(config);
  absl::SetProgramUsageMessage(usage);
  std::vector<char*> words(argv, argv + argc);
  if (arguments_max > 0) EndFlagsBeforeNumber(words);
  const std::vector<char*> rest =
      absl::ParseCommandLine(static_cast<int>(words.size()), words.data());
  if (static_cast<int>(rest.size()) > 1 + arguments_max) {
    std::cerr << argv[0] << ": unexpected argument '" << rest[1 + arguments_max]
              << "'; see --help\n";
    std::exit(1);
  }
  return std::vector<std::string>(rest.begin() + 1, rest.end());
}

absl::StatusOr<int64_t> DurationFlagUs(absl::string_view name, int64_t value, int64_t unit_us,
                                       int64_t min) {
  const int64_t max = kDurationFlagMaxUs / unit_us;
  if (value >= min && value <= max) return value * unit_us;
  return absl::InvalidArgumentError(
      absl::StrCat("--", name, ": ", value, " is not in [", min, ", ", max, "]"));
}

}  // namespace alchemist
