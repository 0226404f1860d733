// FeedbackService: durable before it is acknowledged.
#ifndef ALCHEMIST_SERVER_FEEDBACK_SERVICE_H_
#define ALCHEMIST_SERVER_FEEDBACK_SERVICE_H_

#include <memory>

#include "base/clock.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "server/log_thread.h"
#include "server/serving_loop.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace alchemist {

// All arguments must outlive the service. Its calls run on gRPC's threads.
std::unique_ptr<grpc::Service> MakeFeedbackService(const Model* model, const Tokenizer* tokenizer,
                                                   const Clock* clock, LogThread* log,
                                                   ServingLoop* loop);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_FEEDBACK_SERVICE_H_
