// Lessons: how far the corrections of a run have come: which fact is corrected next and when, which
// is asked again in other words, and how long each took from its first correction to its first
// right answer. No clock and no client of its own. One thread at a time.
#ifndef ALCHEMIST_TOOLS_QUICKSTART_LESSONS_H_
#define ALCHEMIST_TOOLS_QUICKSTART_LESSONS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace alchemist {

// How fast facts are begun.
struct Pace {
  double facts_per_second = 2;
  // Facts at most that are begun, not yet seen right, and still being trained.
  int64_t open_max = 32;
};

class Lessons {
 public:
  struct Counts {
    int64_t begun = 0;
    int64_t corrected = 0;  // Facts with a wrong answer that was corrected.
    int64_t seen = 0;       // Of those: answered right in other words since.
    int64_t feedback = 0;   // Acknowledged.
    int64_t served = 0;     // Of those: all passes made, and in a published revision.
  };

  Lessons(int64_t facts, const Pace& pace);

  // The next fact to be asked and corrected, or nullopt: not yet, or none is left.
  std::optional<int64_t> Begin(int64_t now_us);
  // An answer about `fact`, by `revision`, was given feedback that trains.
  void OnFeedback(int64_t fact, const std::string& feedback_id, bool is_correction,
                  uint64_t revision, int64_t now_us);
  // All feedback on `fact` was given.
  void OnAllGiven(int64_t fact);
  // No change for an id that is not of OnFeedback, or a second time.
  void OnServed(const std::string& feedback_id);

  // A fact that nobody has asked about at the revision `serving`, or nullopt. Its answer must be
  // told to OnWatched: the same revision gives the same answer, so that it is not asked again.
  std::optional<int64_t> NextWatch(uint64_t serving);
  void OnWatched(int64_t fact, uint64_t revision, bool right, int64_t now_us);

  // Nothing is left to do: all feedback is served, and each fact was seen right or was asked about
  // at `serving`.
  bool Finished(uint64_t serving) const;
  Counts counts() const;
  // Of each corrected fact, from the acknowledgement of its first correction to the first right
  // answer in other words; infinity where there was none.
  std::vector<double> SecondsToServed() const;

 private:
  struct Lesson {
    std::optional<int64_t> corrected_us;
    std::optional<int64_t> seen_us;
    bool all_given = false;
    int64_t unserved = 0;           // Feedback.
    uint64_t watched_revision = 0;  // The newest whose answer is known or asked for.
    bool watching = false;
  };
  static bool Trained(const Lesson& lesson) { return lesson.all_given && lesson.unserved == 0; }
  bool IsOpen(const Lesson& lesson) const { return !lesson.seen_us && !Trained(lesson); }

  const Pace pace_;
  std::vector<Lesson> lessons_;
  int64_t begun_ = 0;
  int64_t next_begin_us_ = 0;
  int64_t feedback_ = 0;
  absl::flat_hash_map<std::string, int64_t> unserved_;  // Fact by feedback id.
};

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_QUICKSTART_LESSONS_H_
