// Whether a test was built with a sanitizer, which changes what time and memory things take.
#ifndef ALCHEMIST_TESTS_SANITIZED_H_
#define ALCHEMIST_TESTS_SANITIZED_H_

namespace alchemist {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace alchemist

#endif  // ALCHEMIST_TESTS_SANITIZED_H_
