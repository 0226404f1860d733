#include "kernels/attention.h"

#include "base/logging.h"
#include "kernels/attention_cpu.h"
#include "kernels/dispatch.h"

namespace alchemist {
namespace {

void CheckAttentionShape(const AttentionShape& shape) {
  CHECK(shape.kv_heads > 0 && shape.heads > 0 && shape.heads % shape.kv_heads == 0)
      << shape.heads << " heads, " << shape.kv_heads << " kv heads";
  CHECK(shape.head_dim > 0 && shape.head_dim % 8 == 0) << "head_dim " << shape.head_dim;
}

// Ascending positions of rows of the call, and K/V for all of them without a gap.
template <typename Span>
void CheckSpan(const char* what, const AttentionShape& shape, const Span& span, int64_t rows,
               DType dtype) {
  const int64_t count = static_cast<int64_t>(span.positions.size());
  CHECK(span.first_row >= 0 && span.first_row + count <= rows)
      << what << ": rows " << span.first_row << " + " << count << " of " << rows;
  if (count == 0) return;
  for (int64_t t = 0; t < count; ++t) {
    CHECK_GE(span.positions[t], t == 0 ? 0 : span.positions[t - 1] + 1) << what << ", row " << t;
  }
  int64_t next = 0;
  for (const KvRun& run : span.kv) {
    CHECK_EQ(run.first_position, next) << what;
    CheckShape(what, run.k, run.k.rows, shape.kv_heads * shape.head_dim, dtype);
    CheckShape(what, run.v, run.k.rows, shape.kv_heads * shape.head_dim, dtype);
    next += run.k.rows;
  }
  CHECK_LT(span.positions.back(), next) << what << ": no K/V there";
}

void CheckGradRuns(const AttentionGradSpan& span) {
  CHECK_EQ(span.kv_grad.size(), span.kv.size());
  for (size_t i = 0; i < span.kv.size(); ++i) {
    const KvRun& run = span.kv[i];
    const KvGradRun& grad = span.kv_grad[i];
    CHECK_EQ(grad.first_position, run.first_position);
    CheckShape("AttentionBackward dk", grad.dk, run.k.rows, run.k.width, DType::kF32);
    CheckShape("AttentionBackward dv", grad.dv, run.k.rows, run.k.width, DType::kF32);
  }
}

}  // namespace

void AttentionForward(const AttentionShape& shape, absl::Span<const AttentionSpan> spans,
                      ConstTensorView q, TensorView out, TensorView lse, RowPhase phase,
                      Stream& stream) {
  CheckAttentionShape(shape);
  CheckShape("AttentionForward q", q, q.rows, shape.heads * shape.head_dim, q.dtype);
  CheckShape("AttentionForward out", out, q.rows, q.width, q.dtype);
  CheckShape("AttentionForward lse", lse, q.rows, shape.heads, DType::kF32);
  for (const AttentionSpan& span : spans) {
    CheckSpan("AttentionForward K/V", shape, span, q.rows, q.dtype);
  }
  DispatchDType("AttentionForward", q.dtype, [&](auto zero) {
    AttentionForwardCpu<decltype(zero)>(shape, spans, q, out, lse, phase, stream);
  });
}

void AttentionBackward(const AttentionShape& shape, absl::Span<const AttentionGradSpan> spans,
                       const RowPieces& q, const RowPieces& out, const RowPieces& lse,
                       ConstTensorView dout, TensorView dq, Stream& stream) {
  if (dout.rows == 0) return;
  CheckAttentionShape(shape);
  CHECK(q.rows() == dout.rows && out.rows() == dout.rows && lse.rows() == dout.rows)
      << q.rows() << ", " << out.rows() << ", " << lse.rows() << " rows for " << dout.rows;
  CHECK(q.width() == dout.width && out.width() == dout.width) << q.width() << ", " << out.width();
  CHECK(out.dtype() == q.dtype() && lse.dtype() == DType::kF32);
  CHECK_EQ(lse.width(), shape.heads);
  CheckShape("AttentionBackward dout", dout, dout.rows, shape.heads * shape.head_dim, DType::kF32);
  CheckShape("AttentionBackward dq", dq, dout.rows, dout.width, DType::kF32);
  for (const AttentionGradSpan& span : spans) {
    CheckSpan("AttentionBackward K/V", shape, span, dout.rows, q.dtype());
    CheckGradRuns(span);
  }
  DispatchDType("AttentionBackward", q.dtype(), [&](auto zero) {
    AttentionBackwardCpu<decltype(zero)>(shape, spans, q, out, lse, dout, dq, stream);
  });
}

}  // namespace alchemist
