// alchemist-server: serves completions over gRPC, records prefills for the trainer, takes feedback.
#include <arpa/inet.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/service_type.h>
#include <grpcpp/support/server_interceptor.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"
#include "base/flags.h"
#include "base/logging.h"
#include "server/admin_service.h"
#include "server/call_counter_service.h"
#include "server/completion_service.h"
#include "server/feedback_service.h"
#include "server/link_service.h"
#include "server/metrics_exposer.h"
#include "server/model_service.h"
#include "server/parse_error_service.h"
#include "server/running_calls.h"
#include "server/scheduler.h"
#include "server/server_runtime.h"
#include "server/server_status.h"

ABSL_FLAG(std::string, model, "", "Hugging Face directory of the base model (required).");
ABSL_FLAG(std::string, dtype, "auto",
          "Type of weights, activations and K/V: f32, bf16, or auto: bf16 when all weights are "
          "stored so, else f32. What is stored in another type is converted once.");
ABSL_FLAG(std::string, listen_address, "127.0.0.1:50051",
          "Address of the gRPC services; port 0 takes a free one. Loopback only: there is no "
          "authentication yet.");
ABSL_FLAG(
    std::string, metrics_address, "127.0.0.1:9464",
    "Address of the Prometheus metrics, at /metrics; port 0 takes a free one, an empty address "
    "exposes none. Loopback only, too.");
ABSL_FLAG(std::string, metrics_port_file, "",
          "Write the metrics' port into this file once serving.");
ABSL_FLAG(std::string, data_dir, "", "Folder of the feedback log and the revisions (required).");
ABSL_FLAG(std::string, runtime_dir, "/run/alchemist", "Folder of the sockets for the trainer.");
ABSL_FLAG(std::string, port_file, "", "Write the gRPC port into this file once serving.");
ABSL_FLAG(int64_t, device_bytes, int64_t{1} << 30, "Size of the arena.");
ABSL_FLAG(int64_t, serving_kv_bytes, int64_t{256} << 20,
          "Part of the arena reserved for the K/V of running requests; the rest is for records.");
ABSL_FLAG(int, threads, 0, "Compute threads; 0: one per core.");
ABSL_FLAG(std::string, record, "prefill",
          "What is recorded for training: prefill (prompts), all (answers, too: then training runs "
          "no forward for them), or off.");
ABSL_FLAG(bool, prefix_cache, true,
          "A prompt that begins as an earlier one of its tenant and revision goes on from that "
          "one's record instead of being run from its start.");
ABSL_FLAG(int64_t, running_max, 16, "Requests that run at once.");
ABSL_FLAG(int64_t, waiting_max, 256, "Requests that may wait; more are RESOURCE_EXHAUSTED.");
ABSL_FLAG(int64_t, rows_per_step, 512, "Rows of one engine step: decodes, then prompt chunks.");
ABSL_FLAG(int64_t, prompt_rows_beside_decodes,
          alchemist::SchedulerLimits().prompt_rows_beside_decodes,
          "Rows of prompts in a step that decodes, too, at a prompt's start; fewer of later rows, "
          "which take longer. More of them: prompts are through sooner, and running answers wait "
          "longer for each token meanwhile.");
ABSL_FLAG(int64_t, record_ttl_seconds, 600,
          "An unleased record that served nothing for so long is dropped.");
ABSL_FLAG(int64_t, session_revision_seconds, 300, "A session_id keeps its revision this long.");
ABSL_FLAG(
    int64_t, revisions_kept, 16,
    "The newest revisions whose weights are kept to be rolled back to, beside revision 0, the "
    "serving one and those that a record or a session names.");
ABSL_FLAG(int64_t, adapter_rank, 16, "LoRA rank of revision 0 (first start only).");
ABSL_FLAG(double, adapter_alpha, 32, "LoRA alpha of revision 0 (first start only).");
ABSL_FLAG(bool, adapter_rslora, false, "Scale by alpha/sqrt(rank) (first start only).");
ABSL_FLAG(std::string, adapter_targets, "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj",
          "Linears with an adapter (first start only).");
ABSL_FLAG(int64_t, adapter_lowest_layer, 0, "Layers below have no adapter (first start only).");
ABSL_FLAG(uint64_t, adapter_seed, 1, "Seed of revision 0's A (first start only).");
ABSL_FLAG(int64_t, drain_timeout_seconds, 30,
          "Running requests may take this long at SIGTERM; a second SIGTERM ends them.");
ABSL_FLAG(bool, check_config, false, "Check flags and model, say so, and exit.");

