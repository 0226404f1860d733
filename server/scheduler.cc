#include "server/scheduler.h"

#include <algorithm>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "activation_store/record.h"
#include "base/logging.h"

namespace alchemist {
namespace {

// Running sequences and what a step does with them.
class Planner {
 public:
  Planner(const SchedulerLimits& limits, int64_t pages_free,
          const std::vector<RunningSequence>& running)
      : limits_(limits),
        pages_free_(pages_free),
        running_(running),
        rows_(running.size()),
        preempted_(running.size()) {}

  StepPlan Plan() {
    PlanDecodes();
    MakeRoom();
    StepPlan plan = std::move(plan_);
    int64_t rows_left = limits_.rows_per_step;
    for (size_t i = 0; i < running_.size(); ++i) {
      if (rows_[i] == 0 || preempted_[i]) continue;
      plan.decode.push_back({static_cast<int64_t>(i), rows_[i]});
      rows_left -= rows_[i];
    }
    rows_left = std::max<int64_t>(1, rows_left);
    PlanPrompts(rows_left, plan);
    return plan;
  }

 private:
  void PlanPrompts(int64_t rows_left, StepPlan& plan) const {
    const bool decodes = !plan.decode.empty();
    auto time_left = static_cast<double>(limits_.prompt_rows_beside_decodes);
    for (const size_t i : PromptsInTurn()) {
      const RunningSequence& sequence = running_[i];
      int64_t rows = std::min({sequence.prompt_rows_left, sequence.prompt_rows_max, rows_left});
      if (rows == 0) continue;
      const double time_of_row =
          1 + limits_.prompt_key_cost * static_cast<double>(sequence.first_position);
      if (decodes) {
        const auto rows_in_time = static_cast<int64_t>(time_left / time_of_row);
        // However late it is, every prompt comes to its end, and not in shreds: a block of few rows
        // is mostly the rounding up to pages.
        const int64_t rows_min = std::min(kPromptRowsMin, limits_.prompt_rows_beside_decodes);
        if (rows_in_time < rows_min && !plan.prefill.empty()) return;
        rows = std::min(rows, std::max(rows_in_time, rows_min));
      }
      plan.prefill.push_back({static_cast<int64_t>(i), rows});
      rows_left -= rows;
      time_left -= static_cast<double>(rows) * time_of_row;
    }
  }

  // The most urgent prompt of each tenant, then the second one of each, and so on; of each turn in
  // order of admission.
  std::vector<size_t> PromptsInTurn() const {
    std::vector<size_t> prompts;
    for (size_t i = 0; i < running_.size(); ++i) {
      if (running_[i].prompt_rows_left > 0 && !preempted_[i]) prompts.push_back(i);
    }
    std::stable_sort(prompts.begin(), prompts.end(), [this](size_t a, size_t b) {
      return running_[a].priority < running_[b].priority;
    });
    absl::flat_hash_map<absl::string_view, int64_t> turns;
    std::vector<std::pair<int64_t, size_t>> in_turn;
    for (const size_t i : prompts) in_turn.emplace_back(turns[running_[i].tenant]++, i);
    std::sort(in_turn.begin(), in_turn.end());
    for (size_t k = 0; k < prompts.size(); ++k) prompts[k] = in_turn[k].second;
    return prompts;
  }

  void PlanDecodes() {
    int64_t resume_rows = kResumeRowsMax;
    for (size_t i = 0; i < running_.size(); ++i) {
      const RunningSequence& sequence = running_[i];
      if (sequence.prompt_rows_left > 0 || !sequence.has_room) continue;
      CHECK_GT(sequence.decode_rows_left, 0) << "sequence " << i << " has nothing to decode";
      rows_[i] = 1;
      if (sequence.decode_rows_left == 1) continue;
      rows_[i] = std::min(sequence.decode_rows_left, resume_rows);
      resume_rows -= rows_[i];
    }
  }

  int64_t PagesNeeded(size_t i) const {
    if (rows_[i] == 0 || preempted_[i]) return 0;
    const int64_t pages = KvPagesFor(running_[i].first_position + rows_[i]);
    return std::max<int64_t>(0, pages - running_[i].kv_pages);
  }

  void MakeRoom() {
    int64_t needed = 0;
    for (size_t i = 0; i < running_.size(); ++i) needed += PagesNeeded(i);
    while (needed > pages_free_) {
      const size_t victim = Victim();
      needed -= PagesNeeded(victim);
      pages_free_ += running_[victim].serving_pages;
      preempted_[victim] = true;
      plan_.preempt.push_back(static_cast<int64_t>(victim));
    }
  }

  // Who neither holds nor wants pages would gain nobody anything.
  bool MayPreempt(size_t i) const {
    return !preempted_[i] && (running_[i].serving_pages > 0 || PagesNeeded(i) > 0);
  }

  size_t Victim() const {
    for (size_t i = running_.size(); i-- > 0;) {
      if (!running_[i].has_room && MayPreempt(i)) return i;
    }
    size_t last = running_.size();
    while (last > 0 && !MayPreempt(last - 1)) --last;
    CHECK_GT(last, 0u) << "nobody has pages to give, and pages are wanted";
    size_t victim = last - 1;
    for (size_t i = victim; i-- > 0;) {
      if (!MayPreempt(i) || running_[i].tenant != running_[victim].tenant) continue;
      if (running_[i].priority > running_[victim].priority) victim = i;
    }
    return victim;
  }

  const SchedulerLimits& limits_;
  int64_t pages_free_;
  const std::vector<RunningSequence>& running_;
  std::vector<int64_t> rows_;  // Decode rows of each in this step.
  std::vector<bool> preempted_;
  StepPlan plan_;
};

}  // namespace

StepPlan PlanStep(const SchedulerLimits& limits, int64_t pages_free,
                  const std::vector<RunningSequence>& running) {
  return Planner(limits, pages_free, running).Plan();
}

}  // namespace alchemist
