#include "kernels/cuda/cudnn_attention_graph.h"

#include <array>
#include <utility>

#include "absl/types/span.h"

namespace alchemist {
namespace {

using Dimensions = std::array<int64_t, 4>;  // [batch, head, token, channel or token]
using Node = const CudnnDescriptor*;

constexpr int64_t kTokenAxis = 2;
constexpr int64_t kSeenTokenAxis = 3;
constexpr int64_t kAlignment = 16;  // Of every tensor, in bytes.

Dimensions Dense(const Dimensions& size) {
  return {size[1] * size[2] * size[3], size[2] * size[3], size[3], 1};
}

absl::Span<const int64_t> One(const int64_t& value) { return absl::MakeConstSpan(&value, 1); }

// Makes descriptors one after another. After the first error it makes none, and Join returns the
// error: so what is built with it reads as the computation.
class Builder {
 public:
  Builder(const CudnnEntries* entries, const CudnnAttentionShape& shape)
      : entries_(entries),
        nothing_(entries),
        scores_({shape.batch, shape.heads, shape.tokens, shape.tokens}),
        row_({shape.batch, shape.heads, shape.tokens, 1}) {}

  // A tensor in memory.
  Node Tensor(int64_t id, cudnnDataType_t type, const Dimensions& size, const Dimensions& stride) {
    return Make(CUDNN_BACKEND_TENSOR_DESCRIPTOR, TensorAttributes(id, type, size, stride));
  }
  // One f32 of host memory.
  Node Scalar(int64_t id) {
    std::vector<CudnnAttribute> attributes =
        TensorAttributes(id, CUDNN_DATA_FLOAT, {1, 1, 1, 1}, {1, 1, 1, 1});
    attributes.emplace_back(CUDNN_ATTR_TENSOR_IS_BY_VALUE, true);
    return Make(CUDNN_BACKEND_TENSOR_DESCRIPTOR, attributes);
  }
  // Tensors that only pass between operations: a value per score, or per row of scores.
  Node Scores(cudnnDataType_t type = CUDNN_DATA_FLOAT) { return Virtual(type, scores_); }
  Node Row() { return Virtual(CUDNN_DATA_FLOAT, row_); }

  // Operations return what they wrote: the last of their tensors.
  Node Matmul(Node a, Node b, Node c);
  Node Reduce(cudnnReduceTensorOp_t mode, Node x, Node y);
  Node Unary(cudnnPointwiseMode_t mode, Node x, Node y);
  Node Binary(cudnnPointwiseMode_t mode, Node x, Node b, Node y,
              cudnnDataType_t type = CUDNN_DATA_FLOAT);
  Node Select(Node condition, Node x, Node b, Node y);  // Where it holds x, elsewhere b.
  Node Index(int64_t axis, Node x, Node y);             // Of each element of x along `axis`.

  absl::StatusOr<std::deque<CudnnDescriptor>> Join(cudnnHandle_t handle);