namespace alchemist {
namespace {

constexpr int kMessageBytesMax = 4 << 20;
// On the link: a record's descriptor grows with the model's layers, a hello with the unfinished
// feedback.
constexpr int kLinkMessageBytesMax = 512 << 20;
constexpr int64_t kSecondUs = 1'000'000;
constexpr int kGrpcThreadsMax = 64;         // Completions take none.
constexpr int kMetadataBytesMax = 8 << 10;  // Of a call.
// A connection has so long to begin: an honest client's first bytes come with it.
constexpr int kConnectionBeginMs = 5'000;
// What is freed of this size goes back to the system at once. By default malloc raises it to the
// largest message that came, and keeps that much for every thread that has parsed such a one.
constexpr int kMallocKeptBytesMax = 1 << 20;

absl::StatusOr<LoraConfig> AdapterConfigFromFlags() {
  LoraConfig config;
  config.rank = absl::GetFlag(FLAGS_adapter_rank);
  config.alpha = absl::GetFlag(FLAGS_adapter_alpha);
  config.rslora = absl::GetFlag(FLAGS_adapter_rslora);
  config.lowest_layer = absl::GetFlag(FLAGS_adapter_lowest_layer);
  const std::vector<std::string> names = absl::StrSplit(absl::GetFlag(FLAGS_adapter_targets), ',');
  for (const Linear linear : kLinears) {
    for (const std::string& name : names) {
      if (name == LinearName(linear)) config.targets.push_back(linear);
    }
  }
  if (config.targets.size() != names.size()) {
    return absl::InvalidArgumentError(
        "--adapter_targets: each must be one of q_proj, k_proj, v_proj, o_proj, gate_proj, "
        "up_proj, "
        "down_proj, once; head and embedding have no adapter");
  }
  return config;
}

absl::Status CheckPositive(const char* name, int64_t value) {
  if (value > 0) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", name, ": ", value, " is not positive"));
}

// One address, since civetweb would take a list of them.
bool IsLoopback(const std::string& address) {
  const size_t colon = address.rfind(':');
  int port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port)) {
    return false;
  }
  const std::string host = address.substr(0, colon);
  in_addr ip = {};
  if (host == "localhost" || host == "[::1]") return true;
  return inet_pton(AF_INET, host.c_str(), &ip) == 1 && (ntohl(ip.s_addr) >> 24) == 127;
}

absl::Status CheckLoopback(const char* flag, const std::string& address) {
  if (IsLoopback(address)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", flag, ": must be one loopback address with its port, like 127.0.0.1:",
                   "50051, since there is no authentication yet; it is ", address));
}

absl::StatusOr<RecordMode> RecordModeFromFlag() {
  const std::string record = absl::GetFlag(FLAGS_record);
  if (record == "off") return RecordMode::kOff;
  if (record == "prefill") return RecordMode::kPrefill;
  if (record == "all") return RecordMode::kAll;
  return absl::InvalidArgumentError(
      absl::StrCat("--record: must be prefill, all or off; it is ", record));
}

