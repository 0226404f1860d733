#include "server/model_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

#include "proto/alchemist/v1/model.grpc.pb.h"
#include "server/grpc_status_service.h"
#include "server/link_messages.h"
#include "server/tokenize_request.h"

namespace alchemist {
namespace {

// Hands `answer` on as gRPC wants it.
template <typename Response>
grpc::Status Reply(absl::StatusOr<Response> answer, Response* response) {
  if (answer.ok()) *response = *std::move(answer);
  return ToGrpcStatus(answer.status());
}

class ModelServiceImpl final : public v1::ModelService::Service {
 public:
  ModelServiceImpl(const Model* model, const Tokenizer* tokenizer, ServingLoop* loop)
      : model_(model), tokenizer_(tokenizer), loop_(loop) {}

  grpc::Status Tokenize(grpc::ServerContext*, const v1::TokenizeRequest* request,
                        v1::TokenizeResponse* response) override {
    return Reply(alchemist::Tokenize(*request, *tokenizer_, model_->config()), response);
  }

  grpc::Status Detokenize(grpc::ServerContext*, const v1::DetokenizeRequest* request,
                          v1::DetokenizeResponse* response) override {
    return Reply(alchemist::Detokenize(*request, *tokenizer_, model_->config()), response);
  }

  grpc::Status GetModelInfo(grpc::ServerContext*, const v1::GetModelInfoRequest*,
                            v1::GetModelInfoResponse* response) override {
    const ModelConfig& config = model_->config();
    *response->mutable_base() = ToMessage(BaseId{model_->base_digest(), tokenizer_->digest()});
    const std::string& directory = model_->directory();  // Resolved: it has no slash at its end.
    response->set_served_model_name(directory.substr(directory.rfind('/') + 1));
    response->set_model_type(ModelTypeName(config.family));
    response->set_vocab_size(config.vocab);
    response->set_max_context_length(config.context);
    response->set_max_request_tokens(std::min(config.context, loop_->tokens_max()));
    response->set_dtype(DTypeName(model_->dtype()));
    response->mutable_eos_token_ids()->Add(config.eos_ids.begin(), config.eos_ids.end());
    response->set_layers(config.layers);
    return ToGrpcStatus(loop_->Call([&] {
      const RevisionId& serving = loop_->registry().serving()->id;
      v1::AdapterInfo& adapter = *response->add_adapters();
      adapter.set_adapter_id(serving.adapter_id);
      *adapter.mutable_revision() = ToMessage(serving);
      return absl::OkStatus();
    }));
  }

  grpc::Status GetLoad(grpc::ServerContext*, const v1::GetLoadRequest*,
                       v1::GetLoadResponse* response) override {
    response->set_running_max(loop_->batcher_options().running_max);
    response->set_waiting_max(loop_->batcher_options().waiting_max);
    return ToGrpcStatus(loop_->Call([&] {
      const Batcher& batcher = loop_->batcher();
      response->set_requests_running(batcher.running());
      response->set_requests_waiting(batcher.waiting());
      response->set_prompt_tokens(batcher.counters().prompt_tokens);
      response->set_prefix_tokens(batcher.counters().prefix_tokens);
      const ActivationStore& store = loop_->store();
      const int64_t pages_used = store.serving_kv_pages() - store.serving_kv_pages_free();
      response->set_kv_cache_usage(static_cast<double>(pages_used) /
                                   static_cast<double>(store.serving_kv_pages()));
      return absl::OkStatus();
    }));
  }

 private:
  const Model* const model_;
  const Tokenizer* const tokenizer_;
  ServingLoop* const loop_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeModelService(const Model* model, const Tokenizer* tokenizer,
                                                ServingLoop* loop) {
  return std::make_unique<ModelServiceImpl>(model, tokenizer, loop);
}

}  // namespace alchemist
