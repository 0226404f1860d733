#include "server/revision_table.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/log_testing.h"

namespace alchemist {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class RevisionTableTest : public testing::Test {
 protected:
  RevisionTableTest() {
    Run([](FeedbackLog& l) { return l.revisions().CreateAdapter("default", "digest-0", 10); });
    Run([](FeedbackLog& l) { return l.completions().Add(TestCompletion("cmpl-1")); });
    for (const char* id : {"fb-1", "fb-2"}) {
      Run([&](FeedbackLog& l) { return l.feedback().Add(TestRating(id, "cmpl-1", 1)).status(); });
    }
  }

  // Runs `work` in a transaction that must succeed.
  void Run(absl::FunctionRef<absl::Status(FeedbackLog&)> work) {
    const absl::Status status = Transact(log_.get(), work);
    EXPECT_TRUE(status.ok()) << status;
  }

  int64_t Mint() {
    int64_t number = -1;
    Run([&](FeedbackLog& l) -> absl::Status {
      ASSIGN_OR_RETURN(number, l.revisions().Mint("default"));
      return absl::OkStatus();
    });
    return number;
  }

  absl::Status Commit(int64_t number, int64_t parent, std::vector<FeedbackPasses> lineage) {
    RevisionRow row;
    row.revision = {"default", number, "digest-" + std::to_string(number)};
    row.parent = parent;
    row.step = number * 10;
    row.published_unix_us = 1000 + number;
    row.lineage = std::move(lineage);
    return Transact(log_.get(), [&](FeedbackLog& l) { return l.revisions().Commit(row); });
  }

  AdapterRow Adapter() {
    AdapterRow adapter;
    Run([&](FeedbackLog& l) -> absl::Status {
      ASSIGN_OR_RETURN(adapter, l.revisions().FindAdapter("default"));
      return absl::OkStatus();
    });
    return adapter;
  }

