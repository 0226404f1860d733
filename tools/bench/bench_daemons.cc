#include "tools/bench/bench_daemons.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

constexpr int64_t kArenaBytes = int64_t{2} << 30;
constexpr int64_t kArenaBytesInShort = int64_t{512} << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<Daemons>> StartBenchServer(
    const BenchContext& context, std::vector<std::string> trainer_flags,
    const std::vector<std::string>& server_flags) {
  const std::string threads = absl::StrCat("--threads=", context.threads);
  DaemonsOptions options;
  options.server_program = context.server_program;
  options.trainer_program = context.trainer_program;
  options.model_directory = context.model_directory;
  options.directory = context.work_dir + "/d";
  options.server_flags = {
      threads,
      absl::StrCat("--device_bytes=", context.is_short ? kArenaBytesInShort : kArenaBytes)};
  options.server_flags.insert(options.server_flags.end(), server_flags.begin(), server_flags.end());
  options.trainer_flags = std::move(trainer_flags);
  options.trainer_flags.push_back(threads);
  // Should this program be killed, the kernel kills them too.
  options.wrapper = {"/usr/bin/setpriv", "--pdeathsig=KILL", "--"};
  options.stop = context.stop;
  auto daemons = std::make_unique<Daemons>(std::move(options));
  RETURN_IF_ERROR(daemons->StartServer());
  return daemons;
}

}  // namespace alchemist
