// ASSERT_OK and EXPECT_OK: a test's expectation that a Status (or the status of a StatusOr) is OK,
// with its text where it is not.
#ifndef ALCHEMIST_TESTS_ASSERT_OK_H_
#define ALCHEMIST_TESTS_ASSERT_OK_H_

#include <gtest/gtest.h>

#include "base/status.h"

namespace alchemist {

inline absl::Status StatusOf(absl::Status status) { return status; }
template <typename T>
absl::Status StatusOf(const absl::StatusOr<T>& value) {
  return value.status();
}

}  // namespace alchemist

#define ASSERT_OK(expression)                                       \
  do {                                                              \
    const absl::Status status_ = ::alchemist::StatusOf(expression); \
    ASSERT_TRUE(status_.ok()) << #expression << ": " << status_;    \
  } while (false)

#define EXPECT_OK(expression)                                       \
  do {                                                              \
    const absl::Status status_ = ::alchemist::StatusOf(expression); \
    EXPECT_TRUE(status_.ok()) << #expression << ": " << status_;    \
  } while (false)

#endif  // ALCHEMIST_TESTS_ASSERT_OK_H_
