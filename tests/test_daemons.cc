#include "tests/test_daemons.h"

#include <stdlib.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"

namespace alchemist {
namespace {

std::string NewDirectory() {
  const char* root = std::getenv("TEST_TMPDIR");
  CHECK(root != nullptr) << "not run by Bazel";
  std::string path = absl::StrCat(root, "/d.XXXXXX");
  PCHECK(mkdtemp(path.data()) != nullptr) << path;
  return path;
}

DaemonsOptions OptionsOf(std::string model_directory) {
  DaemonsOptions options;
  options.server_program = ProgramPath("server/alchemist-server");
  options.trainer_program = ProgramPath("trainer/alchemist-trainer");
  options.model_directory = std::move(model_directory);
  options.directory = NewDirectory();
  options.server_flags = {"--threads=1", "--device_bytes=67108864", "--serving_kv_bytes=16777216",
                          "--adapter_rank=4"};
  options.trainer_flags = {"--threads=1",          "--publish_interval_ms=100",
                           "--step_interval_ms=0", "--pass_interval_ms=0",
                           "--passes=3",           "--done_loss=0"};
  return options;
}

}  // namespace

TestDaemons::TestDaemons(std::string model_directory)
    : Daemons(OptionsOf(std::move(model_directory))) {}

std::string ProgramPath(const std::string& label_path) {
  const char* root = std::getenv("TEST_SRCDIR");
  const char* workspace = std::getenv("TEST_WORKSPACE");
  CHECK(root != nullptr && workspace != nullptr) << "not run by Bazel";
  return absl::StrCat(root, "/", workspace, "/", label_path);
}

}  // namespace alchemist
