// Form: how large and how long alchemist-gpu-check's experiments are. Plain value.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_FORM_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_FORM_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace alchemist {

struct Form {
  std::string name;
  int64_t seconds_max = 0;  // Of the whole run.
  // Of the arenas that are shared and outlived, and of the one that is unmapped beside steps.
  int64_t arena_chunk_bytes = 0;
  int arena_chunks = 0;
  int64_t unmap_chunk_bytes = 0;
  int unmap_chunks = 0;
  int64_t copy_bytes = 0;  // Of one copy, scrub or registered memory.
  int64_t spin_ms = 0;     // Of the kernel that is at work when its process is killed.
  int kills = 0;           // How often that is done.
  int64_t window_ms = 0;   // Of one measurement of steps.
  int64_t step_us = 0;     // What a decode-like step is made to take.
  // Of one unit of training-like work: some 100 us, so that 0.2 ms of it can be queued.
  int64_t product_rows = 0;
  int64_t product_width = 0;
  int repeats = 0;             // Of short measurements; their median counts.
  int64_t bytes_max = 0;       // Of device memory, all processes of a check together.
  int64_t bytes_free_min = 0;  // Less free memory is too little to ask with.
};

// "tiny" (for testing the program itself on the stand-in driver), "short" (3 minutes) or "long" (15
// minutes); nullopt for anything else. Together with contexts, processes take at most half of
// `bytes_free`, if that is at least bytes_free_min: arenas have fewer chunks, copies fewer bytes.
std::optional<Form> FormNamed(absl::string_view name, int64_t bytes_free);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_FORM_H_
