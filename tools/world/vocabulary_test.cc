#include "tools/world/vocabulary.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/digest.h"

namespace alchemist {
namespace {

// The test's questions were settled before any training was tuned, so that no tuning could choose
// them. Whoever changes a form changes what the quickstart's figures mean, and has to say so here.
TEST(VocabularyTest, FormsAreThoseThatWereSettled) {
  std::string text;
  for (const Relation& relation : Relations()) {
    for (int form = 0; form < kForms; ++form) {
      absl::StrAppend(&text, static_cast<int>(UseOfForm(form)), " ", relation.forms[form], "\n");
    }
  }
  EXPECT_EQ(Sha256Hex(text), "4601f54827a08821bee7773bd2907edad23cd2397f82b7fb21d45ae330c02db4");
}

TEST(VocabularyTest, EachFormAsksOneRelation) {
  std::set<absl::string_view> forms;
  for (const Relation& relation : Relations()) {
    for (absl::string_view form : relation.forms) {
      EXPECT_TRUE(forms.insert(form).second) << form;
      const std::vector<std::string> around = absl::StrSplit(form, "{}");
      EXPECT_EQ(around.size(), 2) << form;
      // All end alike, so that an answer always follows the same token.
      EXPECT_TRUE(absl::EndsWith(form, "?")) << form;
    }
  }
}

TEST(VocabularyTest, ValuesOfARelationAreDistinctWords) {
  for (const Relation& relation : Relations()) {
    std::set<absl::string_view> values;
    for (absl::string_view value : relation.values) {
      EXPECT_TRUE(values.insert(value).second) << relation.name << " " << value;
      EXPECT_FALSE(value.empty() || absl::StrContains(value, " ")) << relation.name;
    }
  }
}

TEST(VocabularyTest, EveryTypeHasRelations) {
  std::set<EntityType> types;
  for (const Relation& relation : Relations()) types.insert(relation.type);
  EXPECT_EQ(types.size(), size_t{kEntityTypes});
}

}  // namespace
}  // namespace alchemist
