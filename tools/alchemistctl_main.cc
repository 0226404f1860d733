// alchemistctl: talks to a running alchemist-server from a terminal.
#include <unistd.h>

#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/flags.h"
#include "base/status.h"
#include "tools/client/alchemist_client.h"
#include "tools/record_dump_text.h"
#include "tools/top_view.h"

ABSL_FLAG(std::string, server, "127.0.0.1:50051", "Address of the server.");
ABSL_FLAG(int64_t, max_tokens, 64, "complete: tokens at most.");
ABSL_FLAG(double, temperature, 0, "complete: 0 is greedy.");
ABSL_FLAG(int32_t, priority, 0, "complete: among requests of a tenant the smaller goes first.");
ABSL_FLAG(std::string, tenant, "",
          "In whose name: sent with every command; complete and abort are by tenant.");
ABSL_FLAG(double, interval_seconds, 2, "top: from one page to the next; 0.1 to 3,600.");
ABSL_FLAG(int64_t, pages, 0, "top: how many; 0: until it is interrupted.");
ABSL_FLAG(
    std::string, key, "",
    "correct, rate: idempotency key; the same key counts once. Without one, the same words about "
    "the same completion do, until other words came.");

namespace alchemist {
namespace {

constexpr char kUsage[] = R"(Talks to a running alchemist-server.

  alchemistctl complete TEXT              prints the answer as it comes, then its completion id
  alchemistctl abort REQUEST              ends a request of the tenant that waits or runs
  alchemistctl correct COMPLETION TEXT    says what the right completion was
  alchemistctl rate COMPLETION +1|-1
  alchemistctl feedback ID                what became of a feedback
  alchemistctl status
  alchemistctl model                      what is served: sizes, limits, adapters
  alchemistctl load                       how busy it is now
  alchemistctl top                        the same live, with latencies and training, until Ctrl-C
  alchemistctl tokenize TEXT              the tokens of a prompt
  alchemistctl revisions
  alchemistctl rollback NUMBER            serves an older revision
  alchemistctl pin | unpin                stops or allows the swap of revisions
  alchemistctl pause | resume             training
  alchemistctl inspect store|adapters|link
  alchemistctl inspect requests           those that run, then those that wait
  alchemistctl inspect steps              lines "step BEGIN_US US DECODE_ROWS PROMPT_ROWS" and
                                          "wait END_US US", of a request for its first step
  alchemistctl dump-record RECORD|COMPLETION
                                          a record's header, and of each tensor in it shape,
                                          range, norm, and how many values are not finite
)";

using Arguments = std::vector<std::string>;
constexpr int kArgumentsMax = 1000;  // More than any command takes: each says itself what it takes.

absl::Status Complete(AlchemistClient& client, const Arguments& arguments) {
  v1::CompleteRequest request;
  request.set_text(arguments[1]);
  request.set_max_tokens(absl::GetFlag(FLAGS_max_tokens));
  request.set_temperature(absl::GetFlag(FLAGS_temperature));
  request.set_priority(absl::GetFlag(FLAGS_priority));
  ASSIGN_OR_RETURN(const Answer answer, client.Complete(request, [](const auto& chunk) {
    std::cout << chunk.text() << std::flush;
    return true;
  }));
  std::cout << "\n" << answer.final.ShortDebugString() << "\n";
  return absl::OkStatus();
}

absl::Status Abort(AlchemistClient& client, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<std::string> aborted, client.Abort({arguments[1]}));
  if (aborted.empty()) {
    return absl::NotFoundError(
        absl::StrCat("abort: the tenant has no ", arguments[1], " that waits or runs"));
  }
  std::cout << "aborted " << aborted[0] << "\n";
  return absl::OkStatus();
}

// What superseded a feedback; "" where nothing has.
absl::StatusOr<std::string> SupersededBy(AlchemistClient& client, const std::string& id) {
  ASSIGN_OR_RETURN(const v1::Feedback feedback, client.GetFeedback(id));
  absl::string_view reason = feedback.reason();
  return absl::ConsumePrefix(&reason, "superseded by ") ? std::string(reason) : std::string();
}

absl::string_view Meaning(v1::Disposition disposition) {
  switch (disposition) {
    case v1::DISPOSITION_RECORD_HELD:
      return "will be trained from what serving recorded";
    case v1::DISPOSITION_WILL_RECOMPUTE:
      return "will be trained; its record is gone, so that the prompt is run again";
    case v1::DISPOSITION_QUEUED:
      return "stored, and will be trained when a trainer is there";
    case v1::DISPOSITION_DUPLICATE:
      return "was known before: counts once";
    case v1::DISPOSITION_NOT_TRAINED_YET:
      return "stored; nothing is trained from it yet";
    case v1::DISPOSITION_REJECTED:
      return "stored, and never trained";
    default:  // Of a newer server.
      return "stored";
  }
}

