// Attachment: what the trainer holds while it is attached: the mapped store, the base model, and a
// thread that beats the heart and watches the attach socket. Owned by the trainer's main loop. When
// the server goes, everything mapped from it must be let go within kUnmapUs, or the process ends:
// its death is the reliable unmap (RELIABILITY.md section 2).
#ifndef ALCHEMIST_TRAINER_ATTACHMENT_H_
#define ALCHEMIST_TRAINER_ATTACHMENT_H_

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "activation_store/reader.h"
#include "base/status.h"
#include "model/activation_layout.h"
#include "model/model.h"

namespace alchemist {

inline constexpr int64_t kUnmapUs = 1'000'000;
inline constexpr int kExitUnmapTooSlow = 75;  // EX_TEMPFAIL: the supervisor starts us again.

class Attachment {
 public:
  // Attaches and loads the model. `on_server_gone` is called once, on the watching thread.
  static absl::StatusOr<std::unique_ptr<Attachment>> Create(const std::string& store_socket,
                                                            std::function<void()> on_server_gone);
  ~Attachment();

  // The session is about to end in order: that the server closes the socket is no warning. Any
  // thread.
  void ExpectEnd() { end_expected_ = true; }

  const StoreReader& reader() const { return *reader_; }
  const Model& model() const { return *model_; }
  const ActivationLayout& layout() const { return *layout_; }
  std::string tokenizer_digest() const { return reader_->info().tokenizer_digest; }

 private:
  Attachment() = default;
  void Watch();

  std::unique_ptr<StoreReader> reader_;
  std::unique_ptr<const Model> model_;
  std::unique_ptr<ActivationLayout> layout_;
  std::function<void()> on_server_gone_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> end_expected_{false};
  std::thread watcher_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_TRAINER_ATTACHMENT_H_
