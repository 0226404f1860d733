// Ids that clients see. Minted here from the kernel's random source, never taken from a client, so
// that nobody can guess or choose the id of another's completion. Any thread.
#ifndef ALCHEMIST_SERVER_IDS_H_
#define ALCHEMIST_SERVER_IDS_H_

#include <string>

namespace alchemist {

std::string MintCompletionId();  // "cmpl-" and 128 random bits in hex.
std::string MintFeedbackId();    // "fb-" and 128 random bits in hex.
std::string MintRequestId();     // "req-" and 128 random bits in hex.

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_IDS_H_
