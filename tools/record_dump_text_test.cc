#include "tools/record_dump_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "google/protobuf/text_format.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;

v1::DumpRecordResponse Parse(const char* text) {
  v1::DumpRecordResponse record;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &record)) << text;
  return record;
}

TEST(RecordDumpTextTest, SaysWhatTheRecordIsAndItsDigestsInShort) {
  const std::string text = RecordDumpText(Parse(R"(
      record_id: 7 state: RECORD_STATE_LEASED has_tenant: true parent_record: 3 parent_tokens: 64
      tokens: 90 is_answer: true pins: 1 leases: 2
      base { base_digest: "0123456789abcdef" tokenizer_digest: "fedcba9876543210" }
      revision { adapter_id: "default" number: 5 digest: "00112233445566778899" })"));
  EXPECT_THAT(text, HasSubstr("record 7 LEASED of an answer"));
  EXPECT_THAT(text, HasSubstr("tokens 90\nparent record 3, its first 64 tokens\n"));
  EXPECT_THAT(text, HasSubstr("pins 1 leases 2\ntenant given\n"));
  EXPECT_THAT(text, HasSubstr("adapter default revision 5 digest 001122334455\n"));
  EXPECT_THAT(text, HasSubstr("base 0123456789ab tokenizer fedcba987654\n"));
}

TEST(RecordDumpTextTest, ATensorIsALineWhoseColumnsStandBelowTheirNames) {
  const std::string text = RecordDumpText(Parse(R"(
      record_id: 1 state: RECORD_STATE_SEALED tokens: 40
      tensors { layer: 1 name: "gate" rows: 1 width: 384 dtype: "bf16"
                min: -1.25 max: 2.5 l2_norm: 3 nonfinite: 0 }
      tensors { layer: 11 name: "k" rows: 40 width: 64 dtype: "f32" nonfinite: 2560 })"));
  EXPECT_THAT(text, HasSubstr("record 1 SEALED of a prompt\ntokens 40\nparent none\n"));
  EXPECT_THAT(text, HasSubstr("tenant none\n"));
  EXPECT_THAT(text, HasSubstr("\n\n"
                              "layer tensor       rows   width dtype           min           max"
                              "       l2_norm nonfinite\n"
                              "    1 gate            1     384 bf16          -1.25           2.5"
                              "             3         0\n"
                              "   11 k              40      64 f32               -             -"
                              "             0      2560\n"));
}

}  // namespace
}  // namespace alchemist
