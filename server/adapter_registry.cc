#include "server/adapter_registry.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "base/file.h"
#include "base/kill_point.h"
#include "base/logging.h"

namespace alchemist {
namespace {

// Also its entry in the folder above, where a crash could leave the log without the directory.
absl::Status MakeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return ErrnoStatus("mkdir", path);
  return SyncDirectory(absl::StrCat(path, "/.."));
}

absl::Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
  return absl::OkStatus();
}

// A name that cannot leave its folder.
bool IsPlainName(const std::string& name) {
  return !name.empty() && name.size() <= 128 && name[0] != '.' &&
         name.find('/') == std::string::npos && name.find('\0') == std::string::npos;
}

}  // namespace

absl::Status CheckAdapterId(const std::string& adapter_id) {
  if (adapter_id.empty() || adapter_id == kDefaultAdapter) return absl::OkStatus();
  return absl::NotFoundError(absl::StrCat("adapter_id: no adapter '", adapter_id, "'"));
}

absl::StatusOr<std::unique_ptr<AdapterRegistry>> AdapterRegistry::Open(const Options& options,
                                                                       const Model* model,
                                                                       const Clock* clock,
                                                                       FeedbackLog& log) {
  std::unique_ptr<AdapterRegistry> registry(new AdapterRegistry(options, model, clock));
  RETURN_IF_ERROR(MakeDirectory(registry->revisions_dir()));
  RETURN_IF_ERROR(MakeDirectory(registry->AdapterDirectory()));
  // Candidates of a trainer that is gone were never accepted.
  RETURN_IF_ERROR(RemoveTree(registry->incoming_dir()));
  RETURN_IF_ERROR(MakeDirectory(registry->incoming_dir()));
  absl::StatusOr<AdapterRow> row = log.revisions().FindAdapter(kDefaultAdapter);
  if (absl::IsNotFound(row.status())) {
    RETURN_IF_ERROR(registry->CreateFirstRevision(log));
    row = log.revisions().FindAdapter(kDefaultAdapter);
  }
  if (!row.ok()) return row.status();
  ASSIGN_OR_RETURN(const std::set<int64_t> kept, registry->Kept(log));
  RETURN_IF_ERROR(registry->RemoveAllBut(kept));
  ASSIGN_OR_RETURN(registry->serving_, registry->Load(row->serving));
  registry->config_ = registry->serving_->adapter->config();
  return registry;
}

absl::Status AdapterRegistry::CreateFirstRevision(FeedbackLog& log) const {
  ASSIGN_OR_RETURN(const std::unique_ptr<LoraAdapter> adapter,
                   LoraAdapter::Create(model_->config(), options_.adapter, options_.adapter_seed));
  // A directory without a row is what a crash between the two left.
  RETURN_IF_ERROR(RemoveTree(DirectoryOf(0)));
  RETURN_IF_ERROR(adapter->Save(DirectoryOf(0), model_->directory()));
  KILL_POINT("registry.first_revision_saved");
  return log.revisions().CreateAdapter(kDefaultAdapter, adapter->digest(), clock_->WallUs());
}

std::string AdapterRegistry::AdapterDirectory() const {
  return absl::StrCat(revisions_dir(), "/", kDefaultAdapter);
}

std::string AdapterRegistry::DirectoryOf(int64_t number) const {
  return absl::StrCat(AdapterDirectory(), "/", number);
}

bool AdapterRegistry::HasDirectory(int64_t number) const {
  return access(DirectoryOf(number).c_str(), F_OK) == 0;
}

absl::StatusOr<std::shared_ptr<const ServedRevision>> AdapterRegistry::Load(
    const RevisionId& id) const {
  ASSIGN_OR_RETURN(std::unique_ptr<LoraAdapter> adapter,
                   LoraAdapter::Load(DirectoryOf(id.number), model_->config()));
  if (adapter->digest() != id.digest) {
    return absl::DataLossError(absl::StrCat(DirectoryOf(id.number), ": digest ", adapter->digest(),
                                            ", the log says ", id.digest));
  }
  return std::make_shared<const ServedRevision>(ServedRevision{id, std::move(adapter)});
}

std::shared_ptr<const ServedRevision> AdapterRegistry::Pin(const std::string& session_id) {
  if (session_id.empty()) return serving_;
  const int64_t now_us = clock_->MonotonicUs();
  const auto it = sessions_.find(session_id);
  if (it != sessions_.end() && now_us - it->second.begun_us < options_.session_revision_us) {
    return it->second.revision;
  }
  // Past the bound all sessions go: they only lose their pin.
  if (static_cast<int64_t>(sessions_.size()) >= options_.sessions_max) sessions_.clear();
  sessions_[session_id] = {serving_, now_us};
  return serving_;
}

