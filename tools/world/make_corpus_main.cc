// Writes the pretraining corpus of a synthetic world (corpus.h has the format).
#include <cstdint>
#include <cstdio>
#include <string>

#include "absl/flags/flag.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/logging.h"
#include "tools/world/corpus.h"
#include "tools/world/world.h"

ABSL_FLAG(uint64_t, world_seed, alchemist::kWorldSeed, "the world's seed");
ABSL_FLAG(std::string, out, "", "the file to write; empty for standard output");

namespace alchemist {
namespace {

int Main() {
  const World world = World::Make(absl::GetFlag(FLAGS_world_seed));
  const std::string text = FormatSamples(PretrainingSamples(world));
  const std::string out = absl::GetFlag(FLAGS_out);
  if (out.empty()) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() ? 0 : 1;
  }
  const absl::Status written = ReplaceFile(out, text);
  if (!written.ok()) LOG(ERROR) << written;
  return written.ok() ? 0 : 1;
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) {
  alchemist::ParseFlags(argc, argv, "writes the pretraining corpus of the quickstart's world");
  return alchemist::Main();
}
