// Sequence: one request that waits or runs. Owned by Batcher, on the serving loop's thread.
#ifndef ALCHEMIST_SERVER_SEQUENCE_H_
#define ALCHEMIST_SERVER_SEQUENCE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "activation_store/block.h"
#include "activation_store/prefix_index.h"
#include "activation_store/store.h"
#include "server/completion.h"
#include "server/completion_stream.h"
#include "server/output_text.h"
#include "server/sequence_kv.h"
#include "server/served_revision.h"

namespace alchemist {

// The record of an answer in the making.
struct ResponseRecording {
  uint64_t record_id = 0;        // 0: none.
  int64_t rows = 0;              // Recorded so far.
  const Block* block = nullptr;  // Of the rows [block_begin, block_end).
  int64_t block_begin = 0;
  int64_t block_end = 0;
  const std::vector<KvPage>* kv_page = nullptr;  // By layer; of the last rows.
};

struct Sequence {
  enum class Recording {
    kNone,       // No record: switched off, not wanted, or no room at admission.
    kFilling,    // Prompt rows go to the record.
    kAbandoned,  // No room on the way: its pages still hold the K/V, but it ends in Abort.
    kSealed,
  };

  Sequence(CompletionRequest request, std::shared_ptr<CompletionStream> stream,
           const Tokenizer* tokenizer, const KvGeometry& geometry, ActivationStore* store)
      : request(std::move(request)),
        stream(std::move(stream)),
        kv(geometry, store),
        text(tokenizer, this->request.stop) {}

  uint64_t seed() const { return request.seed + static_cast<uint64_t>(choice); }
  // Its prompt's log-probs are wanted, and not sent yet.
  bool wants_scores() const { return request.prompt_logprobs.has_value() && output.empty(); }
  int64_t prompt_rows() const { return static_cast<int64_t>(request.prompt_tokens.size()); }
  int64_t prompt_rows_left() const { return std::max<int64_t>(0, prompt_rows() - rows_done); }
  // Tokens that are known: the prompt's and the sampled ones.
  int64_t tokens() const { return prompt_rows() + static_cast<int64_t>(output.size()); }
  // Rows that can be run: prompt rows, or the last sampled token's; more after a preemption.
  int64_t rows_left() const { return tokens() - rows_done; }

  const CompletionRequest request;
  int64_t choice = 0;  // Of the request's.
  const std::shared_ptr<CompletionStream> stream;
  std::shared_ptr<const ServedRevision> revision;  // Pinned at admission; null before.
  SequenceKv kv;
  OutputText text;
  uint64_t record_id = 0;
  Recording recording = Recording::kNone;
  ResponseRecording response;
  std::vector<std::string> hashes;  // Of the prompt's hash blocks, once it was admitted.
  Prefix prefix;                    // What was there when it was admitted, and is not run.
  bool prefix_pinned = false;       // By itself, and not through its record.
  int64_t queued_us = 0;            // When it came.
  int64_t first_token_us = 0;       // When the first token was sampled.
  bool has_begun = false;           // Some of its rows were run.
  int64_t rows_done = 0;            // Positions whose K/V is in place.
  std::vector<int32_t> output;      // Sampled tokens; the last one is not run yet.
  std::vector<float> log_probs;     // Of output.
  PromptLogprobs prompt_logprobs;   // So far, where they are wanted.
  bool was_admitted = false;
  bool record_refused = false;  // There was no room, and no K/V page to run it without.
  int64_t preemptions = 0;
  int64_t no_room_since_us = 0;  // When its reader fell behind; 0: it keeps up.
  UnreadTime unread;             // While it is behind.
  bool aborted = false;          // By Abort.
  bool finished = false;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SEQUENCE_H_
