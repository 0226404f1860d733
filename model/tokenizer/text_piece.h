// TextPiece: a part of a text on its way to the BPE model. Plain value.
#ifndef ALCHEMIST_MODEL_TOKENIZER_TEXT_PIECE_H_
#define ALCHEMIST_MODEL_TOKENIZER_TEXT_PIECE_H_

#include <string>

namespace alchemist {

// What stands before a piece. It decides whether steps that add a prefix space add one to it.
enum class PieceOrigin {
  kTextBegin,     // nothing: all of them do
  kInside,        // another piece of the same text: all but Metaspace with the scheme "first"
  kContinuation,  // text of an earlier call: none
};

struct TextPiece {
  std::string text;
  PieceOrigin origin = PieceOrigin::kTextBegin;
};

}  // namespace alchemist

#endif  // ALCHEMIST_MODEL_TOKENIZER_TEXT_PIECE_H_
