// FairQueue: who is served next. Values wait by tenant; the next one is of the tenant that was
// served least, and within a tenant of the smallest priority number, first come first served. What
// a tenant is owed is a deficit: how far its service is behind that of the others (virtual token
// counters: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024). A tenant that
// comes back from idleness is owed nothing for the time in which it wanted nothing. One thread.
#ifndef ALCHEMIST_SERVER_FAIR_QUEUE_H_
#define ALCHEMIST_SERVER_FAIR_QUEUE_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/logging.h"

namespace alchemist {

template <typename T>
class FairQueue {
 public:
  // Waits behind those of its tenant and priority.
  void Push(const std::string& tenant, int32_t priority, T value) {
    Activate(tenant).waiting[priority].push_back({std::move(value), /*returned=*/false});
    ++size_;
  }
  // The value that Pop gave waits again, before those of its tenant and priority.
  void Return(const std::string& tenant, int32_t priority, T value) {
    Tenant& owner = tenants_.at(tenant);
    CHECK_GT(owner.running, 0) << "tenant " << tenant;
    --owner.running;
    PushSplit(tenant, priority, std::move(value));
  }

  // What was split off from one that Pop gave waits, before those of its tenant and priority.
  void PushSplit(const std::string& tenant, int32_t priority, T value) {
    tenants_.at(tenant).waiting[priority].push_front({std::move(value), /*returned=*/true});
    ++size_;
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
    const auto priority = next->second.waiting.begin();
    T value = std::move(priority->second.front().value);
    Erase(next->second, priority, priority->second.begin());
    return value;
  }
  // One that Pop gave runs no more.
  void Done(const std::string& tenant) {
    Tenant& owner = tenants_.at(tenant);
    CHECK_GT(owner.running, 0) << "tenant " << tenant;
    --owner.running;
    Forget();
  }
  // Work was done for a tenant that waits or runs.
  void Charge(const std::string& tenant, int64_t cost) { tenants_.at(tenant).served += cost; }

  // Where `tenant` has at least two fewer waiting than the tenant with the most: takes the last
  // that came of the latter, so that a full queue has room for everybody. Never a returned one.
  std::optional<T> TakeFromLongest(const std::string& tenant) {
    const auto longest =
        std::max_element(tenants_.begin(), tenants_.end(), [](const auto& a, const auto& b) {
          return a.second.waiting_count() < b.second.waiting_count();
        });
    const auto own = tenants_.find(tenant);
    const int64_t own_count = own == tenants_.end() ? 0 : own->second.waiting_count();
    if (longest == tenants_.end() || longest->second.waiting_count() < own_count + 2) {
      return std::nullopt;
    }
    Tenant& owner = longest->second;
    for (auto priority = owner.waiting.end(); priority != owner.waiting.begin();) {
      --priority;
      if (priority->second.back().returned) continue;
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
    bool returned = false;
  };
  struct Tenant {
    std::map<int32_t, std::deque<Waiting>> waiting;  // By priority; no empty deques.
    int64_t running = 0;
    int64_t served = 0;

    bool active() const { return running > 0 || !waiting.empty(); }
    int64_t waiting_count() const {
      int64_t count = 0;
      for (const auto& [priority, values] : waiting) count += static_cast<int64_t>(values.size());
      return count;
    }
  };
  using Tenants = std::map<std::string, Tenant>;

  typename Tenants::iterator Next() {
    auto next = tenants_.end();
    for (auto it = tenants_.begin(); it != tenants_.end(); ++it) {
      if (it->second.waiting.empty()) continue;
      if (next == tenants_.end() || it->second.served < next->second.served) next = it;
    }
    return next;
  }
  // Of the active tenants; the largest number when there is none.
  int64_t LeastServed() const {
    int64_t least = std::numeric_limits<int64_t>::max();
    for (const auto& [name, tenant] : tenants_) {
      if (tenant.active()) least = std::min(least, tenant.served);
    }
    return least;
  }
  Tenant& Activate(const std::string& name) {
    const int64_t least = LeastServed();
    Tenant& tenant = tenants_[name];
    if (!tenant.active() && least < std::numeric_limits<int64_t>::max()) {
      tenant.served = std::max(tenant.served, least);
    }
    return tenant;
  }
  // Idle tenants that are ahead of nobody: they would come back as unknown ones do.
  void Forget() {
    const int64_t least = LeastServed();
    std::erase_if(tenants_, [&](const auto& entry) {
      return !entry.second.active() && entry.second.served <= least;
    });
  }
  void Erase(Tenant& tenant, typename std::map<int32_t, std::deque<Waiting>>::iterator priority,
             typename std::deque<Waiting>::iterator value) {
    priority->second.erase(value);
    if (priority->second.empty()) tenant.waiting.erase(priority);
    --size_;
  }

  Tenants tenants_;
  int64_t size_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_FAIR_QUEUE_H_