  const std::string directory_ = FreshDirectory();
  std::unique_ptr<FeedbackLog> log_ = OpenLog(directory_);
};

TEST_F(RevisionTableTest, AnAdapterBeginsWithRevision0) {
  const AdapterRow adapter = Adapter();
  EXPECT_EQ(adapter.serving, (RevisionId{"default", 0, "digest-0"}));
  EXPECT_EQ(adapter.next_number, 1);
  EXPECT_FALSE(adapter.pinned);
  const absl::Status again = Transact(
      log_.get(), [](FeedbackLog& l) { return l.revisions().CreateAdapter("default", "x", 0); });
  EXPECT_EQ(again.code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(RevisionTableTest, AMintedNumberIsNeverGivenOutAgain) {
  EXPECT_EQ(Mint(), 1);
  log_.reset();  // The server dies between minting and committing.
  log_ = OpenLog(directory_);
  EXPECT_EQ(Mint(), 2);
  EXPECT_TRUE(Commit(2, 0, {}).ok());
  EXPECT_EQ(Commit(2, 0, {}).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(Mint(), 3);
}

TEST_F(RevisionTableTest, RefusesWhatHasNoPlaceInTheLineage) {
  Mint();
  EXPECT_EQ(Commit(2, 0, {}).code(), absl::StatusCode::kInvalidArgument) << "not minted";
  EXPECT_EQ(Commit(0, 0, {}).code(), absl::StatusCode::kInvalidArgument) << "not minted";
  EXPECT_EQ(Commit(1, 7, {}).code(), absl::StatusCode::kInvalidArgument) << "unknown parent";
  EXPECT_EQ(Commit(1, 0, {{"fb-9", 1}}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(Commit(1, 0, {{"fb-1", 1}}).ok()) << "what was refused left nothing behind";
}

TEST_F(RevisionTableTest, FeedbackNamesTheFirstRevisionItTookPartIn) {
  Mint();
  Mint();
  ASSERT_TRUE(Commit(1, 0, {{"fb-1", 1}}).ok());
  ASSERT_TRUE(Commit(2, 1, {{"fb-1", 2}, {"fb-2", 1}}).ok());
  EXPECT_EQ(GetFeedback(log_.get(), "fb-1")->first_revision,
            (RevisionId{"default", 1, "digest-1"}));
  EXPECT_EQ(GetFeedback(log_.get(), "fb-2")->first_revision,
            (RevisionId{"default", 2, "digest-2"}));
}

TEST_F(RevisionTableTest, PassesAreSummedAlongTheAncestorsOnly) {
  for (int i = 0; i < 3; ++i) Mint();
  ASSERT_TRUE(Commit(1, 0, {{"fb-1", 1}}).ok());
  ASSERT_TRUE(Commit(2, 1, {{"fb-1", 3}, {"fb-2", 1}}).ok());
  ASSERT_TRUE(Commit(3, 1, {{"fb-1", 1}}).ok()) << "after a rollback to 1";
  const auto passes = [&](int64_t number) {
    std::vector<FeedbackPasses> found;
    Run([&](FeedbackLog& l) -> absl::Status {
      ASSIGN_OR_RETURN(found, l.revisions().PassesInLineage("default", number));
      return absl::OkStatus();
    });
    return found;
  };
  EXPECT_THAT(passes(0), IsEmpty());
  EXPECT_THAT(passes(2), ElementsAre(FeedbackPasses{"fb-1", 4}, FeedbackPasses{"fb-2", 1}));
  EXPECT_THAT(passes(3), ElementsAre(FeedbackPasses{"fb-1", 2}));
  Run([](FeedbackLog& l) {
    const std::vector<FeedbackProgress> settled = {{"fb-1", 4}};
    return l.feedback().Settle({"default", 2, "digest-2"}, settled);
  });
  EXPECT_THAT(passes(2), ElementsAre(FeedbackPasses{"fb-2", 1}));
}

TEST_F(RevisionTableTest, ListsRevisionsWithWhatEachAdded) {
  Mint();
  Mint();
  ASSERT_TRUE(Commit(2, 0, {{"fb-2", 4}, {"fb-1", 1}}).ok());
  std::vector<RevisionRow> rows;
  Run([&](FeedbackLog& l) -> absl::Status {
    ASSIGN_OR_RETURN(rows, l.revisions().List("default", /*first_number=*/0, /*limit=*/10));
    return absl::OkStatus();
  });
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].revision.number, 0);
  EXPECT_EQ(rows[1].revision, (RevisionId{"default", 2, "digest-2"}));
  EXPECT_EQ(rows[1].parent, 0);
  EXPECT_EQ(rows[1].step, 20);
  EXPECT_EQ(rows[1].published_unix_us, 1002);
  EXPECT_THAT(rows[1].lineage, ElementsAre(FeedbackPasses{"fb-1", 1}, FeedbackPasses{"fb-2", 4}));
}

TEST_F(RevisionTableTest, APageWithMuchLineageIsShort) {
  for (int i = 0; i < 3; ++i) Mint();
  ASSERT_TRUE(Commit(1, 0, {{"fb-1", 1}}).ok());
  ASSERT_TRUE(Commit(2, 1, {{"fb-1", 1}, {"fb-2", 1}}).ok());
  ASSERT_TRUE(Commit(3, 2, {}).ok());
  std::vector<RevisionRow> rows;
  Run([&](FeedbackLog& l) -> absl::Status {
    ASSIGN_OR_RETURN(rows, l.revisions().List("default", 0, 10, /*lineage_max=*/1));
    return absl::OkStatus();
  });
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[1].revision.number, 1);
  Run([&](FeedbackLog& l) -> absl::Status {
    ASSIGN_OR_RETURN(rows, l.revisions().List("default", 2, 10, /*lineage_max=*/1));
    return absl::OkStatus();
  });
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_THAT(rows[0].lineage, ElementsAre(FeedbackPasses{"fb-1", 1}));
  EXPECT_EQ(rows[0].feedback_count, 2);
}

TEST_F(RevisionTableTest, ServingAndPinSurviveARestart) {
  Mint();
  ASSERT_TRUE(Commit(1, 0, {}).ok());
  Run([](FeedbackLog& l) { return l.revisions().SetServing("default", 1); });
  Run([](FeedbackLog& l) { return l.revisions().SetPinned("default", true); });
  log_.reset();
  log_ = OpenLog(directory_);
  EXPECT_EQ(Adapter().serving, (RevisionId{"default", 1, "digest-1"}));
  EXPECT_TRUE(Adapter().pinned);
}

TEST_F(RevisionTableTest, UnknownAdaptersAndRevisionsAreNotFound) {
  const auto code = [&](absl::FunctionRef<absl::Status(RevisionTable&)> work) {
    return Transact(log_.get(), [&](FeedbackLog& l) { return work(l.revisions()); }).code();
  };
  const absl::StatusCode not_found = absl::StatusCode::kNotFound;
  EXPECT_EQ(code([](RevisionTable& t) { return t.SetServing("default", 4); }), not_found);
  EXPECT_EQ(code([](RevisionTable& t) { return t.SetPinned("other", true); }), not_found);
  EXPECT_EQ(code([](RevisionTable& t) { return t.Mint("other").status(); }), not_found);
  EXPECT_EQ(code([](RevisionTable& t) { return t.FindAdapter("other").status(); }), not_found);
  EXPECT_EQ(code([](RevisionTable& t) { return t.PassesInLineage("default", 4).status(); }),
            not_found);
}

}  // namespace
}  // namespace alchemist
