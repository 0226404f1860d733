// The catalogue: every check of alchemist-gpu-check, in the order in which they run. docs/gpu.md
// has a section for each (catalogue_test compares). Constants; any thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_CATALOGUE_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_CATALOGUE_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "base/status.h"

namespace alchemist {

struct CheckInfo {
  absl::string_view id;        // "sharing.canary": the group, a dot, the name within it.
  absl::string_view question;  // One sentence, ending in a question mark.
};

absl::Span<const CheckInfo> Catalogue();

// nullptr when there is none.
const CheckInfo* FindCheck(absl::string_view id);

// "sharing" of "sharing.canary"; an id without a dot is a group of its own.
absl::string_view GroupOf(absl::string_view id);

// The checks that `only` names, in the catalogue's order: groups and ids, parted by commas ("" is
// all). An id is that check alone: "death.exporter" is not "death.exporter_legacy" too.
// InvalidArgument, naming the part and the groups that there are, when nothing has that name.
absl::StatusOr<std::vector<const CheckInfo*>> Select(absl::string_view only);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_CATALOGUE_H_
