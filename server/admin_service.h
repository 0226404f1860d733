// AdminService: status, revisions, rollback, pausing, inspection.
#ifndef ALCHEMIST_SERVER_ADMIN_SERVICE_H_
#define ALCHEMIST_SERVER_ADMIN_SERVICE_H_

#include <memory>

#include "server/log_thread.h"
#include "server/publisher.h"
#include "server/serving_loop.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace alchemist {

// All arguments must outlive the service. Its calls run on gRPC's threads.
std::unique_ptr<grpc::Service> MakeAdminService(const Model* model, const Tokenizer* tokenizer,
                                                LogThread* log, Publisher* publisher,
                                                ServingLoop* loop);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_ADMIN_SERVICE_H_
