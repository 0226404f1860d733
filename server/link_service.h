// LinkService: carries the messages of Link.Session between the trainer and TrainerFeed. Served on
// a Unix socket of its own.
#ifndef ALCHEMIST_SERVER_LINK_SERVICE_H_
#define ALCHEMIST_SERVER_LINK_SERVICE_H_

#include <memory>

#include "server/serving_loop.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace alchemist {

// `loop` must outlive the service. Its calls run on gRPC's threads.
std::unique_ptr<grpc::Service> MakeLinkService(ServingLoop* loop);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_LINK_SERVICE_H_
