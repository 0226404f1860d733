#include "server/completion_stream.h"

#include <optional>
#include <variant>

#include "gtest/gtest.h"

namespace alchemist {
namespace {

CompletionChunk Chunk(int32_t token) {
  CompletionChunk chunk;
  chunk.token_ids = {token};
  return chunk;
}

CompletionEnd Failed() {
  CompletionEnd end;
  end.status = absl::CancelledError("aborted");
  return end;
}

TEST(CompletionStreamTest, AReaderThatFoundNothingIsWokenOnce) {
  int wakes = 0;
  CompletionStream stream(1, [&] { ++wakes; });
  stream.Push(Chunk(1));
  EXPECT_EQ(wakes, 0) << "nobody waits yet";
  ASSERT_TRUE(stream.Take().has_value());
  EXPECT_FALSE(stream.Take().has_value());
  stream.Push(Chunk(2));
  stream.Push(Chunk(3));
  EXPECT_EQ(wakes, 1);
  EXPECT_EQ(std::get<CompletionChunk>(*stream.Take()).token_ids[0], 2);
  EXPECT_EQ(std::get<CompletionChunk>(*stream.Take()).token_ids[0], 3);
}

TEST(CompletionStreamTest, RoomForTheEndIsKept) {
  CompletionStream stream;
  int64_t chunks = 0;
  for (; stream.HasRoom(); ++chunks) stream.Push(Chunk(1));
  EXPECT_EQ(chunks, CompletionStream::kEventsMax - 1);
  stream.Push(CompletionEnd());
  for (; chunks >= 0; --chunks) EXPECT_TRUE(stream.Take().has_value());
  EXPECT_FALSE(stream.Take().has_value());
}

TEST(CompletionStreamTest, EveryChoiceHasRoomForItsEnd) {
  CompletionStream stream(kChoicesMax);
  while (stream.HasRoom()) {
    for (int64_t choice = 0; choice < kChoicesMax; ++choice) stream.Push(Chunk(1));
  }
  for (int64_t choice = 0; choice < kChoicesMax; ++choice) stream.Push(CompletionEnd());
}

TEST(CompletionStreamTest, AReaderThatIsAbandonedIsWokenThoughItIsBusy) {
  int wakes = 0;
  CompletionStream stream(1, [&] { ++wakes; });
  stream.Push(Chunk(1));
  stream.Push(Failed());
  EXPECT_EQ(wakes, 0) << "it comes to the end by itself";
  EXPECT_FALSE(stream.abandoned());
  stream.Abandon(Failed());
  EXPECT_TRUE(stream.abandoned());
  EXPECT_EQ(wakes, 1);
}

TEST(CompletionStreamTest, AReaderThatIsAbandonedGetsItsEndAndNothingElse) {
  CompletionStream stream(2);
  stream.Push(Chunk(1));
  stream.Abandon(Failed());
  stream.Push(Chunk(2));  // The other choice did not know.
  const std::optional<CompletionEvent> end = stream.Take();
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(std::holds_alternative<CompletionEnd>(*end));
  stream.Abandon(Failed());
  EXPECT_FALSE(stream.Take().has_value());
}

TEST(CompletionStreamTest, NothingComesToAReaderThatIsGone) {
  int wakes = 0;
  CompletionStream stream(1, [&] { ++wakes; });
  EXPECT_FALSE(stream.Take().has_value());
  stream.Cancel();
  EXPECT_TRUE(stream.cancelled());
  stream.Push(Chunk(1));
  stream.Push(Failed());
  EXPECT_EQ(wakes, 0);
  EXPECT_FALSE(stream.Take().has_value());
  EXPECT_TRUE(stream.HasRoom());
}

}  // namespace
}  // namespace alchemist
