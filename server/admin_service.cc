#include "server/admin_service.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "proto/alchemist/v1/admin.grpc.pb.h"
#include "server/dump_record.h"
#include "server/grpc_status_service.h"
#include "server/link_messages.h"
#include "server/log_call.h"
#include "server/server_status.h"

namespace alchemist {
namespace {

class AdminServiceImpl final : public v1::AdminService::Service {
 public:
  AdminServiceImpl(const Model* model, const Tokenizer* tokenizer, LogThread* log,
                   Publisher* publisher, ServingLoop* loop)
      : model_(model), tokenizer_(tokenizer), log_(log), publisher_(publisher), loop_(loop) {}

  grpc::Status GetStatus(grpc::ServerContext*, const v1::GetStatusRequest*,
                         v1::GetStatusResponse* response) override {
    absl::StatusOr<v1::GetStatusResponse> status =
        ServerStatus({model_->base_digest(), tokenizer_->digest()}, *loop_, *log_);
    if (status.ok()) *response = *std::move(status);
    return ToGrpcStatus(status.status());
  }

  grpc::Status ListRevisions(grpc::ServerContext*, const v1::ListRevisionsRequest* request,
                             v1::ListRevisionsResponse* response) override {
    if (const absl::Status status = CheckAdapterId(request->adapter_id()); !status.ok()) {
      return ToGrpcStatus(status);
    }
    return ToGrpcStatus(CallLog(*log_, [&](FeedbackLog& log) -> absl::Status {
      ASSIGN_OR_RETURN(const AdapterRow adapter, log.revisions().FindAdapter(kDefaultAdapter));
      ASSIGN_OR_RETURN(
          const std::vector<RevisionRow> rows,
          log.revisions().List(kDefaultAdapter, request->first_number(), RevisionTable::kPageMax));
      for (const RevisionRow& row : rows) AddRevision(row, adapter, *response);
      return absl::OkStatus();
    }));
  }

  grpc::Status Rollback(grpc::ServerContext*, const v1::RollbackRequest* request,
                        v1::RollbackResponse* response) override {
    if (const absl::Status status = CheckAdapterId(request->adapter_id()); !status.ok()) {
      return ToGrpcStatus(status);
    }
    // What serves changes in the order in which the log committed it, publishes included.
    using Revision = std::shared_ptr<const ServedRevision>;
    const auto result = std::make_shared<std::promise<absl::StatusOr<Revision>>>();
    std::future<absl::StatusOr<Revision>> answer = result->get_future();
    const absl::Status posted = publisher_->PostRollback(
        static_cast<int64_t>(request->number()), [this, result](absl::StatusOr<Revision> revision) {
          if (!revision.ok()) return result->set_value(std::move(revision));
          loop_->PostInternal([this, revision = *std::move(revision), result] {
            loop_->registry().OnRollback(revision);
            loop_->feed().OnRollback();
            result->set_value(revision);
          });
        });
    if (!posted.ok()) return ToGrpcStatus(posted);
    const absl::StatusOr<Revision> revision = answer.get();
    if (revision.ok()) {
      LOG(INFO) << "rolled back to revision " << (*revision)->id.number;
      *response->mutable_revision() = ToMessage((*revision)->id);
    }
    return ToGrpcStatus(revision.status());
  }

  grpc::Status Pin(grpc::ServerContext*, const v1::PinRequest* request, v1::PinResponse*) override {
    if (const absl::Status status = CheckAdapterId(request->adapter_id()); !status.ok()) {
      return ToGrpcStatus(status);
    }
    return ToGrpcStatus(CallLog(*log_, [pinned = request->pinned()](FeedbackLog& log) {
      return log.revisions().SetPinned(kDefaultAdapter, pinned);
    }));
  }

  grpc::Status PauseTraining(grpc::ServerContext*, const v1::PauseTrainingRequest*,
                             v1::PauseTrainingResponse*) override {
    return SetPaused(true);
  }
  grpc::Status ResumeTraining(grpc::ServerContext*, const v1::ResumeTrainingRequest*,
                              v1::ResumeTrainingResponse*) override {
    return SetPaused(false);
  }

  grpc::Status Inspect(grpc::ServerContext*, const v1::InspectRequest* request,
                       v1::InspectResponse* response) override {
    return ToGrpcStatus(loop_->Call([&]() -> absl::Status {
      if (request->name() == "store") {
        response->set_text(loop_->store().Inspect());
      } else if (request->name() == "link") {
        response->set_text(loop_->feed().Inspect());
      } else if (request->name() == "adapters") {
        const RevisionId& serving = loop_->registry().serving()->id;
        response->set_text(absl::StrCat(serving.adapter_id, " revision ", serving.number,
                                        " digest ", serving.digest, "\n"));
      } else if (request->name() == "steps") {
        response->set_text(loop_->batcher().step_log().Text());
      } else if (request->name() == "requests") {
        response->set_text(loop_->batcher().Inspect());
      } else {
        return absl::NotFoundError("name: must be store, adapters, link, requests or steps");
      }
      return absl::OkStatus();
    }));
  }

  // One at a time: a large record keeps a core busy for a while, and serving wants it.
  grpc::Status DumpRecord(grpc::ServerContext* context, const v1::DumpRecordRequest* request,
                          v1::DumpRecordResponse* response) override {
    if (dumping_.exchange(true)) {
      return ToGrpcStatus(absl::ResourceExhaustedError("another DumpRecord runs"));
    }
    absl::StatusOr<v1::DumpRecordResponse> dump =
        alchemist::DumpRecord(*loop_, request->id(), [context] { return context->IsCancelled(); });
    dumping_ = false;
    if (dump.ok()) *response = *std::move(dump);
    return ToGrpcStatus(dump.status());
  }

 private:
  grpc::Status SetPaused(bool paused) {
    return ToGrpcStatus(loop_->Call([&] {
      loop_->feed().SetPaused(paused);
      return absl::OkStatus();
    }));
  }

  void AddRevision(const RevisionRow& row, const AdapterRow& adapter,
                   v1::ListRevisionsResponse& response) const {
    v1::RevisionInfo& info = *response.add_revisions();
    *info.mutable_revision() = ToMessage(row.revision);
    info.set_parent(static_cast<uint64_t>(row.parent));
    info.set_serving(row.revision.number == adapter.serving.number);
    info.set_published_unix_us(row.published_unix_us);
    info.set_step(row.step);
    info.set_feedback_count(row.feedback_count);
    info.set_kept(loop_->registry().HasDirectory(row.revision.number));
    for (const FeedbackPasses& passes : row.lineage) {
      v1::FeedbackPasses& message = *info.add_lineage();
      message.set_feedback_id(passes.feedback_id);
      message.set_passes(passes.passes);
    }
  }

  const Model* const model_;
  const Tokenizer* const tokenizer_;
  LogThread* const log_;
  Publisher* const publisher_;
  ServingLoop* const loop_;
  std::atomic<bool> dumping_ = false;  // gRPC's threads.
};

}  // namespace

std::unique_ptr<grpc::Service> MakeAdminService(const Model* model, const Tokenizer* tokenizer,
                                                LogThread* log, Publisher* publisher,
                                                ServingLoop* loop) {
  return std::make_unique<AdminServiceImpl>(model, tokenizer, log, publisher, loop);
}

}  // namespace alchemist
