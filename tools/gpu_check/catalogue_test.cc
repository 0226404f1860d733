// The catalogue by itself, and against docs/gpu.md.
#include "tools/gpu_check/catalogue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/file.h"

namespace alchemist {
namespace {

std::vector<std::string> Ids(absl::string_view only) {
  const auto checks = Select(only);
  EXPECT_TRUE(checks.ok()) << checks.status();
  std::vector<std::string> ids;
  if (checks.ok()) {
    for (const CheckInfo* check : *checks) ids.emplace_back(check->id);
  }
  return ids;
}

// "group.some_name": words of lower case and digits, joined by '_' after one '.'.
bool IsId(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text, absl::ByAnyChar("._"));
  return std::count(text.begin(), text.end(), '.') == 1 && text.find('.') < text.find('_') &&
         std::all_of(words.begin(), words.end(), [](absl::string_view word) {
           return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
             return absl::ascii_islower(c) || absl::ascii_isdigit(c);
           });
         });
}

TEST(CatalogueTest, EveryCheckHasItsOwnIdInAGroupOfNeighbours) {
  std::set<absl::string_view> ids, groups;
  absl::string_view group;
  for (const CheckInfo& check : Catalogue()) {
    EXPECT_TRUE(IsId(check.id)) << check.id;
    EXPECT_TRUE(ids.insert(check.id).second) << check.id << " is there twice";
    if (GroupOf(check.id) != group) {
      group = GroupOf(check.id);
      EXPECT_TRUE(groups.insert(group).second) << check.id << " is apart from its group";
    }
  }
}

TEST(CatalogueTest, EveryQuestionIsOneSentence) {
  for (const CheckInfo& check : Catalogue()) {
    EXPECT_EQ(check.question.find('?'), check.question.size() - 1) << check.question;
    EXPECT_FALSE(absl::StrContains(check.question, ". ")) << check.question;
  }
}

TEST(CatalogueTest, ACheckIsFoundByItsIdAlone) {
  for (const CheckInfo& check : Catalogue()) EXPECT_EQ(FindCheck(check.id), &check);
  EXPECT_EQ(FindCheck("sharing"), nullptr);
  EXPECT_EQ(FindCheck("sharing.none"), nullptr);
  EXPECT_EQ(FindCheck(""), nullptr);
}

TEST(CatalogueTest, NothingNamedSelectsEverything) {
  EXPECT_EQ(Ids("").size(), Catalogue().size());
}

TEST(CatalogueTest, GroupsAndIdsAreSelectedOnceEachInTheCataloguesOrder) {
  EXPECT_EQ(Ids("death.exporter"), std::vector<std::string>{"death.exporter"})
      << "not the checks whose ids go on from it";
  EXPECT_EQ(
      Ids("speed.launch,death,death.importer"),
      (std::vector<std::string>{"death.exporter", "death.exporter_reclaim", "death.exporter_legacy",
                                "death.importer", "death.importer_stopped", "speed.launch"}));
}

TEST(CatalogueTest, ANameThatSelectsNothingIsRefusedWithTheGroups) {
  for (const char* unknown : {"sharin", "sharing.", "sharing.none", "Sharing", "", " speed"}) {
    const auto checks = Select(absl::StrCat("speed,", unknown));
    EXPECT_TRUE(absl::IsInvalidArgument(checks.status())) << unknown;
    EXPECT_EQ(checks.status().message(),
              absl::StrCat("\"", unknown,
                           "\" is neither a check nor a group of checks; the groups are sharing, "
                           "death, reclaim, speed, interference"));
  }
}

// A section of docs/gpu.md: "### `id`", then fields "- name: text" after the question.
struct Section {
  std::string id;
  std::string text;  // Without ends of lines.
};

std::vector<Section> DocumentedChecks() {
  const auto page = ReadFile("docs/gpu.md", 1 << 20);
  EXPECT_TRUE(page.ok()) << page.status();
  std::vector<Section> sections;
  bool in_check = false;
  for (const absl::string_view line : absl::StrSplit(page.value_or(""), '\n')) {
    if (absl::StartsWith(line, "#")) in_check = absl::StartsWith(line, "### `");
    if (!in_check) continue;
    if (absl::StartsWith(line, "#")) {
      sections.push_back({std::string(line.substr(5, line.rfind('`') - 5)), ""});
    } else {
      absl::StrAppend(&sections.back().text, " ", absl::StripAsciiWhitespace(line));
    }
  }
  return sections;
}

TEST(CatalogueTest, ThePageHasASectionForEachCheckInTheSameOrder) {
  std::vector<std::string> documented;
  for (const Section& section : DocumentedChecks()) documented.push_back(section.id);
  EXPECT_EQ(documented, Ids(""));
}

TEST(CatalogueTest, EverySectionHasTheQuestionItsAnswerAndWhatFollows) {
  for (const Section& section : DocumentedChecks()) {
    const CheckInfo* check = FindCheck(section.id);
    if (check == nullptr) continue;  // Named by the test above.
    EXPECT_TRUE(absl::StrContains(section.text, check->question)) << section.id;
    for (const char* field : {" - Answer: ", " - Date: ", " - GPU and driver: ", " - Default: "}) {
      EXPECT_TRUE(absl::StrContains(section.text, field)) << section.id << " has no" << field;
    }
  }
}

}  // namespace
}  // namespace alchemist
