#include "trainer/training_item.h"

#include <functional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class TrainingItemTest : public testing::Test {
 protected:
  TrainingItemTest() {
    model_.vocab = 10;
    model_.context = 8;
    base_.set_base_digest("base");
    base_.set_tokenizer_digest("tokenizer");
  }
  v1::FeedbackItem Valid() const {
    v1::FeedbackItem message;
    message.set_kind(v1::ITEM_KIND_FEEDBACK);
    message.set_item_id("fb-1");
    message.set_completion_id("cmpl-1");
    *message.mutable_base() = base_;
    message.mutable_behaviour()->set_adapter_id("default");
    message.mutable_behaviour()->set_number(4);
    message.mutable_behaviour()->set_digest("digest");
    for (const int token : {1, 2, 3}) message.add_prompt_tokens(token);
    for (const int token : {9, 0}) message.add_response_tokens(token);
    message.set_is_correction(true);
    return message;
  }
  absl::StatusOr<TrainingItem> Parse(const v1::FeedbackItem& message) const {
    return ParseItem(message, model_, base_);
  }

  ModelConfig model_;
  v1::Base base_;
};

TEST_F(TrainingItemTest, TakesWhatIsTrained) {
  const auto item = Parse(Valid());
  ASSERT_TRUE(item.ok()) << item.status();
  EXPECT_FALSE(item->replay);
  EXPECT_TRUE(item->is_correction);
  EXPECT_EQ(item->item_id, "fb-1");
  EXPECT_EQ(item->completion_id, "cmpl-1");
  EXPECT_EQ(item->behaviour.number, 4u);
  EXPECT_EQ(item->behaviour.digest, "digest");
  EXPECT_THAT(item->prompt_tokens, ElementsAre(1, 2, 3));
  EXPECT_THAT(item->response_tokens, ElementsAre(9, 0));
  EXPECT_EQ(item->prompt_rows(), 3);
  EXPECT_EQ(item->response_rows(), 1) << "the last token is a target only";
  v1::FeedbackItem replay = Valid();
  replay.set_kind(v1::ITEM_KIND_REPLAY);
  EXPECT_TRUE(Parse(replay)->replay);
}

TEST_F(TrainingItemTest, ExactlyTheContextFits) {
  v1::FeedbackItem message = Valid();
  message.mutable_response_tokens()->Resize(5, 1);
  EXPECT_TRUE(Parse(message).ok());
  message.add_response_tokens(1);
  EXPECT_FALSE(Parse(message).ok());
}

TEST_F(TrainingItemTest, TheLogNamesFeedbackAndReplayWithTheirCompletionAndRevision) {
  TrainingItem item;
  item.item_id = "fb-1";
  item.completion_id = "cmpl-1";
  item.behaviour.number = 3;
  EXPECT_EQ(ItemLogId(item), "feedback fb-1 on completion cmpl-1 revision 3");
  item.replay = true;
  EXPECT_EQ(ItemLogId(item), "replayed feedback fb-1 on completion cmpl-1 revision 3");
  item.item_id = "cmpl-1";
  EXPECT_EQ(ItemLogId(item), "replayed completion cmpl-1 revision 3");
}

TEST_F(TrainingItemTest, EachErrorNamesItsItemAndItsField) {
  struct Case {
    const char* names;
    std::function<void(v1::FeedbackItem&)> spoil;
  };
  const Case cases[] = {
      {"item_id", [](auto& m) { m.clear_item_id(); }},
      {"kind", [](auto& m) { m.clear_kind(); }},
      {"kind", [](auto& m) { m.set_kind(static_cast<v1::ItemKind>(77)); }},
      {"base", [](auto& m) { m.clear_base(); }},
      {"base", [](auto& m) { m.mutable_base()->set_tokenizer_digest("other"); }},
      {"prompt_tokens", [](auto& m) { m.clear_prompt_tokens(); }},
      {"prompt_tokens", [](auto& m) { m.add_prompt_tokens(10); }},
      {"prompt_tokens", [](auto& m) { m.add_prompt_tokens(-1); }},
      {"response_tokens", [](auto& m) { m.clear_response_tokens(); }},
      {"response_tokens", [](auto& m) { m.set_response_tokens(1, 10); }},
      {"the context has 8", [](auto& m) { m.mutable_prompt_tokens()->Resize(1000, 1); }},
  };
  for (const Case& c : cases) {
    v1::FeedbackItem message = Valid();
    c.spoil(message);
    const absl::Status status = Parse(message).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << c.names;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.names));
    EXPECT_THAT(std::string(status.message()), StartsWith(message.item_id())) << c.names;
  }
}

}  // namespace
}  // namespace alchemist
