// TensorPlan: several tensors in one allocation. Add every tensor, then Allocate once: either all
// views have memory or, without room, none has. Plain local object of whoever allocates.
#ifndef ALCHEMIST_MODEL_TENSOR_PLAN_H_
#define ALCHEMIST_MODEL_TENSOR_PLAN_H_

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "absl/functional/function_ref.h"
#include "base/status.h"
#include "kernels/device.h"
#include "kernels/tensor_view.h"

namespace alchemist {

class TensorPlan {
 public:
  // `view` gets its shape now and its memory (64-byte aligned) in Allocate; it must not move until
  // then. A tensor without elements gets no memory.
  void Add(TensorView* view, DType dtype, int64_t rows, int64_t width);

  // Lays sets of tensors that are never alive together over each other: each function adds one set,
  // all from the same offset. May be nested.
  void Overlay(std::initializer_list<absl::FunctionRef<void()>> sets);

  // The memory behind all views: they are valid while the buffer lives.
  absl::StatusOr<Buffer> Allocate(Device& device);

 private:
  struct Entry {
    TensorView* view;
    int64_t offset;
  };
  std::vector<Entry> entries_;
  int64_t offset_ = 0;  // Where the next tensor goes.
  int64_t bytes_ = 0;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TENSOR_PLAN_H_
