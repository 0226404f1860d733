#include "tools/gpu_check/catalogue.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace alchemist {
namespace {

constexpr CheckInfo kCatalogue[] = {
    {"sharing.granularity",
     "Does the driver allocate shareable memory in steps that divide the arena's chunks of 1 GiB?"},
    {"sharing.import",
     "Can a second process map an arena whose chunks reach it as descriptors over a Unix socket?"},
    {"sharing.canary",
     "Does each process read, through its own mapping, exactly what the other one wrote?"},
    {"sharing.descriptor_owner",
     "Does importing a chunk leave its descriptor to the importer, to be closed by it?"},
    {"sharing.read_only",
     "Does the device refuse a store through a mapping that was made read-only?"},
    {"sharing.uuid", "Do two processes that name the device by its UUID have the same one?"},
    {"sharing.legacy",
     "Does the fallback work, memory of cudaMalloc that a second process maps by a legacy IPC "
     "handle?"},
    {"sharing.legacy_other_user",
     "Is a process of another user refused when it replays the bytes of a legacy IPC handle?"},
    {"death.exporter",
     "When the exporter is killed, can an importer still read the memory that it maps, and which "
     "process is charged for it?"},
    {"death.exporter_reclaim",
     "After the exporter's death, is the memory back once the importer has unmapped it, once it "
     "has closed all handles and descriptors, or only once it has exited?"},
    {"death.exporter_legacy",
     "When the exporter of a legacy IPC handle is killed, can the importer still read, and when is "
     "the memory back?"},
    {"death.importer",
     "When an importer is killed while a kernel of 2 s runs, in which order do its pidfd report "
     "the death, its last write land and the driver drop the process?"},
    {"death.importer_stopped",
     "Do kernels that a process has queued still run after SIGSTOP has stopped it?"},
    {"reclaim.unmap", "How long does it take to unmap 64 chunks while the peer computes?"},
    {"reclaim.fence",
     "How long do the generation fences at a training step's start and end take, as a share of a "
     "step of 100 ms?"},
    {"reclaim.scrub",
     "How fast does the device overwrite memory that goes from one tenant to another?"},
    {"reclaim.host_register",
     "Can two processes that map the same memfd writable both pin it for copies to and from the "
     "device?"},
    {"reclaim.host_register_read_only",
     "Can a process pin a memfd that it maps read-only, for copies to the device?"},
    {"speed.device_copy", "How fast does the device copy within its own memory?"},
    {"speed.host_copy",
     "How fast are copies between the device and host memory, pinned and pageable, in one and two "
     "streams?"},
    {"speed.matmul_1b",
     "How fast are bf16 matrix products in the shapes of a model of 1 billion parameters?"},
    {"speed.matmul_8b",
     "How fast are bf16 matrix products in the shapes of a model of 8 billion parameters?"},
    {"speed.launch",
     "How long does it take to launch a kernel, alone or in a graph, and to learn that it has "
     "ended?"},
    {"speed.attention",
     "Is cuDNN there, and how fast is its causal attention forward over a prompt of 2,048 tokens?"},
    // Last what may leave a process hanging: a fault under MPS.
    {"interference.time_sliced",
     "How late are decode steps beside a training process that has 0.2, 1, 5 or 20 ms queued, "
     "without MPS?"},
    {"interference.fault",
     "Does a decoding process live on when the training process beside it makes an illegal access, "
     "without MPS?"},
    {"interference.mps",
     "How late are decode steps beside a training process that has 0.2, 1, 5 or 20 ms queued, "
     "under MPS?"},
    {"interference.fault_mps",
     "Does a decoding process live on when the training process beside it makes an illegal access, "
     "under MPS?"},
};

std::vector<absl::string_view> Groups() {
  std::vector<absl::string_view> groups;
  for (const CheckInfo& check : kCatalogue) {
    if (groups.empty() || groups.back() != GroupOf(check.id)) groups.push_back(GroupOf(check.id));
  }
  return groups;
}

bool HasName(const CheckInfo& check, absl::string_view name) {
  return check.id == name || GroupOf(check.id) == name;
}

}  // namespace

absl::Span<const CheckInfo> Catalogue() { return kCatalogue; }

const CheckInfo* FindCheck(absl::string_view id) {
  const auto it = std::find_if(std::begin(kCatalogue), std::end(kCatalogue),
                               [&](const CheckInfo& check) { return check.id == id; });
  return it == std::end(kCatalogue) ? nullptr : it;
}

absl::string_view GroupOf(absl::string_view id) { return id.substr(0, id.find('.')); }

absl::StatusOr<std::vector<const CheckInfo*>> Select(absl::string_view only) {
  std::vector<absl::string_view> names = absl::StrSplit(only, ',');
  if (only.empty()) names = Groups();
  for (const absl::string_view name : names) {
    if (std::none_of(std::begin(kCatalogue), std::end(kCatalogue),
                     [&](const CheckInfo& check) { return HasName(check, name); })) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", name, "\" is neither a check nor a group of checks; the groups are ",
                       absl::StrJoin(Groups(), ", ")));
    }
  }
  std::vector<const CheckInfo*> selected;
  for (const CheckInfo& check : kCatalogue) {
    if (std::any_of(names.begin(), names.end(),
                    [&](absl::string_view name) { return HasName(check, name); })) {
      selected.push_back(&check);
    }
  }
  return selected;
}

}  // namespace alchemist
