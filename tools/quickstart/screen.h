// Screen: shows progress: a table that is drawn over itself on a terminal, now and then a line
// elsewhere. One thread.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_SCREEN_H_
#define ALCHEMIST_TOOLS_QUICKSTART_SCREEN_H_

#include <cstdint>
#include <ostream>
#include <string>

#include "tools/quickstart/progress.h"

namespace alchemist {

class Screen {
 public:
  // `out` must outlive the screen.
  Screen(std::ostream* out, bool is_terminal) : out_(out), is_terminal_(is_terminal) {}

  // May be called as often as one likes: it shows a new phase at once and others not too often.
  void Show(const Progress& progress, int64_t now_us);
  // Leaves what is shown, with its last figures, and goes on below it.
  void Finish(const Progress& progress);

 private:
  void Draw(const Progress& progress);

  std::ostream* const out_;
  const bool is_terminal_;
  std::string phase_;
  int64_t next_us_ = 0;
  int64_t lines_ = 0;  // Of the table on the terminal.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_SCREEN_H_
