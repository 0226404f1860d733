#include "server/completion_table.h"

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

// A cancelled answer stops anywhere, and a steered one says what the model would not: training on
// them would teach it to.
bool MayBeReplayed(const CompletionRow& completion) {
  return completion.finish_reason != FinishReason::kCancelled && !completion.is_steered &&
         !completion.response_tokens.empty();
}

}  // namespace

absl::Status CompletionTable::Add(const CompletionRow& completion) {
  if (completion.log_probs.size() != completion.response_tokens.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat(completion.completion_id, ": ", completion.log_probs.size(), " log-probs for ",
                     completion.response_tokens.size(), " response tokens"));
  }
  ASSIGN_OR_RETURN(
      Query query,
      database_->Prepare("INSERT INTO completions (completion_id, tenant, base_digest, "
                         "tokenizer_digest, adapter_id, revision, revision_digest, prompt_tokens, "
                         "response_tokens, log_probs, finish_reason, created_unix_us) "
                         "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"));
  query.Bind(completion.completion_id, completion.tenant, completion.base.base_digest,
             completion.base.tokenizer_digest, completion.revision.adapter_id,
             completion.revision.number, completion.revision.digest, completion.prompt_tokens,
             completion.response_tokens, completion.log_probs,
             static_cast<int32_t>(completion.finish_reason), completion.created_unix_us);
  RETURN_IF_ERROR(query.Run());
  if (!MayBeReplayed(completion)) return absl::OkStatus();
  return replay_->AddAnswer(completion);
}

absl::StatusOr<CompletionRow> CompletionTable::Find(absl::string_view completion_id) {
  ASSIGN_OR_RETURN(Query query,
                   database_->Prepare(
                       "SELECT completion_id, tenant, base_digest, tokenizer_digest, adapter_id, "
                       "revision, revision_digest, prompt_tokens, response_tokens, log_probs, "
                       "finish_reason, created_unix_us FROM completions WHERE completion_id = ?1"));
  ASSIGN_OR_RETURN(const bool row, query.Bind(completion_id).Step());
  if (!row) return absl::NotFoundError(absl::StrCat("no completion ", completion_id));
  CompletionRow completion;
  completion.completion_id = query.Text(0);
  completion.tenant = query.Text(1);
  completion.base = {query.Text(2), query.Text(3)};
  completion.revision = {query.Text(4), query.Int64(5), query.Text(6)};
  ASSIGN_OR_RETURN(completion.prompt_tokens, query.Tokens(7));
  ASSIGN_OR_RETURN(completion.response_tokens, query.Tokens(8));
  ASSIGN_OR_RETURN(completion.log_probs, query.Floats(9));
  completion.finish_reason = static_cast<FinishReason>(query.Int64(10));
  completion.created_unix_us = query.Int64(11);
  return completion;
}

}  // namespace alchemist
