#include "kernels/cuda/cuda_matmul.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/cuda/cublas_lt_entries.h"
#include "kernels/device.h"

namespace alchemist {
namespace {

std::string SizeText(const CudaMatmulSize& size) {
  return absl::StrCat("of rows ", size.rows, ", inputs ", size.inputs, ", outputs ", size.outputs);
}

}  // namespace

ColumnMajorMatmul AsColumnMajor(const CudaMatmulSize& size) {
  // Row-major [m, n] and column-major [n, m] are the same bytes. So in BLAS's eyes w is
  // [inputs, outputs], x is [inputs, rows], y is [outputs, rows], and y = x * w^T is asked for as
  // its transpose, y^T = w * x^T: w has to be turned back, x is x^T as it lies.
  return {.a = {.rows = size.inputs, .columns = size.outputs, .stride = size.inputs},
          .b = {.rows = size.inputs, .columns = size.rows, .stride = size.inputs},
          .d = {.rows = size.outputs, .columns = size.rows, .stride = size.outputs}};
}

// What cublasLtMatmul reads.
struct CudaMatmul::Plan {
  explicit Plan(const CublasLt* lt) : cublas(lt), entries(lt->entries()) {}
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan();

  absl::Status Describe();
  absl::StatusOr<cublasLtMatrixLayout_t> Layout(const ColumnMajorMatrix& matrix) const;
  absl::Status Prefer();
  absl::Status ChooseAlgorithm();

  const CublasLt* const cublas;
  const CublasLtEntries& entries;
  CudaMatmulSize size;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr;
  cublasLtMatrixLayout_t b = nullptr;
  cublasLtMatrixLayout_t d = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatmulAlgo_t algorithm = {};
  Buffer workspace;
};

CudaMatmul::Plan::~Plan() {
  const auto check = [this](cublasStatus_t result, absl::string_view call) {
    const absl::Status status = entries.Check(result, call);
    if (!status.ok()) LOG(ERROR) << status;
  };
  if (preference != nullptr) {
    check(entries.cublasLtMatmulPreferenceDestroy(preference), "cublasLtMatmulPreferenceDestroy");
  }
  for (cublasLtMatrixLayout_t layout : {a, b, d}) {
    if (layout == nullptr) continue;
    check(entries.cublasLtMatrixLayoutDestroy(layout), "cublasLtMatrixLayoutDestroy");
  }
  if (operation != nullptr) {
    check(entries.cublasLtMatmulDescDestroy(operation), "cublasLtMatmulDescDestroy");
  }
}

absl::StatusOr<cublasLtMatrixLayout_t> CudaMatmul::Plan::Layout(
    const ColumnMajorMatrix& matrix) const {
  cublasLtMatrixLayout_t layout = nullptr;
  RETURN_IF_ERROR(
      entries.Check(entries.cublasLtMatrixLayoutCreate(&layout, CUDA_R_16BF, matrix.rows,
                                                       matrix.columns, matrix.stride),
                    "cublasLtMatrixLayoutCreate", SizeText(size)));
  return layout;
}

absl::Status CudaMatmul::Plan::Describe() {
  RETURN_IF_ERROR(
      entries.Check(entries.cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F),
                    "cublasLtMatmulDescCreate"));
  const cublasOperation_t transposed = CUBLAS_OP_T;
  RETURN_IF_ERROR(
      entries.Check(entries.cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA,
                                                           &transposed, sizeof(transposed)),
                    "cublasLtMatmulDescSetAttribute", "TRANSA"));
  const ColumnMajorMatmul matmul = AsColumnMajor(size);
  ASSIGN_OR_RETURN(a, Layout(matmul.a));
  ASSIGN_OR_RETURN(b, Layout(matmul.b));
  ASSIGN_OR_RETURN(d, Layout(matmul.d));
  return absl::OkStatus();
}

