#include "tools/record_dump_text.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace alchemist {
namespace {

constexpr size_t kDigestShown = 12;

std::string Shortened(const std::string& digest) { return digest.substr(0, kDigestShown); }

// "-" where a tensor has no finite value.
std::string ValueText(bool is_set, double value) {
  return is_set ? absl::StrFormat("%.6g", value) : "-";
}

std::string StateText(v1::RecordState state) {
  switch (state) {
    case v1::RECORD_STATE_SEALED:
      return "SEALED";
    case v1::RECORD_STATE_LEASED:
      return "LEASED";
    default:
      return absl::StrCat("state ", static_cast<int>(state));
  }
}

std::string HeaderText(const v1::DumpRecordResponse& record) {
  const v1::Revision& revision = record.revision();
  std::string parent = "none";
  if (record.parent_record() != 0) {
    parent = absl::StrCat("record ", record.parent_record(), ", its first ", record.parent_tokens(),
                          " tokens");
  }
  return absl::StrCat("record ", record.record_id(), " ", StateText(record.state()), " of ",
                      record.is_answer() ? "an answer, its prompt included" : "a prompt",
                      "\ntokens ", record.tokens(), "\nparent ", parent, "\npins ", record.pins(),
                      " leases ", record.leases(), "\ntenant ",
                      record.has_tenant() ? "given" : "none", "\nadapter ", revision.adapter_id(),
                      " revision ", revision.number(), " digest ", Shortened(revision.digest()),
                      "\nbase ", Shortened(record.base().base_digest()), " tokenizer ",
                      Shortened(record.base().tokenizer_digest()), "\n\n");
}

}  // namespace

std::string RecordDumpText(const v1::DumpRecordResponse& record) {
  std::string text = HeaderText(record);
  absl::StrAppendFormat(&text, "%5s %-9s %7s %7s %-5s %13s %13s %13s %9s\n", "layer", "tensor",
                        "rows", "width", "dtype", "min", "max", "l2_norm", "nonfinite");
  for (const v1::TensorDump& tensor : record.tensors()) {
    absl::StrAppendFormat(&text, "%5d %-9s %7d %7d %-5s %13s %13s %13s %9d\n", tensor.layer(),
                          tensor.name(), tensor.rows(), tensor.width(), tensor.dtype(),
                          ValueText(tensor.has_min(), tensor.min()),
                          ValueText(tensor.has_max(), tensor.max()),
                          ValueText(true, tensor.l2_norm()), tensor.nonfinite());
  }
  return text;
}

}  // namespace alchemist
