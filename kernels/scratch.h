// Scratch: a thread's working memory inside a kernel, so that a call allocates nothing once its
// largest shape has been seen. Kept as a function's `thread_local`; it grows, and gives its bytes
// back when the thread ends.
#ifndef ALCHEMIST_KERNELS_SCRATCH_H_
#define ALCHEMIST_KERNELS_SCRATCH_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace alchemist {

template <typename T>
class Scratch {
 public:
  // Room for `count` elements, 64-byte aligned. What earlier calls returned or wrote is lost when
  // `count` is larger than theirs.
  T* Get(int64_t count) {
    if (count > count_) {
      memory_.reset();
      memory_.reset(static_cast<T*>(::operator new(count * sizeof(T), kAlignment)));
      count_ = count;
    }
    return memory_.get();
  }

 private:
  static constexpr std::align_val_t kAlignment{64};
  struct Delete {
    void operator()(T* memory) const { ::operator delete(memory, kAlignment); }
  };

  std::unique_ptr<T, Delete> memory_;
  int64_t count_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_SCRATCH_H_