 private:
  static std::vector<CudnnAttribute> TensorAttributes(int64_t id, cudnnDataType_t type,
                                                      const Dimensions& size,
                                                      const Dimensions& stride) {
    return {{CUDNN_ATTR_TENSOR_UNIQUE_ID, One(id)},
            {CUDNN_ATTR_TENSOR_DATA_TYPE, type},
            {CUDNN_ATTR_TENSOR_DIMENSIONS, absl::MakeConstSpan(size)},
            {CUDNN_ATTR_TENSOR_STRIDES, absl::MakeConstSpan(stride)},
            {CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, One(kAlignment)}};
  }
  Node Virtual(cudnnDataType_t type, const Dimensions& size) {
    std::vector<CudnnAttribute> attributes =
        TensorAttributes(next_virtual_++, type, size, Dense(size));
    attributes.emplace_back(CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
    return Make(CUDNN_BACKEND_TENSOR_DESCRIPTOR, attributes);
  }
  Node Make(cudnnBackendDescriptorType_t type, const std::vector<CudnnAttribute>& attributes);
  Node MakePointwise(cudnnPointwiseMode_t mode, cudnnDataType_t type) {
    return Make(CUDNN_BACKEND_POINTWISE_DESCRIPTOR,
                {{CUDNN_ATTR_POINTWISE_MODE, mode}, {CUDNN_ATTR_POINTWISE_MATH_PREC, type}});
  }
  void AddOperation(cudnnBackendDescriptorType_t type,
                    const std::vector<CudnnAttribute>& attributes) {
    operations_.push_back(Make(type, attributes));
  }

  const CudnnEntries* const entries_;
  const CudnnDescriptor nothing_;  // Stands for what was not made.
  const Dimensions scores_;
  const Dimensions row_;
  int64_t next_virtual_ = kCudnnFirstVirtual;
  std::deque<CudnnDescriptor> made_;  // A deque, because Nodes point into it.
  std::vector<Node> operations_;
  absl::Status error_;
};

Node Builder::Make(cudnnBackendDescriptorType_t type,
                   const std::vector<CudnnAttribute>& attributes) {
  if (!error_.ok()) return &nothing_;
  absl::StatusOr<CudnnDescriptor> made = CudnnDescriptor::Create(entries_, type, attributes);
  if (!made.ok()) {
    error_ = made.status();
    return &nothing_;
  }
  return &made_.emplace_back(*std::move(made));
}

Node Builder::Matmul(Node a, Node b, Node c) {
  const Node matmul =
      Make(CUDNN_BACKEND_MATMUL_DESCRIPTOR, {{CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT}});
  AddOperation(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR,
               {{CUDNN_ATTR_OPERATION_MATMUL_DESC, *matmul},
                {CUDNN_ATTR_OPERATION_MATMUL_ADESC, *a},
                {CUDNN_ATTR_OPERATION_MATMUL_BDESC, *b},
                {CUDNN_ATTR_OPERATION_MATMUL_CDESC, *c}});
  return c;
}

Node Builder::Reduce(cudnnReduceTensorOp_t mode, Node x, Node y) {
  const Node reduction = Make(
      CUDNN_BACKEND_REDUCTION_DESCRIPTOR,
      {{CUDNN_ATTR_REDUCTION_OPERATOR, mode}, {CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT}});
  AddOperation(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR,
               {{CUDNN_ATTR_OPERATION_REDUCTION_DESC, *reduction},
                {CUDNN_ATTR_OPERATION_REDUCTION_XDESC, *x},
                {CUDNN_ATTR_OPERATION_REDUCTION_YDESC, *y}});
  return y;
}

Node Builder::Unary(cudnnPointwiseMode_t mode, Node x, Node y) {
  const Node pointwise = MakePointwise(mode, CUDNN_DATA_FLOAT);
  AddOperation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
               {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, *pointwise},
                {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, *x},
                {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, *y}});
  return y;
}

Node Builder::Binary(cudnnPointwiseMode_t mode, Node x, Node b, Node y, cudnnDataType_t type) {
  const Node pointwise = MakePointwise(mode, type);
  AddOperation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
               {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, *pointwise},
                {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, *x},
                {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b},
                {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, *y}});
  return y;
}

Node Builder::Select(Node condition, Node x, Node b, Node y) {
  const Node pointwise = MakePointwise(CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT);
  AddOperation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
               {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, *pointwise},
                {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, *x},
                {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, *b},
                {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, *y},
                {CUDNN_ATTR_OPERATION_POINTWISE_TDESC, *condition}});
  return y;
}

Node Builder::Index(int64_t axis, Node x, Node y) {
  const Node pointwise = Make(CUDNN_BACKEND_POINTWISE_DESCRIPTOR,
                              {{CUDNN_ATTR_POINTWISE_MODE, CUDNN_POINTWISE_GEN_INDEX},
                               {CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT},
                               {CUDNN_ATTR_POINTWISE_AXIS, One(axis)}});
  AddOperation(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR,
               {{CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, *pointwise},
                {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, *x},
                {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, *y}});
  return y;
}

absl::StatusOr<std::deque<CudnnDescriptor>> Builder::Join(cudnnHandle_t handle) {
  std::vector<CudnnAttribute> attributes = {
      {CUDNN_ATTR_OPERATIONGRAPH_OPS, absl::MakeConstSpan(operations_)}};
  if (handle != nullptr) attributes.emplace_back(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, handle);
  Make(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, attributes);
  RETURN_IF_ERROR(error_);
  return std::move(made_);
}

// Rows of `heads` heads, a token's heads adjacent: [batch, tokens, heads, head_dim] in memory,
// [batch, heads, tokens, head_dim] to cuDNN.
Dimensions HeadStrides(const CudnnAttentionShape& shape, int64_t heads) {
  const int64_t token = heads * shape.head_dim;
  return {shape.tokens * token, shape.head_dim, token, 1};
}

}  // namespace

