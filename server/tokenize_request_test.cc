#include "server/tokenize_request.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/tokenizer/example_tokenizers.h"

namespace alchemist {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TokenizeRequestTest : public testing::Test {
 protected:
  TokenizeRequestTest() {
    auto tokenizer = Tokenizer::Parse(kLlama2Style, "t.json");
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status();
    tokenizer_ = *std::move(tokenizer);
    model_.vocab = 40;  // The tokenizer has 29.
    model_.context = 8;
  }

  absl::StatusOr<v1::DetokenizeResponse> TextOf(const std::vector<int32_t>& tokens) const {
    v1::DetokenizeRequest request;
    request.mutable_tokens()->Add(tokens.begin(), tokens.end());
    return Detokenize(request, *tokenizer_, model_);
  }

  std::unique_ptr<const Tokenizer> tokenizer_;
  ModelConfig model_;
};

void ExpectInvalid(const absl::Status& status, const std::string& message) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

TEST_F(TokenizeRequestTest, SpecialTokensAreAddedUnlessTheyAreNotWanted) {
  v1::TokenizeRequest request;
  request.set_text("hello world");
  EXPECT_THAT(Tokenize(request, *tokenizer_, model_)->tokens(), ElementsAre(1, 22, 27));
  request.set_add_special_tokens(true);
  EXPECT_THAT(Tokenize(request, *tokenizer_, model_)->tokens(), ElementsAre(1, 22, 27));
  request.set_add_special_tokens(false);
  EXPECT_THAT(Tokenize(request, *tokenizer_, model_)->tokens(), ElementsAre(22, 27));
  request.clear_text();
  EXPECT_THAT(Tokenize(request, *tokenizer_, model_)->tokens(), ElementsAre());
}

TEST_F(TokenizeRequestTest, ATextHasTheLengthOfTheContextInLongestTokens) {
  v1::TokenizeRequest request;
  const int64_t bytes_max = model_.context * tokenizer_->token_bytes_max();
  request.set_text(std::string(bytes_max, 'h'));
  EXPECT_TRUE(Tokenize(request, *tokenizer_, model_).ok());
  request.mutable_text()->push_back('h');
  ExpectInvalid(Tokenize(request, *tokenizer_, model_).status(),
                "text: " + std::to_string(bytes_max + 1) + " bytes, the limit is " +
                    std::to_string(bytes_max));
}

TEST_F(TokenizeRequestTest, ATextThatCannotBeTokenisedIsNamed) {
  v1::TokenizeRequest request;
  request.set_text("\xff");
  ExpectInvalid(Tokenize(request, *tokenizer_, model_).status(), "text: ");
}

TEST_F(TokenizeRequestTest, TheTextOfTokensIsThatOfAnAnswer) {
  EXPECT_EQ(TextOf({1, 22, 27})->text(), "hello world") << "special tokens add nothing";
  EXPECT_EQ(TextOf({22, 39})->text(), "hello") << "39 is the model's, and no token has it";
  EXPECT_EQ(TextOf({})->text(), "");
  EXPECT_EQ(TextOf({22, 4, 5})->text(), "hello\u00e9");
  EXPECT_EQ(TextOf({22, 4})->text(), "hello\ufffd") << "half of a character";
}

TEST_F(TokenizeRequestTest, LimitsOfTokensAreNamed) {
  EXPECT_TRUE(TextOf(std::vector<int32_t>(8, 11)).ok());
  ExpectInvalid(TextOf(std::vector<int32_t>(9, 11)).status(), "tokens: 9 of them, the limit is 8");
  ExpectInvalid(TextOf({11, -1}).status(), "tokens: -1 is not in [0, 40)");
  ExpectInvalid(TextOf({40}).status(), "tokens: 40 is not in [0, 40)");
}

}  // namespace
}  // namespace alchemist