absl::Status CudaMatmul::Plan::Prefer() {
  RETURN_IF_ERROR(entries.Check(entries.cublasLtMatmulPreferenceCreate(&preference),
                                "cublasLtMatmulPreferenceCreate"));
  const auto set = [this](cublasLtMatmulPreferenceAttributes_t attribute, auto value) {
    return entries.Check(
        entries.cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof(value)),
        "cublasLtMatmulPreferenceSetAttribute", absl::StrCat(attribute));
  };
  RETURN_IF_ERROR(
      set(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t{kCudaMatmulWorkspaceBytesMax}));
  // Where the inputs are split among blocks their parts are added in f32 too: the schemes that are
  // left out add them in y, which is bf16.
  RETURN_IF_ERROR(
      set(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
          uint32_t{CUBLASLT_REDUCTION_SCHEME_NONE | CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE}));
  for (const auto attribute :
       {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES}) {
    RETURN_IF_ERROR(set(attribute, uint32_t{kCudaMatmulAlignment}));
  }
  return absl::OkStatus();
}

absl::Status CudaMatmul::Plan::ChooseAlgorithm() {
  cublasLtMatmulHeuristicResult_t best = {};
  int found = 0;
  RETURN_IF_ERROR(
      entries.Check(entries.cublasLtMatmulAlgoGetHeuristic(cublas->handle(), operation, a, b, d, d,
                                                           preference, 1, &best, &found),
                    "cublasLtMatmulAlgoGetHeuristic", SizeText(size)));
  if (found == 0) {
    return absl::UnimplementedError(
        absl::StrCat("cuBLASLt has no algorithm for a product ", SizeText(size)));
  }
  RETURN_IF_ERROR(entries.Check(best.state, "cublasLtMatmulAlgoGetHeuristic", SizeText(size)));
  algorithm = best.algo;
  ASSIGN_OR_RETURN(workspace, cublas->device()->Allocate(static_cast<int64_t>(best.workspaceSize)));
  return absl::OkStatus();
}

absl::StatusOr<CudaMatmul> CudaMatmul::Create(const CublasLt* cublas, const CudaMatmulSize& size) {
  if (size.rows < 1 || size.inputs < 1 || size.outputs < 1) {
    return absl::InvalidArgumentError(absl::StrCat("a product ", SizeText(size)));
  }
  auto plan = std::make_unique<Plan>(cublas);
  plan->size = size;
  RETURN_IF_ERROR(plan->Describe());
  RETURN_IF_ERROR(plan->Prefer());
  RETURN_IF_ERROR(plan->ChooseAlgorithm());
  return CudaMatmul(std::move(plan));
}

CudaMatmul::CudaMatmul(std::unique_ptr<Plan> plan) : plan_(std::move(plan)) {}
CudaMatmul::CudaMatmul(CudaMatmul&& other) noexcept = default;
CudaMatmul& CudaMatmul::operator=(CudaMatmul&& other) noexcept = default;
CudaMatmul::~CudaMatmul() = default;

int64_t CudaMatmul::workspace_bytes() const { return plan_->workspace.bytes(); }

absl::Status CudaMatmul::Run(uint64_t x, uint64_t w, uint64_t y, CudaStream& stream) const {
  if ((x | w | y) % kCudaMatmulAlignment != 0) {
    return absl::InvalidArgumentError(absl::StrCat("x, w and y of a product lie at multiples of ",
                                                   kCudaMatmulAlignment, " bytes; these lie at ", x,
                                                   ", ", w, ", ", y));
  }
  const float alpha = 1;
  const float beta = 0;
  void* const output = reinterpret_cast<void*>(y);
  const Plan& plan = *plan_;
  return plan.entries.Check(
      plan.entries.cublasLtMatmul(
          plan.cublas->handle(), plan.operation, &alpha, reinterpret_cast<const void*>(w), plan.a,
          reinterpret_cast<const void*>(x), plan.b, &beta, output, plan.d, output, plan.d,
          &plan.algorithm, plan.workspace.data(), plan.workspace.bytes(), stream.handle()),
      "cublasLtMatmul", SizeText(plan.size));
}

}  // namespace alchemist
