#include "model/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/logging.h"
#include "model/tokenizer/unicode.h"

namespace alchemist {
namespace {

constexpr size_t kPatternBytesMax = 64 << 10;

// How many steps one match may take, at all and per byte of text. The patterns of GPT-2, Llama 3
// and GPT-4o take up to 2 per byte (of a megabyte of spaces or capitals); one that backtracks
// without bound is stopped after milliseconds on a prompt of a few kilobytes.
constexpr int64_t kStepsBase = 100'000;
constexpr int64_t kStepsPerByte = 16;
constexpr uint32_t kMatchHeapKib = 64 << 10;

// Refuses what Oniguruma reads otherwise. Its \w (and so \b) knows marks and connectors, its \h is
// a hexadecimal digit, its classes nest and intersect, its option m is PCRE2's s. The patterns of
// the families supported here use none of these.
absl::Status RefuseOtherDialect(absl::string_view pattern, absl::string_view field) {
  const auto refuse = [&](absl::string_view what) {
    return absl::UnimplementedError(
        absl::StrCat(field, " uses ", what, ", which is not supported"));
  };
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const absl::string_view rest = pattern.substr(i);
    if (rest[0] == '\\') {
      if (rest.size() > 1 && absl::string_view("wWbBhH").find(rest[1]) != absl::string_view::npos) {
        return refuse(rest.substr(0, 2));
      }
      ++i;  // Whatever is escaped opens and closes nothing.
    } else if (in_class) {
      if (rest[0] == '[') return refuse("a class inside a class");
      if (rest.substr(0, 2) == "&&") return refuse("an intersection of classes");
      if (rest[0] == ']') in_class = false;
    } else if (rest[0] == '[') {
      in_class = true;
      if (rest.substr(1, 1) == "^") ++i;
      if (pattern.substr(i + 1, 1) == "]") ++i;  // As the first member it does not close.
    } else if (rest.substr(0, 2) == "(?") {
      const size_t options_end = std::min(rest.find_first_not_of("imsx-", 2), rest.size());
      const absl::string_view options = rest.substr(2, options_end - 2);
      if (options.find('m') != absl::string_view::npos) return refuse("the option m");
    }
  }
  return absl::OkStatus();
}

std::string Pcre2Message(int code) {
  PCRE2_UCHAR message[256];
  pcre2_get_error_message(code, message, sizeof(message));
  return reinterpret_cast<const char*>(message);
}

struct FreeContexts {
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

// A context whose limits fit a text of `bytes`.
std::unique_ptr<pcre2_match_context, FreeContexts> LimitedContext(size_t bytes) {
  std::unique_ptr<pcre2_match_context, FreeContexts> context(pcre2_match_context_create(nullptr));
  CHECK(context != nullptr);
  const int64_t steps = kStepsBase + kStepsPerByte * static_cast<int64_t>(bytes);
  const uint32_t limit = static_cast<uint32_t>(std::min<int64_t>(steps, UINT32_MAX));
  pcre2_set_match_limit(context.get(), limit);
  pcre2_set_depth_limit(context.get(), limit);
  pcre2_set_heap_limit(context.get(), kMatchHeapKib);
  return context;
}

}  // namespace

void Regex::FreeCode::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }

absl::StatusOr<Regex> Regex::Compile(absl::string_view pattern, absl::string_view field) {
  RETURN_IF_ERROR(RefuseOtherDialect(pattern, field));
  std::unique_ptr<pcre2_compile_context, FreeContexts> context(
      pcre2_compile_context_create(nullptr));
  CHECK(context != nullptr);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_max_pattern_length(context.get(), kPatternBytesMax);
  // Oniguruma's ^ and $ match at every line. \C would match half a character.
  constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  int error = 0;
  PCRE2_SIZE offset = 0;
  pcre2_code* code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   kOptions, &error, &offset, context.get());
  if (code == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, " is not a regular expression: ", Pcre2Message(error), " at offset ", offset));
  }
  return Regex(code, std::string(field));
}

absl::StatusOr<std::vector<TextRange>> Regex::FindAll(absl::string_view text) const {
  const auto context = LimitedContext(text.size());
  std::unique_ptr<pcre2_match_data, FreeContexts> data(pcre2_match_data_create(1, nullptr));
  CHECK(data != nullptr);
  const int64_t size = static_cast<int64_t>(text.size());
  std::vector<TextRange> matches;
  int64_t position = 0;
  while (position <= size) {
    const int found =
        pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), position,
                    PCRE2_NO_UTF_CHECK, data.get(), context.get());
    if (found == PCRE2_ERROR_NOMATCH) break;
    if (found < 0) {
      return absl::ResourceExhaustedError(
          absl::StrCat(field_, " on a text of ", size, " bytes: ", Pcre2Message(found)));
    }
    const PCRE2_SIZE* bounds = pcre2_get_ovector_pointer(data.get());
    const TextRange match = {static_cast<int64_t>(bounds[0]), static_cast<int64_t>(bounds[1])};
    const bool empty = match.end == match.begin;
    // As in other engines, no empty match where the last match ended.
    if (!empty || matches.empty() || matches.back().end != match.end) matches.push_back(match);
    // After an empty match the search goes on one character further, so that it ends.
    position = match.end;
    if (empty) position += match.end < size ? CharacterBytes(text[match.end]) : 1;
  }
  return matches;
}

}  // namespace alchemist
