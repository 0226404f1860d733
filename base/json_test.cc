#include "base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace alchemist {
namespace {

using ::testing::HasSubstr;

std::string Nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

std::string Message(const absl::Status& status) { return std::string(status.message()); }

TEST(JsonTest, DepthIsBoundedAndBracketsInStringsDoNotCount) {
  EXPECT_TRUE(ParseJson(Nested(kJsonDepthMax), "f").ok());
  const auto deep = ParseJson(Nested(kJsonDepthMax + 1), "f.json");
  EXPECT_EQ(deep.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(Message(deep.status()), HasSubstr("f.json: JSON is nested deeper than 32"));
  EXPECT_TRUE(ParseJson(absl::StrCat("\"\\\"", std::string(100, '{'), "\""), "f").ok());
  // Without the look before parsing this would take gigabytes.
  EXPECT_FALSE(ParseJson(std::string(8 << 20, '['), "f").ok());
}

TEST(JsonTest, MalformedTextIsAnErrorThatNamesTheFile) {
  for (const char* text : {"", "{", "{\"a\":}", "[1,]", "nul", "{} x", "\"\xff\"", "1e999"}) {
    const auto parsed = ParseJson(text, "f.json");
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(Message(parsed.status()), HasSubstr("f.json")) << text;
  }
}

TEST(JsonTest, AKeyThatOccursTwiceInOneObjectIsAnError) {
  EXPECT_TRUE(ParseJson(R"([{"a":1,"b":{"a":2}},{"a":3}])", "f").ok());
  for (const char* text : {R"({"a":1,"a":1})", R"([{"b":1},{"c":{"a":[{}],"a":2}}])"}) {
    EXPECT_THAT(Message(ParseJson(text, "f").status()), HasSubstr("\"a\" occurs twice")) << text;
  }
}

TEST(JsonTest, ErrorsNameThePathOfTheValue) {
  const auto document =
      ParseJson(R"({"a":{"b":[1,"x",-1,18446744073709551615]},"flag":true,"none":null})", "f.json");
  ASSERT_TRUE(document.ok());
  const JsonNode root(&*document, "f.json:");
  const auto a = root.Get("a");
  ASSERT_TRUE(a.ok());
  const auto b = a->Get("b")->Array();
  ASSERT_TRUE(b.ok());
  EXPECT_EQ(*(*b)[0].Integer(0, 1), 1);
  EXPECT_EQ(*(*b)[2].Integer(-1, 1), -1);
  EXPECT_EQ(Message((*b)[2].Integer(0, 1).status()),
            "f.json: a.b[2] must be an integer between 0 and 1");
  EXPECT_FALSE((*b)[3].Integer(-1, 1).ok());
  EXPECT_FALSE((*b)[1].Integer(0, 1).ok());
  EXPECT_EQ(*(*b)[1].String(), "x");
  EXPECT_EQ(Message((*b)[0].String().status()), "f.json: a.b[0] must be a string");
  EXPECT_EQ(Message(a->Get("c").status()), "f.json: a.c is missing");
  EXPECT_EQ(Message(a->Array().status()), "f.json: a must be an array");
  EXPECT_EQ(Message((*b)[0].Get("x").status()), "f.json: a.b[0] must be an object");
  EXPECT_TRUE(*root.BoolOr("flag", false));
  EXPECT_TRUE(*root.BoolOr("none", true));
  EXPECT_FALSE(root.BoolOr("a", true).ok());
  EXPECT_EQ(*root.StringOr("absent", "y"), "y");
  EXPECT_FALSE(root.Find("none").has_value());
  const absl::Status unknown = root.AllowOnly({"a", "flag"});
  EXPECT_EQ(unknown.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(Message(unknown), "f.json: none is not supported");
}

TEST(JsonTest, NumbersAreCheckedAgainstTheirRange) {
  const auto document = ParseJson(R"({"int": 7, "real": 1.5, "text": "t", "none": null})", "f");
  ASSERT_TRUE(document.ok());
  const JsonNode root(&*document, "f:");
  EXPECT_EQ(*root.Get("int")->Number(7, 7), 7.0);
  EXPECT_EQ(*root.NumberOr("real", 0, 1, 2), 1.5);
  EXPECT_EQ(Message(root.NumberOr("real", 0, 2, 3).status()),
            "f: real must be a number between 2 and 3");
  EXPECT_FALSE(root.NumberOr("text", 0, 0, 9).ok());
  EXPECT_EQ(*root.NumberOr("none", 2.5, 0, 1), 2.5);
  EXPECT_EQ(*root.IntegerOr("int", 0, 0, 9), 7);
  EXPECT_FALSE(root.IntegerOr("real", 0, 0, 9).ok());
  EXPECT_EQ(*root.IntegerOr("none", 3, 8, 9), 3);
}

TEST(JsonTest, AFeatureThatIsOffHasManySpellings) {
  const auto document = ParseJson(
      R"({"off": [null, false, 0, 0.0, "", [], {}], "on": [true, 1, 0.5, "x", [0], {"a": 0}]})",
      "f");
  ASSERT_TRUE(document.ok());
  for (const nlohmann::json& value : (*document)["off"]) EXPECT_TRUE(JsonNode(&value, "f").IsOff());
  for (const nlohmann::json& value : (*document)["on"]) EXPECT_FALSE(JsonNode(&value, "f").IsOff());
}

}  // namespace
}  // namespace alchemist
