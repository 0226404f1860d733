// CapturedLog: what was logged while it lives, in this process. Test only. Any thread may log.
#ifndef ALCHEMIST_BASE_CAPTURED_LOG_H_
#define ALCHEMIST_BASE_CAPTURED_LOG_H_

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "base/logging.h"
#include "base/mutex.h"

namespace alchemist {

class CapturedLog final : public google::LogSink {
 public:
  CapturedLog() { google::AddLogSink(this); }
  ~CapturedLog() override { google::RemoveLogSink(this); }

  // Returns the lines since the last call, severity's letter first: "W line".
  std::vector<std::string> Take() {
    MutexLock lock(&mutex_);
    return std::exchange(lines_, {});
  }

 private:
  void send(google::LogSeverity severity, const char*, const char*, int,
            const google::LogMessageTime&, const char* message, size_t message_bytes) override {
    MutexLock lock(&mutex_);
    lines_.push_back(std::string(1, google::GetLogSeverityName(severity)[0]) + " " +
                     std::string(message, message_bytes));
  }

  Mutex mutex_;  // Whoever logs calls send.
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace alchemist

#endif  // ALCHEMIST_BASE_CAPTURED_LOG_H_
