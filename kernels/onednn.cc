#include "kernels/onednn.h"

#include <omp.h>

#include <dnnl.hpp>
#include <memory>
#include <unordered_map>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/simd_level.h"

namespace alchemist {
namespace {

// A model needs some tens per thread. Beyond the limit all are dropped and made again.
constexpr size_t kPreparedMax = 1024;

const dnnl::engine& Engine() {
  static const auto* const engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

// A primitive with the memory objects that it is run with. They are cheap to point elsewhere and
// dear to make.
class PreparedMatmul {
 public:
  explicit PreparedMatmul(const OnednnMatmulShape& shape)
      : a_(Describe(shape.rows, shape.depth, shape.a_stride, false, shape.dtype), Engine(),
           nullptr),
        b_(Describe(shape.depth, shape.columns, shape.b_stride, shape.b_transposed, shape.dtype),
           Engine(), nullptr),
        c_(Describe(shape.rows, shape.columns, shape.columns, false, DType::kF32), Engine(),
           nullptr),
        stream_(Engine()),
        matmul_(
            dnnl::matmul::primitive_desc({a_.get_desc(), b_.get_desc(), c_.get_desc()}, Engine())),
        arguments_({{DNNL_ARG_SRC, a_}, {DNNL_ARG_WEIGHTS, b_}, {DNNL_ARG_DST, c_}}) {}

  void Run(const void* a, const void* b, float* c) {
    a_.set_data_handle(const_cast<void*>(a));
    b_.set_data_handle(const_cast<void*>(b));
    c_.set_data_handle(c);
    matmul_.execute(stream_, arguments_);
  }

 private:
  static dnnl::memory::desc Describe(int64_t rows, int64_t columns, int64_t stride, bool transposed,
                                     DType dtype) {
    const dnnl::memory::dims strides =
        transposed ? dnnl::memory::dims{1, stride} : dnnl::memory::dims{stride, 1};
    return dnnl::memory::desc(
        {rows, columns},
        dtype == DType::kBf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32,
        strides);
  }

  dnnl::memory a_, b_, c_;
  dnnl::stream stream_;
  dnnl::matmul matmul_;
  std::unordered_map<int, dnnl::memory> arguments_;
};

// The calling thread's prepared calls. Its constructor also keeps oneDNN on the thread: Debian's is
// built with OpenMP, which would start a team of its own under every worker of ours (DESIGN.md
// section 9). oneDNN has no call for that; it asks OpenMP for the calling thread's team size, and
// with 1 it never enters OpenMP.
class PreparedMatmuls {
 public:
  PreparedMatmuls() { omp_set_num_threads(1); }

  PreparedMatmul& For(const OnednnMatmulShape& shape) {
    const auto found = by_shape_.find(shape);
    if (found != by_shape_.end()) return *found->second;
    if (by_shape_.size() >= kPreparedMax) by_shape_.clear();
    return *by_shape_.emplace(shape, std::make_unique<PreparedMatmul>(shape)).first->second;
  }

 private:
  absl::flat_hash_map<OnednnMatmulShape, std::unique_ptr<PreparedMatmul>> by_shape_;
};

}  // namespace

void OnednnMatmul(const OnednnMatmulShape& shape, const void* a, const void* b, float* c) {
  DCHECK(shape.rows > 0 && shape.depth > 0 && shape.columns > 0)
      << shape.rows << " x " << shape.depth << " x " << shape.columns;
  thread_local PreparedMatmuls prepared;
  prepared.For(shape).Run(a, b, c);
}

bool OnednnPrefersBf16() {
  const auto may_use = [](dnnl::cpu_isa isa) {
    // An instruction set's value has the bits of all those that it includes.
    const auto bits = static_cast<unsigned>(isa);
    return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & bits) == bits;
  };
  return may_use(dnnl::cpu_isa::avx512_core_amx) ||
         (may_use(dnnl::cpu_isa::avx512_core_bf16) && HasFullRateBf16());
}

std::string OnednnVersion() {
  const dnnl_version_t& version = *dnnl::version();
  return absl::StrCat(version.major, ".", version.minor, ".", version.patch);
}

}  // namespace alchemist
