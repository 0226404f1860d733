#include "trainer/attachment.h"

#include <poll.h>
#include <unistd.h>

#include <utility>

#include "activation_store/control_pages.h"
#include "base/clock.h"
#include "base/logging.h"

namespace alchemist {

absl::StatusOr<std::unique_ptr<Attachment>> Attachment::Create(
    const std::string& store_socket, std::function<void()> on_server_gone) {
  std::unique_ptr<Attachment> attachment(new Attachment());
  ASSIGN_OR_RETURN(attachment->reader_, StoreReader::Attach(store_socket));
  const AttachReply& info = attachment->reader_->info();
  ASSIGN_OR_RETURN(
      attachment->model_,
      Model::LoadShared(info.model_directory, info.base_digest, info.dtype,
                        attachment->reader_->TakeConvertedWeights(), info.converted_bytes));
  const Model& model = *attachment->model_;
  if (info.lowest_trained_layer < 0 || info.lowest_trained_layer >= model.config().layers) {
    return absl::InvalidArgumentError("attach reply: lowest_trained_layer");
  }
  attachment->layout_ =
      std::make_unique<ActivationLayout>(model.config(), model.dtype(), info.lowest_trained_layer);
  attachment->on_server_gone_ = std::move(on_server_gone);
  attachment->watcher_ = std::thread([raw = attachment.get()] { raw->Watch(); });
  return attachment;
}

Attachment::~Attachment() {
  stopping_ = true;
  if (watcher_.joinable()) watcher_.join();
}

void Attachment::Watch() {
  const Clock& clock = *Clock::Real();
  pollfd socket = {reader_->attach_socket(), POLLIN, 0};
  // Short waits, so that the destructor does not wait for a whole beat.
  constexpr int kPollMs = 25;
  int64_t next_beat_us = 0;
  int64_t gone_us = 0;
  while (!stopping_) {
    const int64_t now_us = clock.MonotonicUs();
    if (now_us >= next_beat_us) {
      reader_->trainer_page().heartbeat.fetch_add(1);
      next_beat_us = now_us + kHeartbeatUs;
    }
    if (gone_us == 0 && poll(&socket, 1, kPollMs) > 0) {
      gone_us = now_us;
      if (!end_expected_) LOG(WARNING) << "the server closed the attach socket";
      on_server_gone_();
    }
    if (gone_us != 0) {
      poll(nullptr, 0, kPollMs);
      if (now_us - gone_us > kUnmapUs) {
        LOG(ERROR) << "still mapped " << kUnmapUs << " us after the server went: exiting";
        _exit(kExitUnmapTooSlow);
      }
    }
  }
}

}  // namespace alchemist
