// The only include of glog in the project: LOG, CHECK and their variants.
#ifndef ALCHEMIST_BASE_LOGGING_H_
#define ALCHEMIST_BASE_LOGGING_H_

#include <glog/logging.h>  // IWYU pragma: export

#endif  // ALCHEMIST_BASE_LOGGING_H_
