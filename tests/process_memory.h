// How much memory a process of a test has. Any thread.
#ifndef ALCHEMIST_TESTS_PROCESS_MEMORY_H_
#define ALCHEMIST_TESTS_PROCESS_MEMORY_H_

#include <sys/types.h>

#include <cstdint>

namespace alchemist {

// What of it lies in memory, by the kernel's count.
int64_t ResidentBytes(pid_t pid);

// Fails the test when the process has more than `bytes`. Not with a sanitizer: what those keep is
// no measure of what the program does.
void ExpectMemoryBelow(int64_t bytes, pid_t pid);

}  // namespace alchemist

#endif  // ALCHEMIST_TESTS_PROCESS_MEMORY_H_
