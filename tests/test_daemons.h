// TestDaemons: the daemons of one test on one model: a small arena, one thread each, few and quick
// passes, below TEST_TMPDIR. One test thread, but for client().
#ifndef ALCHEMIST_TESTS_TEST_DAEMONS_H_
#define ALCHEMIST_TESTS_TEST_DAEMONS_H_

#include <string>

#include "tools/daemons/daemons.h"

namespace alchemist {

class TestDaemons : public Daemons {
 public:
  explicit TestDaemons(std::string model_directory);
};

// The path of a program of this project that the test lists in its `data`.
std::string ProgramPath(const std::string& label_path);

}  // namespace alchemist

#endif  // ALCHEMIST_TESTS_TEST_DAEMONS_H_