// The same words count once, until other ones came: then they are the last word again.
absl::Status Submit(AlchemistClient& client, v1::SubmitFeedbackRequest request) {
  const bool own_key = absl::GetFlag(FLAGS_key).empty();
  const std::string first_key = own_key
                                    ? absl::StrCat("ctl-", Sha256Hex(request.SerializeAsString()))
                                    : absl::GetFlag(FLAGS_key);
  request.set_idempotency_key(first_key);
  for (;;) {
    ASSIGN_OR_RETURN(const v1::SubmitFeedbackResponse response, client.SubmitFeedback(request));
    std::string later;
    if (own_key && response.disposition() == v1::DISPOSITION_DUPLICATE) {
      ASSIGN_OR_RETURN(later, SupersededBy(client, response.feedback_id()));
    }
    if (later.empty()) {
      std::cout << response.ShortDebugString() << "\n" << Meaning(response.disposition()) << "\n";
      return absl::OkStatus();
    }
    request.set_idempotency_key(absl::StrCat(first_key, "-after-", later));
  }
}

absl::Status Correct(AlchemistClient& client, const Arguments& arguments) {
  v1::SubmitFeedbackRequest request;
  request.set_completion_id(arguments[1]);
  request.mutable_correction()->set_text(arguments[2]);
  return Submit(client, std::move(request));
}

absl::Status Rate(AlchemistClient& client, const Arguments& arguments) {
  int32_t value = 0;
  if (!absl::SimpleAtoi(arguments[2], &value)) {
    return absl::InvalidArgumentError("rate: the rating must be +1 or -1");
  }
  v1::SubmitFeedbackRequest request;
  request.set_completion_id(arguments[1]);
  request.mutable_rating()->set_value(value);
  return Submit(client, std::move(request));
}

absl::Status Feedback(AlchemistClient& client, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const v1::Feedback feedback, client.GetFeedback(arguments[1]));
  std::cout << feedback.DebugString();
  return absl::OkStatus();
}

absl::Status Status(AlchemistClient& client, const Arguments&) {
  ASSIGN_OR_RETURN(const v1::GetStatusResponse status, client.GetStatus());
  std::cout << status.DebugString();
  return absl::OkStatus();
}

absl::Status ModelInfo(AlchemistClient& client, const Arguments&) {
  ASSIGN_OR_RETURN(const v1::GetModelInfoResponse info, client.GetModelInfo());
  std::cout << info.DebugString();
  return absl::OkStatus();
}

absl::Status Load(AlchemistClient& client, const Arguments&) {
  ASSIGN_OR_RETURN(const v1::GetLoadResponse load, client.GetLoad());
  std::cout << "running " << load.requests_running() << " of " << load.running_max() << "\nwaiting "
            << load.requests_waiting() << " of " << load.waiting_max() << "\nkv_cache_usage "
            << load.kv_cache_usage() << "\nprompt_tokens " << load.prompt_tokens()
            << "\nprefix_tokens " << load.prefix_tokens() << "\n";
  return absl::OkStatus();
}

// Draws over the last page on a terminal. Ctrl-C ends the program, as anywhere; a server that goes
// away does not.
absl::Status Top(AlchemistClient& client, const Arguments&) {
  const double interval_s = absl::GetFlag(FLAGS_interval_seconds);
  if (!(interval_s >= 0.1 && interval_s <= 3600)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--interval_seconds: must be from 0.1 to 3600; it is ", interval_s));
  }
  if (absl::GetFlag(FLAGS_pages) < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--pages: must not be below 0; it is ", absl::GetFlag(FLAGS_pages)));
  }
  const bool is_terminal = isatty(STDOUT_FILENO) == 1;
  TopPages pages([&client] { return client.GetStatus(); },
                 [] { return Clock::Real()->MonotonicUs(); });
  RETURN_IF_ERROR(pages.Begin());
  for (int64_t page = 0; absl::GetFlag(FLAGS_pages) == 0 || page < absl::GetFlag(FLAGS_pages);
       ++page) {
    absl::SleepFor(absl::Seconds(interval_s));
    const std::string text = pages.Next();
    // ECMA-48: to the first column of the first line, and nothing below.
    std::cout << (is_terminal ? "\x1b[H\x1b[J" : "") << absl::GetFlag(FLAGS_server) << "  "
              << absl::FormatTime("%H:%M:%S", absl::Now(), absl::LocalTimeZone()) << "\n"
              << text << (is_terminal ? "" : "\n") << std::flush;
  }
  return absl::OkStatus();
}

