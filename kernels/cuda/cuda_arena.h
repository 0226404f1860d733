// CudaArena: one address range of device memory in chunks, made once and exported once, as one
// POSIX descriptor a chunk; the peer maps the chunks at a range of its own. Memory returns to the
// driver only when the last mapping, handle and descriptor of a chunk are gone, in either process:
// nobody can take an importer's mapping away but its death. Move only. One thread at a time, with
// the device bound.
#ifndef ALCHEMIST_KERNELS_CUDA_CUDA_ARENA_H_
#define ALCHEMIST_KERNELS_CUDA_CUDA_ARENA_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "base/file.h"
#include "base/packet.h"
#include "base/status.h"
#include "kernels/cuda/cuda_device.h"

namespace alchemist {

enum class CudaAccess { kRead, kReadWrite };

class CudaArena {
 public:
  // All of its descriptors travel in one packet.
  static constexpr int kChunksMax = kPacketDescriptorsMax;

  // What chunk_bytes must be a multiple of.
  static absl::StatusOr<int64_t> Granularity(const CudaDevice& device);

  // `chunks` (1 to kChunksMax) of `chunk_bytes` each, not zeroed. InvalidArgument naming what is
  // out of range; ResourceExhausted, with nothing kept, when the device has too little memory.
  static absl::StatusOr<CudaArena> Create(const CudaDevice* device, int chunks,
                                          int64_t chunk_bytes);
  // Maps a peer's chunks. `fds` stay the caller's: close them, or they keep the memory alive.
  static absl::StatusOr<CudaArena> Import(const CudaDevice* device, absl::Span<const int> fds,
                                          int64_t chunk_bytes, CudaAccess access);

  CudaArena() = default;
  CudaArena(CudaArena&& other) noexcept { Swap(other); }
  CudaArena& operator=(CudaArena&& other) noexcept;
  ~CudaArena();  // Logs what of Close fails.

  // One descriptor a chunk, each to be closed once it is sent. REQUIRES: made by Create.
  absl::StatusOr<std::vector<FileDescriptor>> Export() const;

  // Takes one chunk's mapping, then its handle, away. Nothing on the device may use it any more.
  // REQUIRES: mapped.
  absl::Status UnmapChunk(int chunk);
  absl::Status ReleaseChunk(int chunk);
  // Both for all that are left, then the address range: the first error, after trying everything.
  absl::Status Close();

  uint64_t address() const { return address_; }  // Of the first byte, on the device.
  int64_t bytes() const { return chunk_bytes_ * chunks(); }
  int64_t chunk_bytes() const { return chunk_bytes_; }
  int chunks() const { return static_cast<int>(chunks_.size()); }

 private:
  struct Chunk {
    unsigned long long handle = 0;
    bool held = false;
    bool mapped = false;
  };
  CudaArena(const CudaDevice* device, int chunks, int64_t chunk_bytes)
      : device_(device), chunk_bytes_(chunk_bytes), chunks_(chunks) {}
  void Swap(CudaArena& other);
  absl::Status Reserve();
  absl::Status Map(CudaAccess access);

  const CudaDevice* device_ = nullptr;
  uint64_t address_ = 0;
  int64_t chunk_bytes_ = 0;
  std::vector<Chunk> chunks_;
};

}  // namespace alchemist

#endif  // ALCHEMIST_KERNELS_CUDA_CUDA_ARENA_H_
