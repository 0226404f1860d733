// FairQueue: who is served next. Values wait by tenant; the next one is of the tenant that was
// served least, and within a tenant of the smallest priority number, first come first served. What
// a tenant is owed is a deficit: how far its service is behind that of the others (virtual token
// counters: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024). A tenant that
// comes, or comes back from idleness, begins where those are that wait, or where the last one was
// that did, and so is owed nothing for the time in which it wanted nothing. But it begins no lower
// than what each of the active ones would have had if all work had been shared (virtual time as in
// generalized processor sharing: Parekh and Gallager 1993): newcomers never overtake for ever those
// that were served before. One thread.
#ifndef ALCHEMIST_SERVER_FAIR_QUEUE_H_
#define ALCHEMIST_SERVER_FAIR_QUEUE_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/logging.h"

namespace alchemist {

template <typename T>
class FairQueue {
 public:
  static constexpr int64_t kTenantsMax = 1024;  // Idle ones that are remembered.

  // Waits behind those of its tenant and priority.
  void Push(const std::string& tenant, int32_t priority, T value) {
    Activate(tenant).waiting[priority].push_back(
        {std::move(value), next_order_++, /*returned=*/false});
    ++size_;
    active_ = 0;
  }
  // The value that Pop gave waits again, before those of its tenant and priority.
  void Return(const std::string& tenant, int32_t priority, T value) {
    EndRunning(tenants_.at(tenant));
    PushSplit(tenant, priority, std::move(value));
  }
  // What was split off from one that Pop gave waits, before those of its tenant and priority.
  void PushSplit(const std::string& tenant, int32_t priority, T value) {
    tenants_.at(tenant).waiting[priority].push_front(
        {std::move(value), next_order_++, /*returned=*/true});
    ++size_;
    active_ = 0;
  }

  // The next one, or null when none waits. Valid until the queue changes.
  T* Front() {
    const auto next = Next();
    return next == tenants_.end() ? nullptr : &next->second.waiting.begin()->second.front().value;
  }
  // Takes the next one, which runs until Return or Done. REQUIRES: one waits.
  T Pop() {
    const auto next = Next();
    CHECK(next != tenants_.end());
    ++next->second.running;
    ++running_;
    level_ = std::max(level_, next->second.served);
    const auto priority = next->second.waiting.begin();
    T value = std::move(priority->second.front().value);
    Erase(next->second, priority, priority->second.begin());
    return value;
  }
  // One that Pop gave runs no more.
  void Done(const std::string& tenant) {
    const auto owner = tenants_.find(tenant);
    CHECK(owner != tenants_.end()) << "tenant " << tenant;
    EndRunning(owner->second);
    if (IsForgettable(owner->second, std::min(level_, Level()))) tenants_.erase(owner);
    Forget();
  }
  // Work was done for a tenant that waits or runs.
  void Charge(const std::string& tenant, int64_t cost) {
    tenants_.at(tenant).served += cost;
    virtual_time_ += static_cast<double>(cost) / static_cast<double>(ActiveTenants());
  }

  // Where `tenant` has at least two fewer waiting than the tenant with the most: takes the last
  // that came of the latter, so that a full queue has room for everybody. Those that were returned
  // or split off neither count nor are taken.
  std::optional<T> TakeFromLongest(const std::string& tenant) {
    const auto longest = std::max_element(
        tenants_.begin(), tenants_.end(),
        [](const auto& a, const auto& b) { return a.second.takeable() < b.second.takeable(); });
    const auto own = tenants_.find(tenant);
    const int64_t own_count = own == tenants_.end() ? 0 : own->second.takeable();
    if (longest == tenants_.end() || longest->second.takeable() < own_count + 2) {
      return std::nullopt;
    }
    Tenant& owner = longest->second;
    for (auto priority = owner.waiting.end(); priority != owner.waiting.begin();) {
      --priority;
      if (priority->second.back().returned) continue;  // Then all of this priority are.
      T value = std::move(priority->second.back().value);
      Erase(owner, priority, std::prev(priority->second.end()));
      return value;
    }
    return std::nullopt;
  }

  // Takes out every waiting value for which `remove(value)` is true.
  template <typename Predicate>
  void RemoveIf(Predicate remove) {
    for (auto& [name, tenant] : tenants_) {
      for (auto priority = tenant.waiting.begin(); priority != tenant.waiting.end();) {
        size_ -= static_cast<int64_t>(std::erase_if(
            priority->second, [&](Waiting& waiting) { return remove(waiting.value); }));
        priority = priority->second.empty() ? tenant.waiting.erase(priority) : std::next(priority);
      }
    }
    active_ = 0;
    Forget();
  }

