// RETURN_IF_ERROR and ASSIGN_OR_RETURN: how an absl::Status travels up a call chain.
#ifndef ALCHEMIST_BASE_STATUS_H_
#define ALCHEMIST_BASE_STATUS_H_

#include <utility>

#include "absl/status/status.h"    // IWYU pragma: export
#include "absl/status/statusor.h"  // IWYU pragma: export

// Returns from the enclosing function when `expr` (an absl::Status) is not OK.
#define RETURN_IF_ERROR(expr)                                         \
  do {                                                                \
    if (absl::Status status_ = (expr); !status_.ok()) return status_; \
  } while (false)

#define ALCHEMIST_CONCAT_INNER(a, b) a##b
#define ALCHEMIST_CONCAT(a, b) ALCHEMIST_CONCAT_INNER(a, b)

// Assigns the value of `expr` (an absl::StatusOr) to `lhs`, or returns its status. `lhs` may
// declare.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(ALCHEMIST_CONCAT(status_or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(name, lhs, expr) \
  auto name = (expr);                          \
  if (!name.ok()) return name.status();        \
  lhs = *std::move(name)

#endif  // ALCHEMIST_BASE_STATUS_H_
