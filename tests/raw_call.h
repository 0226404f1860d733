// Calls of gRPC methods with bytes for messages, as no stub of ours would make them. Any thread.
#ifndef ALCHEMIST_TESTS_RAW_CALL_H_
#define ALCHEMIST_TESTS_RAW_CALL_H_

#include <map>
#include <string>
#include <vector>

#include "base/status.h"

namespace alchemist {

// One message, then all that the server at 127.0.0.1:`port` answers to it, for a minute at most.
// `method` is "/package.Service/Method", unary or a stream.
absl::StatusOr<std::vector<std::string>> RawCall(
    int port, const std::string& method, const std::string& message,
    const std::multimap<std::string, std::string>& metadata = {});

// The names of all services that the server's reflection lists.
absl::StatusOr<std::vector<std::string>> ListServices(int port);

// "/package.Service/Method" of all methods of our own services among them. NotFound for a service
// whose protocol is not linked into this library: include it in raw_call.cc.
absl::StatusOr<std::vector<std::string>> ListMethods(int port);

}  // namespace alchemist

#endif  // ALCHEMIST_TESTS_RAW_CALL_H_
