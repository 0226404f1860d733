// ModelService: tokens of texts and back, what the model is, how busy the server is.
#ifndef ALCHEMIST_SERVER_MODEL_SERVICE_H_
#define ALCHEMIST_SERVER_MODEL_SERVICE_H_

#include <memory>

#include "model/model.h"
#include "model/tokenizer.h"
#include "server/serving_loop.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace alchemist {

// All arguments must outlive the service. Its calls run on gRPC's threads.
std::unique_ptr<grpc::Service> MakeModelService(const Model* model, const Tokenizer* tokenizer,
                                                ServingLoop* loop);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_MODEL_SERVICE_H_
