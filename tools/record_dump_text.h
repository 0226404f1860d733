// What alchemistctl prints of a record: its header, then a line for each tensor, in columns. Pure;
// any thread.
#ifndef ALCHEMIST_TOOLS_RECORD_DUMP_TEXT_H_
#define ALCHEMIST_TOOLS_RECORD_DUMP_TEXT_H_

#include <string>

#include "proto/alchemist/v1/admin.pb.h"

namespace alchemist {

std::string RecordDumpText(const v1::DumpRecordResponse& record);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_RECORD_DUMP_TEXT_H_