void AdapterRegistry::OnRollback(std::shared_ptr<const ServedRevision> revision) {
  serving_ = std::move(revision);
  sessions_.clear();
}

void AdapterRegistry::DropOldSessions() {
  const int64_t now_us = clock_->MonotonicUs();
  std::erase_if(sessions_, [&](const auto& entry) {
    return now_us - entry.second.begun_us >= options_.session_revision_us;
  });
}

std::set<int64_t> AdapterRegistry::SessionRevisions() const {
  std::set<int64_t> numbers;
  for (const auto& [id, session] : sessions_) numbers.insert(session.revision->id.number);
  return numbers;
}

absl::StatusOr<std::shared_ptr<const LoraAdapter>> AdapterRegistry::CheckCandidate(
    const PublishCandidate& candidate) const {
  if (!IsPlainName(candidate.directory)) {
    return absl::InvalidArgumentError("publish: directory must be a plain name");
  }
  const std::string path = absl::StrCat(incoming_dir(), "/", candidate.directory);
  ASSIGN_OR_RETURN(std::unique_ptr<LoraAdapter> adapter, LoraAdapter::Load(path, model_->config()));
  if (adapter->digest() != candidate.digest) {
    return absl::DataLossError(absl::StrCat("publish: ", candidate.directory, " has digest ",
                                            adapter->digest(), ", announced as ",
                                            candidate.digest));
  }
  const LoraConfig& config = adapter->config();
  if (config.rank != config_.rank || config.targets != config_.targets ||
      config.lowest_layer != config_.lowest_layer || config.Scale() != config_.Scale()) {
    return absl::InvalidArgumentError(
        "publish: rank, scale, targets or layers differ from the adapter's");
  }
  return adapter;
}

absl::Status AdapterRegistry::PutInPlace(const PublishCandidate& candidate, int64_t number) const {
  const std::string from = absl::StrCat(incoming_dir(), "/", candidate.directory);
  if (std::rename(from.c_str(), DirectoryOf(number).c_str()) != 0) {
    return ErrnoStatus("rename", from);
  }
  return SyncDirectory(AdapterDirectory());
}

absl::Status AdapterRegistry::Commit(const PublishCandidate& candidate, int64_t number,
                                     FeedbackLog& log) const {
  RevisionRow row;
  row.revision = {kDefaultAdapter, number, candidate.digest};
  row.parent = candidate.parent;
  row.step = candidate.step;
  row.published_unix_us = clock_->WallUs();
  row.lineage = candidate.lineage;
  RETURN_IF_ERROR(log.revisions().Commit(row));
  RETURN_IF_ERROR(log.feedback().Settle(row.revision, candidate.settled));
  return log.revisions().SetServing(kDefaultAdapter, number);
}

absl::StatusOr<std::set<int64_t>> AdapterRegistry::Kept(FeedbackLog& log) const {
  ASSIGN_OR_RETURN(const AdapterRow adapter, log.revisions().FindAdapter(kDefaultAdapter));
  ASSIGN_OR_RETURN(const std::vector<int64_t> newest,
                   log.revisions().Newest(kDefaultAdapter, options_.revisions_kept));
  std::set<int64_t> kept(newest.begin(), newest.end());
  kept.insert(adapter.serving.number);
  kept.insert(0);  // The model as it came, whatever was learned since.
  return kept;
}

// Each is moved away first, so that one that is half removed never stands in the place of a whole
// one.
absl::Status AdapterRegistry::RemoveAllBut(const std::set<int64_t>& kept) const {
  std::error_code error;
  std::vector<int64_t> removed;
  for (const auto& entry : std::filesystem::directory_iterator(AdapterDirectory(), error)) {
    int64_t number = 0;
    const bool revision = absl::SimpleAtoi(entry.path().filename().string(), &number);
    if (revision && !kept.contains(number)) removed.push_back(number);
  }
  if (error) return absl::UnavailableError(AdapterDirectory() + ": " + error.message());
  for (const int64_t number : removed) {
    const std::string aside = absl::StrCat(incoming_dir(), "/.removed-", number);
    RETURN_IF_ERROR(RemoveTree(aside));
    if (std::rename(DirectoryOf(number).c_str(), aside.c_str()) != 0) {
      return ErrnoStatus("rename", DirectoryOf(number));
    }
    RETURN_IF_ERROR(RemoveTree(aside));
    LOG(INFO) << "the directory of revision " << number << " is removed";
  }
  return absl::OkStatus();
}

}  // namespace alchemist
