#include "tests/raw_call.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "proto/alchemist/v1/admin.pb.h"
#include "proto/alchemist/v1/completion.pb.h"
#include "proto/alchemist/v1/feedback.pb.h"
#include "proto/alchemist/v1/model.pb.h"

namespace alchemist {
namespace {

using google::protobuf::internal::WireFormatLite;

std::string BytesOf(const grpc::ByteBuffer& message) {
  std::vector<grpc::Slice> slices;
  std::string bytes;
  if (!message.Dump(&slices).ok()) return bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

// The values of `field`, which is length-delimited, in `message`.
std::vector<std::string> ValuesOf(const std::string& message, int field) {
  google::protobuf::io::CodedInputStream stream(reinterpret_cast<const uint8_t*>(message.data()),
                                                static_cast<int>(message.size()));
  std::vector<std::string> values;
  while (const uint32_t tag = stream.ReadTag()) {
    uint32_t size = 0;
    if (tag == WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED)) {
      if (!stream.ReadVarint32(&size)) break;
      if (!stream.ReadString(&values.emplace_back(), static_cast<int>(size))) break;
    } else if (!WireFormatLite::SkipField(&stream, tag)) {
      break;
    }
  }
  return values;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> RawCall(
    int port, const std::string& method, const std::string& message,
    const std::multimap<std::string, std::string>& metadata) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  const auto channel = grpc::CreateCustomChannel(absl::StrCat("127.0.0.1:", port),
                                                 grpc::InsecureChannelCredentials(), arguments);
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
  for (const auto& [key, value] : metadata) context.AddMetadata(key, value);
  grpc::CompletionQueue queue;
  // Whether the operation that was started has succeeded.
  const auto succeeded = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  std::vector<std::string> responses;
  if (succeeded()) {
    const grpc::Slice slice(message);
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    succeeded();  // Where it has not, Finish says why.
    grpc::ByteBuffer response;
    for (call->Read(&response, nullptr); succeeded(); call->Read(&response, nullptr)) {
      responses.push_back(BytesOf(response));
    }
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  succeeded();
  if (status.ok()) return responses;
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

absl::StatusOr<std::vector<std::string>> ListServices(int port) {
  // ServerReflectionRequest{list_services: "*"}, its field 7.
  ASSIGN_OR_RETURN(
      const std::vector<std::string> responses,
      RawCall(port, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", "\x3a\x01*"));
  std::vector<std::string> names;
  for (const std::string& response : responses) {
    for (const std::string& list : ValuesOf(response, 6)) {   // list_services_response
      for (const std::string& service : ValuesOf(list, 1)) {  // service
        for (const std::string& name : ValuesOf(service, 1)) names.push_back(name);
      }
    }
  }
  return names;
}

absl::StatusOr<std::vector<std::string>> ListMethods(int port) {
  // Whose descriptors are linked only where something of theirs is used.
  v1::GetStatusRequest::descriptor();
  v1::CompleteRequest::descriptor();
  v1::SubmitFeedbackRequest::descriptor();
  v1::GetModelInfoRequest::descriptor();
  ASSIGN_OR_RETURN(const std::vector<std::string> services, ListServices(port));
  std::vector<std::string> methods;
  for (const std::string& name : services) {
    if (!absl::StartsWith(name, "alchemist.")) continue;
    const auto* service =
        google::protobuf::DescriptorPool::generated_pool()->FindServiceByName(name);
    if (service == nullptr) return absl::NotFoundError(absl::StrCat("no protocol of ", name));
    for (int i = 0; i < service->method_count(); ++i) {
      methods.push_back(absl::StrCat("/", name, "/", service->method(i)->name()));
    }
  }
  return methods;
}

}  // namespace alchemist