absl::StatusOr<ServerOptions> OptionsFromFlags() {
  ServerOptions options;
  for (const auto& [name, value] : std::vector<std::pair<const char*, std::string>>{
           {"model", absl::GetFlag(FLAGS_model)}, {"data_dir", absl::GetFlag(FLAGS_data_dir)}}) {
    if (value.empty()) return absl::InvalidArgumentError(absl::StrCat("--", name, " is required"));
  }
  RETURN_IF_ERROR(CheckLoopback("listen_address", absl::GetFlag(FLAGS_listen_address)));
  if (const std::string metrics = absl::GetFlag(FLAGS_metrics_address); !metrics.empty()) {
    RETURN_IF_ERROR(CheckLoopback("metrics_address", metrics));
  }
  for (const auto& [name, value] : std::vector<std::pair<const char*, int64_t>>{
           {"running_max", absl::GetFlag(FLAGS_running_max)},
           {"waiting_max", absl::GetFlag(FLAGS_waiting_max)},
           {"rows_per_step", absl::GetFlag(FLAGS_rows_per_step)},
           {"prompt_rows_beside_decodes", absl::GetFlag(FLAGS_prompt_rows_beside_decodes)},
           {"revisions_kept", absl::GetFlag(FLAGS_revisions_kept)},
           {"device_bytes", absl::GetFlag(FLAGS_device_bytes)}}) {
    RETURN_IF_ERROR(CheckPositive(name, value));
  }
  char* const resolved = realpath(absl::GetFlag(FLAGS_model).c_str(), nullptr);
  if (resolved == nullptr) return ErrnoStatus("--model", absl::GetFlag(FLAGS_model));
  options.model_directory = resolved;
  free(resolved);
  ASSIGN_OR_RETURN(options.dtype, ParseModelDType(absl::GetFlag(FLAGS_dtype)));
  options.runtime_dir = absl::GetFlag(FLAGS_runtime_dir);
  options.registry.data_dir = absl::GetFlag(FLAGS_data_dir);
  ASSIGN_OR_RETURN(options.registry.adapter, AdapterConfigFromFlags());
  options.registry.adapter_seed = absl::GetFlag(FLAGS_adapter_seed);
  ASSIGN_OR_RETURN(options.registry.session_revision_us,
                   DurationFlagUs("session_revision_seconds",
                                  absl::GetFlag(FLAGS_session_revision_seconds), kSecondUs, 1));
  options.registry.revisions_kept = absl::GetFlag(FLAGS_revisions_kept);
  options.loop.batcher.running_max = absl::GetFlag(FLAGS_running_max);
  options.loop.batcher.waiting_max = absl::GetFlag(FLAGS_waiting_max);
  options.loop.batcher.scheduler.rows_per_step = absl::GetFlag(FLAGS_rows_per_step);
  options.loop.batcher.scheduler.prompt_rows_beside_decodes =
      absl::GetFlag(FLAGS_prompt_rows_beside_decodes);
  ASSIGN_OR_RETURN(options.loop.batcher.record, RecordModeFromFlag());
  options.loop.batcher.prefix_cache = absl::GetFlag(FLAGS_prefix_cache);
  ASSIGN_OR_RETURN(
      options.loop.record_ttl_us,
      DurationFlagUs("record_ttl_seconds", absl::GetFlag(FLAGS_record_ttl_seconds), kSecondUs, 1));
  ASSIGN_OR_RETURN(options.drain_timeout_us,
                   DurationFlagUs("drain_timeout_seconds",
                                  absl::GetFlag(FLAGS_drain_timeout_seconds), kSecondUs, 0));
  options.device_bytes = absl::GetFlag(FLAGS_device_bytes);
  options.serving_kv_bytes = absl::GetFlag(FLAGS_serving_kv_bytes);
  if (options.serving_kv_bytes <= 0 || options.serving_kv_bytes >= options.device_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("--serving_kv_bytes: must be above 0 and below --device_bytes, ",
                     options.device_bytes, "; it is ", options.serving_kv_bytes));
  }
  options.threads = absl::GetFlag(FLAGS_threads);
  if (options.threads < 0 || options.threads > 1024) {
    return absl::InvalidArgumentError("--threads: must be from 0 to 1024");
  }
  if (options.threads == 0) options.threads = static_cast<int>(std::thread::hardware_concurrency());
  return options;
}

// The services clients see, and the link to the trainer, on listeners of their own.
struct Listeners {
  std::unique_ptr<RunningCalls> calls = std::make_unique<RunningCalls>();  // Of clients.
  std::vector<std::unique_ptr<grpc::Service>> services;
  std::unique_ptr<grpc::Server> clients;
  std::unique_ptr<grpc::Server> link;
  int port = 0;
};

void LimitServer(grpc::ServerBuilder& builder, int message_bytes_max) {
  grpc::ResourceQuota quota("alchemist");
  quota.SetMaxThreads(kGrpcThreadsMax);
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(message_bytes_max);
}

absl::StatusOr<Listeners> Listen(ServerRuntime& runtime, const ServerOptions& options) {
  Listeners listeners;
  auto& services = listeners.services;
  services.push_back(
      MakeCompletionService(&runtime.model(), &runtime.tokenizer(), &runtime.loop()));
  services.push_back(MakeFeedbackService(&runtime.model(), &runtime.tokenizer(), Clock::Real(),
                                         &runtime.log(), &runtime.loop()));
  services.push_back(MakeAdminService(&runtime.model(), &runtime.tokenizer(), &runtime.log(),
                                      &runtime.publisher(), &runtime.loop()));
  services.push_back(MakeModelService(&runtime.model(), &runtime.tokenizer(), &runtime.loop()));
  grpc::ServerBuilder clients;
  LimitServer(clients, kMessageBytesMax);
  clients.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // Two servers on one port is a mistake.
  clients.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, 100);
  clients.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMetadataBytesMax);
  clients.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kConnectionBeginMs);
  clients.AddListeningPort(absl::GetFlag(FLAGS_listen_address), grpc::InsecureServerCredentials(),
                           &listeners.port);
  for (const std::unique_ptr<grpc::Service>& service : services) {
    clients.RegisterService(service.get());
  }
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(MakeCallCounter(listeners.calls.get()));
  interceptors.push_back(MakeParseErrorStatus());
  clients.experimental().SetInterceptorCreators(std::move(interceptors));
  listeners.clients = clients.BuildAndStart();
  if (listeners.clients == nullptr || listeners.port == 0) {
    return absl::UnavailableError(
        absl::StrCat("--listen_address: cannot listen on ", absl::GetFlag(FLAGS_listen_address)));
  }
  unlink(options.link_socket().c_str());
  grpc::ServerBuilder link;
  LimitServer(link, kLinkMessageBytesMax);
  link.AddListeningPort("unix:" + options.link_socket(), grpc::InsecureServerCredentials());
  services.push_back(MakeLinkService(&runtime.loop()));
  link.RegisterService(services.back().get());
  const mode_t mask = umask(0177);
  listeners.link = link.BuildAndStart();
  umask(mask);
  if (listeners.link == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", options.link_socket()));
  }
  return listeners;
}

