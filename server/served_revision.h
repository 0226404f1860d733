// ServedRevision: one immutable published state of an adapter, loaded. shared_ptr pins it for as
// long as a request, session or record needs it.
#ifndef ALCHEMIST_SERVER_SERVED_REVISION_H_
#define ALCHEMIST_SERVER_SERVED_REVISION_H_

#include <memory>

#include "model/lora_adapter.h"
#include "server/log_rows.h"

namespace alchemist {

struct ServedRevision {
  RevisionId id;
  std::shared_ptr<const LoraAdapter> adapter;
};

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_SERVED_REVISION_H_