absl::StatusOr<CudnnAttentionGraph> CudnnAttentionGraph::Create(const CudnnEntries* entries,
                                                                const CudnnAttentionShape& shape,
                                                                cudnnHandle_t handle) {
  Builder graph(entries, shape);
  const auto& [batch, tokens, heads, kv_heads, head_dim] = shape;
  const Dimensions q_size = {batch, heads, tokens, head_dim};
  const Dimensions q_stride = HeadStrides(shape, heads);
  const Dimensions kv_stride = HeadStrides(shape, kv_heads);
  const Dimensions row_size = {batch, heads, tokens, 1};
  const Node q = graph.Tensor(kCudnnQ, CUDNN_DATA_BFLOAT16, q_size, q_stride);
  // K is its own transpose with the strides of the last two dimensions exchanged.
  const Node k_transposed =
      graph.Tensor(kCudnnK, CUDNN_DATA_BFLOAT16, {batch, kv_heads, head_dim, tokens},
                   {kv_stride[0], kv_stride[1], kv_stride[3], kv_stride[2]});
  const Node v =
      graph.Tensor(kCudnnV, CUDNN_DATA_BFLOAT16, {batch, kv_heads, tokens, head_dim}, kv_stride);
  const Node output = graph.Tensor(kCudnnOutput, CUDNN_DATA_BFLOAT16, q_size, q_stride);
  const Node log_sum_exp =
      graph.Tensor(kCudnnLogSumExp, CUDNN_DATA_FLOAT, row_size, Dense(row_size));

  const Node dot = graph.Matmul(q, k_transposed, graph.Scores());
  const Node score =
      graph.Binary(CUDNN_POINTWISE_MUL, dot, graph.Scalar(kCudnnScale), graph.Scores());
  // A token sees itself and what came before it.
  const Node token = graph.Index(kTokenAxis, score, graph.Scores(CUDNN_DATA_INT32));
  const Node seen = graph.Index(kSeenTokenAxis, score, graph.Scores(CUDNN_DATA_INT32));
  const Node is_seen = graph.Binary(CUDNN_POINTWISE_CMP_GE, token, seen,
                                    graph.Scores(CUDNN_DATA_BOOLEAN), CUDNN_DATA_BOOLEAN);
  const Node causal = graph.Select(is_seen, score, graph.Scalar(kCudnnMasked), graph.Scores());
  const Node max = graph.Reduce(CUDNN_REDUCE_TENSOR_MAX, causal, graph.Row());
  const Node below = graph.Binary(CUDNN_POINTWISE_SUB, causal, max, graph.Scores());
  const Node weight = graph.Unary(CUDNN_POINTWISE_EXP, below, graph.Scores());
  const Node sum = graph.Reduce(CUDNN_REDUCE_TENSOR_ADD, weight, graph.Row());
  const Node log_sum = graph.Unary(CUDNN_POINTWISE_LOG, sum, graph.Row());
  graph.Binary(CUDNN_POINTWISE_ADD, max, log_sum, log_sum_exp);
  // The engines multiply V by bf16 alone.
  const Node share =
      graph.Binary(CUDNN_POINTWISE_DIV, weight, sum, graph.Scores(CUDNN_DATA_BFLOAT16));
  graph.Matmul(share, v, output);
  ASSIGN_OR_RETURN(std::deque<CudnnDescriptor> descriptors, graph.Join(handle));
  return CudnnAttentionGraph(entries, std::move(descriptors));
}

CudnnAttentionGraph::CudnnAttentionGraph(const CudnnEntries* entries,
                                         std::deque<CudnnDescriptor> descriptors)
    : entries_(entries), descriptors_(std::move(descriptors)) {}

absl::StatusOr<std::vector<CudnnDescriptor>> CudnnAttentionGraph::Engines(
    const CudnnDescriptor* properties) const {
  std::vector<CudnnAttribute> attributes = {{CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, operations()},
                                            {CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_HEUR_MODE_A}};
  if (properties != nullptr) attributes.emplace_back(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *properties);
  ASSIGN_OR_RETURN(
      const CudnnDescriptor heuristics,
      CudnnDescriptor::Create(entries_, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, attributes));
  return heuristics.GetList(CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
}

}  // namespace alchemist