// Null: the flags want none.
absl::StatusOr<std::unique_ptr<MetricsExposer>> ExposeMetrics(ServerRuntime& runtime) {
  const std::string address = absl::GetFlag(FLAGS_metrics_address);
  if (address.empty()) return nullptr;
  const BaseId base = {runtime.model().base_digest(), runtime.tokenizer().digest()};
  absl::StatusOr<std::unique_ptr<MetricsExposer>> metrics = MetricsExposer::Start(
      address, [base, &runtime] { return ServerStatus(base, runtime.loop(), runtime.log()); });
  if (!metrics.ok()) {
    return absl::UnavailableError(absl::StrCat("--metrics_address: ", metrics.status().message()));
  }
  LOG(INFO) << "metrics on port " << (*metrics)->port();
  if (const std::string file = absl::GetFlag(FLAGS_metrics_port_file); !file.empty()) {
    RETURN_IF_ERROR(ReplaceFile(file, absl::StrCat((*metrics)->port(), "\n")));
  }
  return metrics;
}

// Blocks SIGTERM and SIGINT in every thread made from here on, to be waited for.
sigset_t BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  PCHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  signal(SIGPIPE, SIG_IGN);
  return set;
}

// To what the system allows. gRPC 1.51 never listens again once accepting a connection has failed
// for lack of a descriptor.
void RaiseDescriptorLimit() {
  rlimit limit = {};
  PCHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) PLOG(WARNING) << "descriptors: " << limit.rlim_max;
}

// Waits until no call runs, for `timeout_us`, or until a second signal.
void DrainCalls(const sigset_t& signals, int64_t timeout_us, RunningCalls& calls) {
  std::thread second([&] {
    int signal = 0;
    sigwait(&signals, &signal);
    calls.GiveUp();
  });
  calls.WaitUntilNone(timeout_us);
  pthread_kill(second.native_handle(), SIGTERM);  // Should there be no second one.
  second.join();
}

absl::Status Serve(const ServerOptions& options) {
  const sigset_t signals = BlockSignals();
  mallopt(M_MMAP_THRESHOLD, kMallocKeptBytesMax);
  RaiseDescriptorLimit();
  ASSIGN_OR_RETURN(std::unique_ptr<ServerRuntime> runtime, ServerRuntime::Start(options));
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  ASSIGN_OR_RETURN(Listeners listeners, Listen(*runtime, options));
  RETURN_IF_ERROR(runtime->ListenForTrainer());
  ASSIGN_OR_RETURN(std::unique_ptr<MetricsExposer> metrics, ExposeMetrics(*runtime));
  if (const std::string file = absl::GetFlag(FLAGS_port_file); !file.empty()) {
    RETURN_IF_ERROR(ReplaceFile(file, absl::StrCat(listeners.port, "\n")));
  }
  LOG(INFO) << "serving on port " << listeners.port;
  int signal = 0;
  sigwait(&signals, &signal);
  LOG(INFO) << "stopping: " << strsignal(signal);
  listeners.clients->GetHealthCheckService()->SetServingStatus(false);
  // New completions are refused, running calls finish. gRPC would also wait for each connection to
  // answer its farewell, which an idle client does seconds later or never; so it is told to end
  // only when no call runs, and then at once.
  runtime->loop().PostInternal([&] { runtime->loop().batcher().Drain(); });
  DrainCalls(signals, options.drain_timeout_us, *listeners.calls);
  metrics.reset();  // Scraped until here: the drain can be watched.
  listeners.clients->Shutdown(std::chrono::system_clock::now());
  listeners.link->Shutdown(std::chrono::system_clock::now());
  RETURN_IF_ERROR(runtime->Stop());
  LOG(INFO) << "stopped";
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  ParseFlags(argc, argv,
             "Serves a language model over gRPC and records prefills for alchemist-trainer.\n\n"
             "  alchemist-server --model=DIR --data_dir=DIR --runtime_dir=DIR\n");
  const absl::StatusOr<ServerOptions> options = OptionsFromFlags();
  absl::Status status = options.status();
  if (status.ok()) {
    if (absl::GetFlag(FLAGS_check_config)) {
      status = ServerRuntime::Check(*options);
      if (status.ok()) std::cout << "configuration and model are fine\n";
    } else {
      status = Serve(*options);
    }
  }
  if (status.ok()) return 0;
  std::cerr << "alchemist-server: " << status.message() << "\n";
  return 1;
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) { return alchemist::Main(argc, argv); }
