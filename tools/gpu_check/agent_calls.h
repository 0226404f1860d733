// What an agent can be asked, by group. Each request's arguments and answer stand beside its name;
// every time is in microseconds on this machine's clock, every bandwidth in GB/s (10^9 bytes).
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_AGENT_CALLS_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_AGENT_CALLS_H_

#include "tools/gpu_check/agent.h"

namespace alchemist {

// Memory that is shared (memory_calls.cc). `where` is "arena", "allocation" or "peer_allocation".
//   granularity      {} -> bytes
//   create_arena     chunks, chunk_bytes -> us
//   export_arena     {} -> us, descriptors: one a chunk
//   import_arena     chunk_bytes, read_only; descriptors -> us, open: how many are open after it
//   unmap_arena      {} -> us, chunk_us[]
//   release_arena    {}: the handles
//   close_descriptors {}: those that came with import_arena
//   fill             where, seed
//   clear            {}: the arena is full of zeros
//   count_mismatches where, seed -> mismatches
//   store            value: one word at the arena's begin, by a kernel
//   read_word        {} -> value: of 8 bytes at the arena's begin
//   allocate         bytes -> handle: in hexadecimal digits
//   open_peer        handle, bytes
//   close_peer       {}
//   bytes_free       {} -> bytes
AgentCalls MemoryCalls();

// Work (load_calls.cc).
//   spin             ms, count: kernels that beat at the arena's begin; does not wait
//   prepare_decode   bytes -> us: of one kernel that reads them
//   decode_steps     ms, kernels -> steps, p50_us, p95_us, p99_us, max_us: steps of `kernels` such
//   prepare_training rows, width -> us: of one product, [rows, width] * [width, width]^T
//   training         ms, queued_units -> units: such products that ended in that time, with at most
//                    so many queued
//   fault            {}: a store to an address that nobody has
AgentCalls LoadCalls();

// What taking memory back costs (reclaim_calls.cc).
//   fence            pages, repeats -> us, poisoned: a generation fence over the first words of an
//                    arena that are all 0
//   scrub            bytes, repeats -> gb_per_s: bytes written
//   register_memory  bytes, read_only; a memfd -> us
//   copy_registered  seed, write -> gb_per_s, mismatches: in what was copied out of the device or,
//                    without `write`, into it
//   unregister_memory {} -> us
AgentCalls ReclaimCalls();

// The machine's speed (speed_calls.cc).
//   copy_on_device   bytes, repeats -> gb_per_s: read and written
//   copy_host        bytes, repeats, pinned, to_device, streams -> gb_per_s
//   launch           launches, repeats -> launch_us, graph_us: of a kernel, launched one by one or
//   as a
//                    graph and waited for together; round_trip_us: each waited for
//   matmul           rows, outputs, inputs, repeats -> tflop_per_s, library
//   attention        tokens, heads, kv_heads, head_dim, repeats -> us, tflop_per_s, library
AgentCalls SpeedCalls();

AgentCalls AllAgentCalls();

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_AGENT_CALLS_H_
