#include "kernels/cuda/stand_in/work_queue.h"

#include <setjmp.h>
#include <signal.h>

#include <set>
#include <utility>

#include "kernels/cuda/stand_in/stand_in.h"

namespace alchemist::stand_in {
namespace {

constexpr int kSignals[] = {SIGSEGV, SIGBUS};
struct sigaction actions_before[std::size(kSignals)];

// Where a fault of this thread's work goes; null: it does no work, so that the fault is a bug.
thread_local sigjmp_buf* landing = nullptr;

void OnFault(int signal, siginfo_t* /*info*/, void* /*context*/) {
  if (landing != nullptr) siglongjmp(*landing, 1);
  // Back to what was there before us: the instruction faults again, and meets that.
  sigaction(signal, &actions_before[signal == SIGSEGV ? 0 : 1], nullptr);
}

bool CatchFaults() {
  struct sigaction action = {};
  action.sa_sigaction = OnFault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  for (size_t i = 0; i < std::size(kSignals); ++i) {
    sigaction(kSignals[i], &action, &actions_before[i]);
  }
  return true;
}

struct Queues {
  Mutex mutex;  // Streams are made by any thread.
  std::set<WorkQueue*> all ABSL_GUARDED_BY(mutex);
};

Queues& TheQueues() {
  static Queues& queues = *new Queues;
  return queues;
}

}  // namespace

void DoOrLoseContext(const Work& work) {
  [[maybe_unused]] static const bool caught = CatchFaults();
  if (ContextFault() != CUDA_SUCCESS) return;
  sigjmp_buf here;
  if (sigsetjmp(here, 1) == 0) {
    landing = &here;
    work();
  } else {
    LoseContext(CUDA_ERROR_ILLEGAL_ADDRESS);
  }
  landing = nullptr;
}

WorkQueue::WorkQueue() : thread_([this] { Run(); }) {
  Queues& queues = TheQueues();
  MutexLock lock(&queues.mutex);
  queues.all.insert(this);
}

WorkQueue::~WorkQueue() {
  {
    Queues& queues = TheQueues();
    MutexLock lock(&queues.mutex);
    queues.all.erase(this);
  }
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void WorkQueue::Add(Work work) {
  MutexLock lock(&mutex_);
  while (queue_.size() >= kWorkMax) changed_.Wait(&mutex_);
  queue_.push_back(std::move(work));
  changed_.NotifyAll();
}

void WorkQueue::Wait() {
  MutexLock lock(&mutex_);
  while (!queue_.empty()) changed_.Wait(&mutex_);
}

bool WorkQueue::IsIdle() {
  MutexLock lock(&mutex_);
  return queue_.empty();
}

void WorkQueue::WaitForAll() {
  Queues& queues = TheQueues();
  MutexLock lock(&queues.mutex);
  for (WorkQueue* queue : queues.all) queue->Wait();
}

void WorkQueue::Run() {
  mutex_.Lock();
  while (true) {
    while (queue_.empty() && !closed_) changed_.Wait(&mutex_);
    if (queue_.empty()) break;
    const Work work = queue_.front();
    mutex_.Unlock();
    work();
    mutex_.Lock();
    queue_.pop_front();
    changed_.NotifyAll();
  }
  mutex_.Unlock();
}

}  // namespace alchemist::stand_in
