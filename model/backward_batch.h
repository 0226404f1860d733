// BackwardBatch: what all steps of one backward pass share. Plain references into the pass.
#ifndef ALCHEMIST_MODEL_BACKWARD_BATCH_H_
#define ALCHEMIST_MODEL_BACKWARD_BATCH_H_

#include "kernels/stream.h"
#include "model/backward.h"
#include "model/backward_scratch.h"
#include "model/model.h"
#include "model/packed_rows.h"

namespace alchemist {

struct BackwardBatch {
  const Model& model;
  const BackwardOptions& options;
  const PackedRows& rows;
  const BackwardScratch& scratch;
  Stream& stream;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_BACKWARD_BATCH_H_
