#include "kernels/cuda/cudnn_attention.h"

#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "kernels/cuda/cudnn_attention_graph.h"
#include "kernels/cuda/cudnn_descriptor.h"
#include "kernels/cuda/cudnn_entries.h"
#include "kernels/device.h"

namespace alchemist {
namespace {

constexpr uint64_t kAlignment = 16;
constexpr size_t kTakesInfinity = 91000;  // cuDNN 9.10.

// Of all engines, best first, the first whose plan can be made.
absl::StatusOr<CudnnDescriptor> FirstPlan(const CudnnEntries* entries, cudnnHandle_t handle,
                                          const std::vector<CudnnDescriptor>& engines,
                                          const std::string& shape) {
  absl::Status refusal =
      absl::UnimplementedError("no engine knows this graph on this device, or at this size");
  for (const CudnnDescriptor& engine : engines) {
    absl::StatusOr<CudnnDescriptor> plan =
        CudnnDescriptor::Create(entries, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR,
                                {{CUDNN_ATTR_EXECUTION_PLAN_HANDLE, handle},
                                 {CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine}});
    if (plan.ok()) return plan;
    refusal = plan.status();
  }
  return absl::Status(refusal.code(),
                      absl::StrCat("cuDNN ", entries->Version(), " has no attention ", shape, ": ",
                                   refusal.message()));
}

}  // namespace

struct CudnnAttention::Plan {
  Plan(const CudnnHandle* handle, const CudnnAttentionShape& wanted, CudnnAttentionGraph made)
      : cudnn(handle), shape(wanted), graph(std::move(made)), plan(&handle->entries()) {}

  const CudnnHandle* const cudnn;
  const CudnnAttentionShape shape;
  CudnnAttentionGraph graph;
  CudnnDescriptor plan;
  Buffer workspace;
  float scale = 0;
  float masked = 0;
};

absl::StatusOr<CudnnAttention> CudnnAttention::Create(const CudnnHandle* cudnn,
                                                      const CudnnAttentionShape& shape) {
  RETURN_IF_ERROR(shape.Check());
  const CudnnEntries* entries = &cudnn->entries();
  ASSIGN_OR_RETURN(CudnnAttentionGraph graph,
                   CudnnAttentionGraph::Create(entries, shape, cudnn->handle()));
  auto plan = std::make_unique<Plan>(cudnn, shape, std::move(graph));
  ASSIGN_OR_RETURN(const std::vector<CudnnDescriptor> engines, plan->graph.Engines(nullptr));
  ASSIGN_OR_RETURN(plan->plan, FirstPlan(entries, cudnn->handle(), engines, shape.Text()));
  ASSIGN_OR_RETURN(const int64_t bytes,
                   plan->plan.GetInt64(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE));
  ASSIGN_OR_RETURN(plan->workspace, cudnn->device()->Allocate(bytes));
  plan->scale = static_cast<float>(1 / std::sqrt(static_cast<double>(shape.head_dim)));
  plan->masked = entries->cudnnGetVersion() < kTakesInfinity
                     ? std::numeric_limits<float>::lowest()
                     : -std::numeric_limits<float>::infinity();
  return CudnnAttention(std::move(plan));
}

CudnnAttention::CudnnAttention(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
CudnnAttention::CudnnAttention(CudnnAttention&& other) noexcept = default;
CudnnAttention& CudnnAttention::operator=(CudnnAttention&& other) noexcept = default;
CudnnAttention::~CudnnAttention() = default;

int64_t CudnnAttention::workspace_bytes() const { return plan_->workspace.bytes(); }

absl::Status CudnnAttention::Run(uint64_t q, uint64_t k, uint64_t v, uint64_t output,
                                 uint64_t log_sum_exp, CudaStream& stream) const {
  if ((q | k | v | output | log_sum_exp) % kAlignment != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "q, k, v, the output and the statistics of an attention lie at multiples of ", kAlignment,
        " bytes; these lie at ", q, ", ", k, ", ", v, ", ", output, ", ", log_sum_exp));
  }
  Plan& plan = *plan_;
  const CudnnEntries& entries = plan.cudnn->entries();
  const cudnnHandle_t handle = plan.cudnn->handle();
  const std::array<int64_t, 7> ids = {kCudnnQ,         kCudnnK,     kCudnnV,     kCudnnOutput,
                                      kCudnnLogSumExp, kCudnnScale, kCudnnMasked};
  const std::array<void*, 7> addresses = {reinterpret_cast<void*>(q),
                                          reinterpret_cast<void*>(k),
                                          reinterpret_cast<void*>(v),
                                          reinterpret_cast<void*>(output),
                                          reinterpret_cast<void*>(log_sum_exp),
                                          &plan.scale,
                                          &plan.masked};
  void* const workspace = plan.workspace.data();
  ASSIGN_OR_RETURN(const CudnnDescriptor pack,
                   CudnnDescriptor::Create(
                       &entries, CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR,
                       {{CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, absl::MakeConstSpan(ids)},
                        {CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, absl::MakeConstSpan(addresses)},
                        {CUDNN_ATTR_VARIANT_PACK_WORKSPACE, absl::MakeConstSpan(&workspace, 1)}}));
  RETURN_IF_ERROR(entries.Check(entries.cudnnSetStream(handle, stream.handle()), "cudnnSetStream"));
  return entries.Check(entries.cudnnBackendExecute(handle, plan.plan.get(), pack.get()),
                       "cudnnBackendExecute", plan.shape.Text());
}

}  // namespace alchemist
