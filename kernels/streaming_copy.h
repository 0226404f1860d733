// StreamingCopy: a copy that goes past the caches, for what is read later and by somebody else: it
// neither waits for the lines that it writes over nor drives others out. Any thread.
#ifndef ALCHEMIST_KERNELS_STREAMING_COPY_H_
#define ALCHEMIST_KERNELS_STREAMING_COPY_H_

#include <cstdint>

namespace alchemist {

// They do not overlap. Whoever else reads `to` may do so after FinishStreamingCopies on this thread
// and what then tells him (a lock, a message).
void StreamingCopy(const void* from, int64_t bytes, void* to);
void FinishStreamingCopies();

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_STREAMING_COPY_H_
