#include "kernels/cuda/cuda_arena.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "kernels/cuda/cuda_driver.h"

namespace alchemist {
namespace {

CUmemAllocationProp ChunkProperties(const CudaDevice& device) {
  CUmemAllocationProp properties = {};
  properties.type = CU_MEM_ALLOCATION_TYPE_PINNED;
  properties.requestedHandleTypes = CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR;
  properties.location = {CU_MEM_LOCATION_TYPE_DEVICE, device.handle()};
  return properties;
}

std::string ChunkText(int chunk, int chunks, int64_t chunk_bytes) {
  return absl::StrCat("of chunk ", chunk, " of ", chunks, ", ", chunk_bytes, " bytes");
}

absl::Status CheckSizes(const CudaDevice& device, int64_t chunks, int64_t chunk_bytes) {
  if (!device.info().exports_descriptors) {
    return absl::UnimplementedError(
        absl::StrCat(device.info().name, ": its memory cannot be exported as descriptors"));
  }
  ASSIGN_OR_RETURN(const int64_t granularity, CudaArena::Granularity(device));
  if (chunks < 1 || chunks > CudaArena::kChunksMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunks: ", chunks, " is not from 1 to ", CudaArena::kChunksMax));
  }
  if (chunk_bytes < 1 || chunk_bytes % granularity != 0 ||
      chunk_bytes > device.info().memory_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("chunk_bytes: ", chunk_bytes, " is no multiple of ", granularity,
                     " that the device's ", device.info().memory_bytes, " bytes hold"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int64_t> CudaArena::Granularity(const CudaDevice& device) {
  const CudaDriver& driver = device.driver();
  const CUmemAllocationProp properties = ChunkProperties(device);
  size_t granularity = 0;
  RETURN_IF_ERROR(driver.Check(driver.cuMemGetAllocationGranularity(
                                   &granularity, &properties, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED),
                               "cuMemGetAllocationGranularity"));
  return static_cast<int64_t>(granularity);
}

absl::StatusOr<CudaArena> CudaArena::Create(const CudaDevice* device, int chunks,
                                            int64_t chunk_bytes) {
  RETURN_IF_ERROR(CheckSizes(*device, chunks, chunk_bytes));
  CudaArena arena(device, chunks, chunk_bytes);
  RETURN_IF_ERROR(arena.Reserve());
  const CudaDriver& driver = device->driver();
  const CUmemAllocationProp properties = ChunkProperties(*device);
  for (int i = 0; i < chunks; ++i) {
    Chunk& chunk = arena.chunks_[i];
    RETURN_IF_ERROR(driver.Check(driver.cuMemCreate(&chunk.handle, chunk_bytes, &properties, 0),
                                 "cuMemCreate", ChunkText(i, chunks, chunk_bytes)));
    chunk.held = true;
  }
  RETURN_IF_ERROR(arena.Map(CudaAccess::kReadWrite));
  return arena;
}

absl::StatusOr<CudaArena> CudaArena::Import(const CudaDevice* device, absl::Span<const int> fds,
                                            int64_t chunk_bytes, CudaAccess access) {
  RETURN_IF_ERROR(CheckSizes(*device, static_cast<int64_t>(fds.size()), chunk_bytes));
  CudaArena arena(device, static_cast<int>(fds.size()), chunk_bytes);
  RETURN_IF_ERROR(arena.Reserve());
  const CudaDriver& driver = device->driver();
  for (int i = 0; i < arena.chunks(); ++i) {
    Chunk& chunk = arena.chunks_[i];
    void* const handle = reinterpret_cast<void*>(static_cast<intptr_t>(fds[i]));
    RETURN_IF_ERROR(
        driver.Check(driver.cuMemImportFromShareableHandle(
                         &chunk.handle, handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR),
                     "cuMemImportFromShareableHandle", ChunkText(i, arena.chunks(), chunk_bytes)));
    chunk.held = true;
  }
  RETURN_IF_ERROR(arena.Map(access));
  return arena;
}

CudaArena& CudaArena::operator=(CudaArena&& other) noexcept {
  CudaArena taken(std::move(other));
  Swap(taken);
  return *this;
}

CudaArena::~CudaArena() {
  const absl::Status closed = Close();
  if (!closed.ok()) LOG(ERROR) << closed;
}

void CudaArena::Swap(CudaArena& other) {
  std::swap(device_, other.device_);
  std::swap(address_, other.address_);
  std::swap(chunk_bytes_, other.chunk_bytes_);
  std::swap(chunks_, other.chunks_);
}

absl::Status CudaArena::Reserve() {
  const CudaDriver& driver = device_->driver();
  CUdeviceptr address = 0;
  RETURN_IF_ERROR(driver.Check(driver.cuMemAddressReserve(&address, bytes(), 0, 0, 0),
                               "cuMemAddressReserve", absl::StrCat("of ", bytes(), " bytes")));
  address_ = address;
  return absl::OkStatus();
}

absl::Status CudaArena::Map(CudaAccess access) {
  const CudaDriver& driver = device_->driver();
  for (int i = 0; i < chunks(); ++i) {
    RETURN_IF_ERROR(driver.Check(
        driver.cuMemMap(address_ + i * chunk_bytes_, chunk_bytes_, 0, chunks_[i].handle, 0),
        "cuMemMap", ChunkText(i, chunks(), chunk_bytes_)));
    chunks_[i].mapped = true;
  }
  CUmemAccessDesc description = {};
  description.location = {CU_MEM_LOCATION_TYPE_DEVICE, device_->handle()};
  description.flags = access == CudaAccess::kRead ? CU_MEM_ACCESS_FLAGS_PROT_READ
                                                  : CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
  return driver.Check(driver.cuMemSetAccess(address_, bytes(), &description, 1), "cuMemSetAccess",
                      access == CudaAccess::kRead ? "to read" : "to read and write");
}

absl::StatusOr<std::vector<FileDescriptor>> CudaArena::Export() const {
  const CudaDriver& driver = device_->driver();
  std::vector<FileDescriptor> fds;
  for (int i = 0; i < chunks(); ++i) {
    int fd = -1;
    RETURN_IF_ERROR(
        driver.Check(driver.cuMemExportToShareableHandle(
                         &fd, chunks_[i].handle, CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR, 0),
                     "cuMemExportToShareableHandle", ChunkText(i, chunks(), chunk_bytes_)));
    fds.emplace_back(fd);
  }
  return fds;
}

absl::Status CudaArena::UnmapChunk(int chunk) {
  CHECK(chunks_[chunk].mapped) << "chunk " << chunk;
  chunks_[chunk].mapped = false;
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuMemUnmap(address_ + chunk * chunk_bytes_, chunk_bytes_),
                      "cuMemUnmap", ChunkText(chunk, chunks(), chunk_bytes_));
}

absl::Status CudaArena::ReleaseChunk(int chunk) {
  CHECK(chunks_[chunk].held) << "chunk " << chunk;
  chunks_[chunk].held = false;
  const CudaDriver& driver = device_->driver();
  return driver.Check(driver.cuMemRelease(chunks_[chunk].handle), "cuMemRelease",
                      ChunkText(chunk, chunks(), chunk_bytes_));
}

absl::Status CudaArena::Close() {
  absl::Status first;
  for (int i = 0; i < chunks(); ++i) {
    if (chunks_[i].mapped) first.Update(UnmapChunk(i));
    if (chunks_[i].held) first.Update(ReleaseChunk(i));
  }
  if (address_ != 0) {
    const CudaDriver& driver = device_->driver();
    first.Update(driver.Check(driver.cuMemAddressFree(address_, bytes()), "cuMemAddressFree"));
  }
  address_ = 0;
  chunks_.clear();
  return first;
}

}  // namespace alchemist
