// Sequence: one running request. Owned by Batcher, on the serving loop's thread.
#ifndef ALCHEMIST_SERVER_SEQUENCE_H_
#define ALCHEMIST_SERVER_SEQUENCE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/completion.h"
#include "server/output_text.h"
#include "server/sequence_kv.h"
#include "server/served_revision.h"

namespace alchemist {

struct Sequence {
  enum class Recording {
    kNone,       // No record: switched off, or no room at admission.
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

  int64_t prompt_rows() const { return static_cast<int64_t>(request.prompt_tokens.size()); }
  int64_t prompt_rows_left() const { return prompt_rows() - prompt_rows_done; }

  const CompletionRequest request;
  const std::shared_ptr<CompletionStream> stream;
  std::shared_ptr<const ServedRevision> revision;  // Pinned at admission.
  SequenceKv kv;
  OutputText text;
  uint64_t record_id = 0;
  Recording recording = Recording::kNone;
  int64_t queued_us = 0;  // When it came.
  int64_t prompt_rows_done = 0;
  std::vector<int32_t> output;   // Sampled tokens; the last one is not run yet.
  std::vector<float> log_probs;  // Of output.
  int64_t no_room_since_us = 0;  // When its reader fell behind; 0: it keeps up.
  bool finished = false;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SEQUENCE_H_