  template <typename Function>
  void ForEach(Function function) const {
    for (const auto& [name, tenant] : tenants_) {
      for (const auto& [priority, values] : tenant.waiting) {
        for (const Waiting& waiting : values) function(waiting.value);
      }
    }
  }

  int64_t size() const { return size_; }
  int64_t tenants() const { return static_cast<int64_t>(tenants_.size()); }

 private:
  struct Waiting {
    T value;
    uint64_t order = 0;  // Of its coming, among all tenants.
    bool returned = false;
  };
  struct Tenant {
    std::map<int32_t, std::deque<Waiting>> waiting;  // By priority; no empty deques.
    int64_t running = 0;
    int64_t served = 0;

    bool active() const { return running > 0 || !waiting.empty(); }
    uint64_t next_order() const { return waiting.begin()->second.front().order; }
    int64_t takeable() const {
      int64_t count = 0;
      for (const auto& [priority, values] : waiting) {
        count += std::count_if(values.begin(), values.end(),
                               [](const Waiting& each) { return !each.returned; });
      }
      return count;
    }
  };
  using Tenants = std::map<std::string, Tenant>;

  // Of tenants that were served as much, the one whose next value came first.
  typename Tenants::iterator Next() {
    auto next = tenants_.end();
    for (auto it = tenants_.begin(); it != tenants_.end(); ++it) {
      const Tenant& tenant = it->second;
      if (tenant.waiting.empty()) continue;
      if (next == tenants_.end() || tenant.served < next->second.served ||
          (tenant.served == next->second.served &&
           tenant.next_order() < next->second.next_order())) {
        next = it;
      }
    }
    return next;
  }
  Tenant& Activate(const std::string& name) {
    const int64_t level = Level();
    Tenant& tenant = tenants_[name];
    if (!tenant.active()) tenant.served = std::max(tenant.served, level);
    return tenant;
  }
  // Where a tenant begins that comes now.
  int64_t Level() {
    const auto next = Next();
    return std::max(next == tenants_.end() ? level_ : next->second.served,
                    static_cast<int64_t>(virtual_time_));
  }
  // Counted when somebody came or went; one that is charged is active.
  int64_t ActiveTenants() {
    if (active_ == 0) {
      active_ = std::count_if(tenants_.begin(), tenants_.end(),
                              [](const auto& entry) { return entry.second.active(); });
    }
    return std::max<int64_t>(active_, 1);
  }
  void EndRunning(Tenant& tenant) {
    CHECK_GT(tenant.running, 0);
    --tenant.running;
    --running_;
    active_ = 0;
  }
  // It would come back as an unknown one does, and will not fall behind that.
  static bool IsForgettable(const Tenant& tenant, int64_t level) {
    return !tenant.active() && tenant.served <= level;
  }
  // Nobody is ahead of anybody when nobody wants anything. Otherwise idle tenants that are ahead
  // are remembered, as far as there is room: names cost a client nothing.
  void Forget() {
    if (running_ == 0 && size_ == 0) return tenants_.clear();
    if (static_cast<int64_t>(tenants_.size()) <= kTenantsMax + running_ + size_) return;
    const int64_t level = std::min(level_, Level());
    std::erase_if(tenants_, [&](const auto& entry) { return IsForgettable(entry.second, level); });
    if (static_cast<int64_t>(tenants_.size()) <= kTenantsMax + running_ + size_) return;
    std::erase_if(tenants_, [](const auto& entry) { return !entry.second.active(); });
  }
  void Erase(Tenant& tenant, typename std::map<int32_t, std::deque<Waiting>>::iterator priority,
             typename std::deque<Waiting>::iterator value) {
    priority->second.erase(value);
    if (priority->second.empty()) tenant.waiting.erase(priority);
    --size_;
    active_ = 0;
  }

  Tenants tenants_;
  int64_t size_ = 0;
  int64_t running_ = 0;
  int64_t level_ = 0;  // How much the tenant that was next had been served; grows.
  double virtual_time_ = 0;
  int64_t active_ = 0;  // Tenants; 0: not counted since somebody came or went.
  uint64_t next_order_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_FAIR_QUEUE_H_
