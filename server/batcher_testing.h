// A batcher with everything it stands on, in one thread: a tiny random model, a store, a clock that
// stands still. Test only.
#ifndef ALCHEMIST_SERVER_BATCHER_TESTING_H_
#define ALCHEMIST_SERVER_BATCHER_TESTING_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "activation_store/store.h"
#include "base/clock.h"
#include "model/pass_testing.h"
#include "model/tokenizer.h"
#include "server/batcher.h"

namespace alchemist {

struct TestServingOptions {
  ModelFamily family = ModelFamily::kLlama;
  DType dtype = DType::kF32;
  std::vector<int32_t> eos_ids;  // None: answers end by their length.
  int64_t record_pages = 4096;   // Of 4 KiB, for records.
  int64_t serving_kv_pages = 256;
  BatcherOptions batcher;
};

// What one request got.
struct TestAnswer {
  std::string request_id;
  std::vector<int32_t> tokens;
  std::vector<float> log_probs;
  std::vector<TopLogprobs> top;
  PromptLogprobs prompt_logprobs;
  std::string text;
  int ends = 0;
  CompletionEnd end;
};

class TestServing {
 public:
  explicit TestServing(TestServingOptions options = {});

  // A greedy request for `max_tokens` after `rows` tokens that follow from `rows` and `seed`.
  CompletionRequest Request(int64_t rows, int64_t max_tokens, uint64_t seed = 1) const;
  // Fails the test when the batcher refuses.
  std::shared_ptr<CompletionStream> Add(CompletionRequest request);
  // A request of a session that stays at `revision`.
  std::shared_ptr<CompletionStream> Add(CompletionRequest request,
                                        std::shared_ptr<const ServedRevision> revision);
  // Steps until there is nothing left to do.
  void RunAll();
  // Takes what is in the stream and adds it to `answer`.
  static void Drain(CompletionStream& stream, TestAnswer& answer);
  // The same for several choices.
  static void DrainChoices(CompletionStream& stream, std::vector<TestAnswer>& answers);
  // The same for a stream that nobody has read yet.
  static TestAnswer AnswerOf(CompletionStream& stream);

  // The bytes of a record by tensor: "<layer>/<tensor>" and "<layer>/k", "<layer>/v". Leases it to
  // session 1.
  std::map<std::string, std::string> RecordBytes(uint64_t record_id);
  // Nothing runs: all serving pages are free and the store's invariants hold.
  void ExpectIdle() const;

  TestMachine& machine() { return machine_; }
  ManualClock& clock() { return clock_; }
  const Model& model() const { return *model_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const ActivationLayout& layout() const { return *layout_; }
  ActivationStore& store() { return *store_; }
  Batcher& batcher() { return *batcher_; }
  const std::shared_ptr<const ServedRevision>& revision() const { return revision_; }
  // Requests that are admitted from here on run at it.
  void Serve(std::shared_ptr<const ServedRevision> revision) { revision_ = std::move(revision); }
  // Another adapter of the same shapes.
  std::shared_ptr<const ServedRevision> MakeRevision(int64_t number) const;
  std::vector<FinishedCompletion>& finished() { return finished_; }
  // Called between layers.
  std::function<void()> poll = [] {};

 private:
  TestMachine machine_;
  ManualClock clock_;
  std::unique_ptr<const Model> model_;
  std::unique_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<ActivationLayout> layout_;
  std::unique_ptr<ActivationStore> store_;
  std::shared_ptr<const ServedRevision> revision_;
  std::map<std::string, std::shared_ptr<const ServedRevision>> sessions_;
  std::vector<FinishedCompletion> finished_;
  std::unique_ptr<Batcher> batcher_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_BATCHER_TESTING_H_
