// LinearGradients: the backward of one linear with its adapters and, offline, its weights. Plain
// object of one pass.
#ifndef ALCHEMIST_MODEL_BACKWARD_LINEAR_H_
#define ALCHEMIST_MODEL_BACKWARD_LINEAR_H_

#include <cstdint>
#include <initializer_list>

#include "kernels/accumulate.h"
#include "kernels/stream.h"
#include "kernels/tensor_view.h"
#include "model/backward.h"
#include "model/model.h"
#include "model/packed_rows.h"

namespace alchemist {

class LinearGradients {
 public:
  LinearGradients(const Model& model, const BackwardOptions& options, Stream& stream)
      : model_(model), options_(options), stream_(stream) {}

  // Whether Run reads the input of one of these linears: only adapters and weight gradients do.
  bool NeedInput(int64_t layer, std::initializer_list<Linear> linears,
                 const RowPacking& packing) const;

  // dx (+)= the gradient of the linear's input, when dx has data; adds the gradients of its
  // adapters' A and B, of its weight and of its bias. `x` may have no data when NeedInput says so.
  void Run(int64_t layer, Linear linear, const RowPacking& packing,
           ConstTensorView x,   // [rows, in] of the model's type, or no data
           ConstTensorView dy,  // [rows, out] f32
           TensorView dx,       // [rows, in] f32, or no data: not wanted
           Accumulate accumulate) const;

 private:
  const Model& model_;
  const BackwardOptions& options_;
  Stream& stream_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_BACKWARD_LINEAR_H_
