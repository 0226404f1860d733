#include "tools/quickstart/lessons.h"

#include <algorithm>
#include <limits>

#include "base/logging.h"

namespace alchemist {

Lessons::Lessons(int64_t facts, const Pace& pace)
    : pace_(pace), lessons_(static_cast<size_t>(facts)) {
  CHECK_GT(pace.facts_per_second, 0);
  CHECK_GT(pace.open_max, 0);
}

std::optional<int64_t> Lessons::Begin(int64_t now_us) {
  if (begun_ == static_cast<int64_t>(lessons_.size()) || now_us < next_begin_us_) return {};
  const auto end = lessons_.begin() + begun_;
  if (std::count_if(lessons_.begin(), end,
                    [this](const Lesson& lesson) { return IsOpen(lesson); }) >= pace_.open_max) {
    return {};
  }
  next_begin_us_ = now_us + static_cast<int64_t>(1e6 / pace_.facts_per_second);
  return begun_++;
}

void Lessons::OnFeedback(int64_t fact, const std::string& feedback_id, bool is_correction,
                         uint64_t revision, int64_t now_us) {
  Lesson& lesson = lessons_.at(static_cast<size_t>(fact));
  ++feedback_;
  ++lesson.unserved;
  unserved_[feedback_id] = fact;
  if (!is_correction || lesson.corrected_us.has_value()) return;
  lesson.corrected_us = now_us;
  // What this revision says is known; only a later one can have learned from the correction.
  lesson.watched_revision = revision;
}

void Lessons::OnAllGiven(int64_t fact) { lessons_.at(static_cast<size_t>(fact)).all_given = true; }

void Lessons::OnServed(const std::string& feedback_id) {
  const auto it = unserved_.find(feedback_id);
  if (it == unserved_.end()) return;
  --lessons_.at(static_cast<size_t>(it->second)).unserved;
  unserved_.erase(it);
}

std::optional<int64_t> Lessons::NextWatch(uint64_t serving) {
  for (int64_t fact = 0; fact < begun_; ++fact) {
    Lesson& lesson = lessons_[static_cast<size_t>(fact)];
    if (!lesson.corrected_us || lesson.seen_us || lesson.watching ||
        lesson.watched_revision >= serving) {
      continue;
    }
    lesson.watching = true;
    return fact;
  }
  return {};
}

void Lessons::OnWatched(int64_t fact, uint64_t revision, bool right, int64_t now_us) {
  Lesson& lesson = lessons_.at(static_cast<size_t>(fact));
  lesson.watching = false;
  lesson.watched_revision = std::max(lesson.watched_revision, revision);
  if (right) lesson.seen_us = now_us;
}

bool Lessons::Finished(uint64_t serving) const {
  if (begun_ < static_cast<int64_t>(lessons_.size())) return false;
  return std::all_of(lessons_.begin(), lessons_.end(), [&](const Lesson& lesson) {
    if (!Trained(lesson) || lesson.watching) return false;
    return !lesson.corrected_us || lesson.seen_us || lesson.watched_revision >= serving;
  });
}

Lessons::Counts Lessons::counts() const {
  Counts counts;
  counts.begun = begun_;
  counts.feedback = feedback_;
  counts.served = feedback_ - static_cast<int64_t>(unserved_.size());
  for (const Lesson& lesson : lessons_) {
    if (lesson.corrected_us) ++counts.corrected;
    if (lesson.seen_us) ++counts.seen;
  }
  return counts;
}

std::vector<double> Lessons::SecondsToServed() const {
  std::vector<double> seconds;
  for (const Lesson& lesson : lessons_) {
    if (!lesson.corrected_us) continue;
    seconds.push_back(lesson.seen_us
                          ? static_cast<double>(*lesson.seen_us - *lesson.corrected_us) / 1e6
                          : std::numeric_limits<double>::infinity());
  }
  return seconds;
}

}  // namespace alchemist
