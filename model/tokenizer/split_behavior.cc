#include "model/tokenizer/split_behavior.h"

#include <algorithm>
#include <cstdint>
#include <string>

namespace alchemist {
namespace {

struct Segment {
  TextRange range;
  bool delimiter = false;
};

// The whole text as segments that touch: the matches and what lies between them.
std::vector<Segment> SegmentsOf(const std::vector<TextRange>& matches, int64_t bytes, bool invert) {
  std::vector<Segment> segments;
  int64_t position = 0;
  for (const TextRange& match : matches) {
    if (position != match.begin) segments.push_back({{position, match.begin}, invert});
    segments.push_back({match, !invert});
    position = match.end;
  }
  if (position != bytes) segments.push_back({{position, bytes}, invert});
  return segments;
}

std::vector<TextRange> MergeContiguous(const std::vector<Segment>& segments) {
  std::vector<TextRange> pieces;
  for (size_t i = 0; i < segments.size(); ++i) {
    if (i > 0 && segments[i].delimiter == segments[i - 1].delimiter) {
      pieces.back().end = segments[i].range.end;
    } else {
      pieces.push_back(segments[i].range);
    }
  }
  return pieces;
}

// Of delimiters that touch only the first joins what stands before it.
std::vector<TextRange> MergeWithPrevious(const std::vector<Segment>& segments) {
  std::vector<TextRange> pieces;
  bool after_delimiter = false;
  for (const Segment& segment : segments) {
    if (segment.delimiter && !after_delimiter && !pieces.empty()) {
      pieces.back().end = segment.range.end;
    } else {
      pieces.push_back(segment.range);
    }
    after_delimiter = segment.delimiter;
  }
  return pieces;
}

// Of delimiters that touch only the last joins what stands behind it.
std::vector<TextRange> MergeWithNext(const std::vector<Segment>& segments) {
  std::vector<TextRange> pieces;
  bool before_delimiter = false;
  for (auto segment = segments.rbegin(); segment != segments.rend(); ++segment) {
    if (segment->delimiter && !before_delimiter && !pieces.empty()) {
      pieces.back().begin = segment->range.begin;
    } else {
      pieces.push_back(segment->range);
    }
    before_delimiter = segment->delimiter;
  }
  std::reverse(pieces.begin(), pieces.end());
  return pieces;
}

std::vector<TextRange> Pick(const std::vector<Segment>& segments, bool with_delimiters) {
  std::vector<TextRange> pieces;
  for (const Segment& segment : segments) {
    if (with_delimiters || !segment.delimiter) pieces.push_back(segment.range);
  }
  return pieces;
}

std::vector<TextRange> Combine(const std::vector<Segment>& segments, SplitBehavior behavior) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      return Pick(segments, /*with_delimiters=*/false);
    case SplitBehavior::kIsolated:
      return Pick(segments, /*with_delimiters=*/true);
    case SplitBehavior::kMergedWithPrevious:
      return MergeWithPrevious(segments);
    case SplitBehavior::kMergedWithNext:
      return MergeWithNext(segments);
    case SplitBehavior::kContiguous:
      return MergeContiguous(segments);
  }
  return {};
}

}  // namespace

absl::StatusOr<SplitBehavior> ParseSplitBehavior(const JsonNode& node) {
  ASSIGN_OR_RETURN(const std::string name, node.String());
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return node.Unsupported("is no split behavior");
}

std::vector<TextRange> SplitAt(const std::vector<TextRange>& matches, int64_t bytes,
                               SplitBehavior behavior, bool invert) {
  std::vector<TextRange> pieces = Combine(SegmentsOf(matches, bytes, invert), behavior);
  std::erase_if(pieces, [](const TextRange& piece) { return piece.begin == piece.end; });
  return pieces;
}

}  // namespace alchemist