absl::Status Tokenize(AlchemistClient& client, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<int32_t> tokens, client.Tokenize(arguments[1]));
  std::cout << absl::StrJoin(tokens, " ") << "\n";
  return absl::OkStatus();
}

absl::Status Revisions(AlchemistClient& client, const Arguments&) {
  ASSIGN_OR_RETURN(const std::vector<v1::RevisionInfo> revisions, client.ListRevisions());
  for (const v1::RevisionInfo& info : revisions) {
    std::cout << info.revision().number() << (info.serving() ? " serving" : "")
              << (info.kept() ? "" : " removed") << " parent " << info.parent() << " step "
              << info.step() << " feedback " << info.feedback_count() << "\n";
  }
  return absl::OkStatus();
}

absl::Status Rollback(AlchemistClient& client, const Arguments& arguments) {
  uint64_t number = 0;
  if (!absl::SimpleAtoi(arguments[1], &number)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "rollback: the revision must be a number from 0 on; it is '", arguments[1], "'"));
  }
  ASSIGN_OR_RETURN(const v1::Revision revision, client.Rollback(number));
  std::cout << revision.ShortDebugString() << "\n";
  return absl::OkStatus();
}

absl::Status Inspect(AlchemistClient& client, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const std::string text, client.Inspect(arguments[1]));
  std::cout << text;
  return absl::OkStatus();
}

absl::Status DumpRecord(AlchemistClient& client, const Arguments& arguments) {
  ASSIGN_OR_RETURN(const v1::DumpRecordResponse record, client.DumpRecord(arguments[1]));
  std::cout << RecordDumpText(record);
  return absl::OkStatus();
}

// A command that the server answers with nothing says what it did.
absl::Status Say(absl::Status status, absl::string_view what) {
  if (status.ok()) std::cout << what << "\n";
  return status;
}

struct Command {
  absl::string_view arguments;  // Their names, by spaces.
  std::function<absl::Status(AlchemistClient&, const Arguments&)> run;
};

absl::Status Run(const Arguments& arguments) {
  const std::map<std::string, Command> commands = {
      {"complete", {"TEXT", Complete}},
      {"abort", {"REQUEST", Abort}},
      {"correct", {"COMPLETION TEXT", Correct}},
      {"rate", {"COMPLETION +1|-1", Rate}},
      {"feedback", {"ID", Feedback}},
      {"status", {"", Status}},
      {"model", {"", ModelInfo}},
      {"load", {"", Load}},
      {"top", {"", Top}},
      {"tokenize", {"TEXT", Tokenize}},
      {"revisions", {"", Revisions}},
      {"rollback", {"NUMBER", Rollback}},
      {"pin",
       {"",
        [](AlchemistClient& client, const Arguments&) {
          return Say(client.Pin(true), "pinned: what serves now goes on serving");
        }}},
      {"unpin",
       {"",
        [](AlchemistClient& client, const Arguments&) {
          return Say(client.Pin(false), "unpinned: new revisions serve");
        }}},
      {"pause",
       {"",
        [](AlchemistClient& client, const Arguments&) {
          return Say(client.PauseTraining(), "training is paused; feedback is kept");
        }}},
      {"resume",
       {"", [](AlchemistClient& client,
               const Arguments&) { return Say(client.ResumeTraining(), "training goes on"); }}},
      {"inspect", {"store|adapters|link|requests|steps", Inspect}},
      {"dump-record", {"RECORD|COMPLETION", DumpRecord}},
  };
  if (arguments.empty()) return absl::InvalidArgumentError("no command; see --help");
  const auto command = commands.find(arguments[0]);
  if (command == commands.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("there is no command '", arguments[0], "'; see --help"));
  }
  const std::vector<absl::string_view> wanted =
      absl::StrSplit(command->second.arguments, ' ', absl::SkipEmpty());
  if (arguments.size() != 1 + wanted.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        arguments[0], ": arguments wanted: ", wanted.size(), ", given: ", arguments.size() - 1,
        "; alchemistctl ", arguments[0], wanted.empty() ? "" : " ", command->second.arguments));
  }
  const std::unique_ptr<AlchemistClient> client =
      AlchemistClient::Create(absl::GetFlag(FLAGS_server), {.tenant = absl::GetFlag(FLAGS_tenant)});
  return command->second.run(*client, arguments);
}

}  // namespace
}  // namespace alchemist

int main(int argc, char** argv) {
  const absl::Status status = alchemist::Run(
      alchemist::ParseFlags(argc, argv, alchemist::kUsage, alchemist::kArgumentsMax));
  if (status.ok()) return 0;
  std::cerr << "alchemistctl: " << status << "\n";
  return 1;
}
