#include "server/metric_families.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <prometheus/text_serializer.h>

#include <cctype>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace alchemist {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using prometheus::MetricType;
using testing::HasSubstr;

v1::GetStatusResponse SomeStatus() {
  v1::GetStatusResponse status;
  status.mutable_base()->set_base_digest("0123");
  status.mutable_base()->set_tokenizer_digest("4567");
  status.mutable_revision()->set_adapter_id("default");
  status.set_feedback_queued(3);
  status.set_serving_kv_bytes_total(4096);
  v1::Histogram& ttft = *status.mutable_histograms()->mutable_time_to_first_token();
  ttft.mutable_bounds()->Add(0.25);
  ttft.mutable_bounds()->Add(0.5);
  for (const int64_t count : {4, 2, 1}) ttft.add_counts(count);
  ttft.set_sum(2.5);
  return status;
}

std::string TextOf(const v1::GetStatusResponse& status) {
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, MetricFamiliesOf(status));
  return text.str();
}

TEST(MetricFamiliesTest, ShowsCountsWithTheirLabels) {
  v1::GetStatusResponse status = SomeStatus();
  status.mutable_requests()->set_ended_by_stop(7);
  status.mutable_record_states()->mutable_leased()->set_bytes(8192);
  status.set_serving_kv_bytes_used(1024);
  status.set_trainer(v1::TRAINER_STATE_ACTIVE);
  const std::string text = TextOf(status);
  EXPECT_THAT(text, HasSubstr("alchemist_requests_finished_total{reason=\"stop\"} 7\n"));
  EXPECT_THAT(text, HasSubstr("alchemist_record_bytes{state=\"leased\",tier=\"device\"} 8192\n"));
  EXPECT_THAT(text, HasSubstr("alchemist_kv_cache_usage_ratio 0.25\n"));
  EXPECT_THAT(text, HasSubstr("alchemist_trainer_state{state=\"active\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("alchemist_trainer_state{state=\"absent\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("alchemist_feedback_unfinished 3\n"));
}

TEST(MetricFamiliesTest, BucketsAreCumulative) {
  const std::string text = TextOf(SomeStatus());
  const std::string name = "alchemist_time_to_first_token_seconds";
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"0.25\"} 4\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"0.5\"} 6\n"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{le=\"+Inf\"} 7\n"));
  EXPECT_THAT(text, HasSubstr(name + "_count 7\n"));
  EXPECT_THAT(text, HasSubstr(name + "_sum 2.5\n"));
}

TEST(MetricFamiliesTest, ALogThatDoesNotAnswerIsDownAndHidesNothingElse) {
  v1::GetStatusResponse status = SomeStatus();
  status.clear_feedback_queued();
  const std::string text = TextOf(status);
  EXPECT_THAT(text, HasSubstr("alchemist_log_up 0\n"));
  EXPECT_THAT(text, testing::Not(HasSubstr("alchemist_feedback_unfinished")));
  EXPECT_THAT(text, HasSubstr("alchemist_requests_running 0\n"));
}

// Calls `visit` with the path of every single number in `message`, set to something else.
void ForEachNumber(Message& message, const std::string& path,
                   const std::function<void(const std::string&)>& visit) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message.GetDescriptor()->field(i);
    const std::string name = path + field->name();
    if (field->is_repeated()) continue;
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        ForEachNumber(*reflection.MutableMessage(&message, field), name + ".", visit);
        continue;
      case FieldDescriptor::CPPTYPE_INT64:
        reflection.SetInt64(&message, field, 12'345);
        break;
      case FieldDescriptor::CPPTYPE_UINT64:
        reflection.SetUInt64(&message, field, 12'345);
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        reflection.SetDouble(&message, field, 123.45);
        break;
      case FieldDescriptor::CPPTYPE_BOOL:
        reflection.SetBool(&message, field, true);
        break;
      default:
        continue;  // Texts and enumerations: the other tests'.
    }
    visit(name);
  }
}

TEST(MetricFamiliesTest, EveryNumberOfTheStatusShows) {
  // Sums of what record_states says.
  const std::set<std::string> elsewhere = {"records", "records_leased", "record_bytes_used"};
  v1::GetStatusResponse status = SomeStatus();
  std::string before = TextOf(status);
  ForEachNumber(status, "", [&](const std::string& path) {
    const std::string after = TextOf(status);
    EXPECT_NE(after == before, elsewhere.count(path) == 0) << path;
    before = after;
  });
}

TEST(MetricFamiliesTest, NamesTypesAndHelpsAreAsPrometheusWantsThem) {
  std::set<std::string> names;
  for (const prometheus::MetricFamily& family : MetricFamiliesOf(SomeStatus())) {
    const std::string& name = family.name;
    EXPECT_TRUE(names.insert(name).second) << name << " comes twice";
    EXPECT_THAT(name, testing::MatchesRegex("alchemist_[a-z0-9]+(_[a-z0-9]+)*"));
    EXPECT_THAT(family.help, testing::EndsWith(".")) << name;
    const bool is_counter = family.type == MetricType::Counter;
    EXPECT_TRUE(is_counter || family.type == MetricType::Gauge ||
                family.type == MetricType::Histogram);
    EXPECT_EQ(testing::Value(name, testing::EndsWith("_total")), is_counter) << name;
    for (const char* unit : {"_ms", "_us", "_milliseconds", "_microseconds", "_kb", "_mb",
                             "_percent", "_bucket", "_count", "_sum"}) {
      EXPECT_THAT(name, testing::Not(testing::ContainsRegex(std::string(unit) + "(_|$)")));
    }
  }
}

TEST(MetricFamiliesTest, LabelsHaveAFixedSetOfValues) {
  const std::map<std::string, std::set<std::string>> allowed = {
      {"reason", {"eos", "length", "stop", "cancelled", "aborted", "unread"}},
      {"part", {"serving_kv", "records"}},
      {"state", {"filling", "sealed", "leased", "absent", "attached", "active", "suspect"}},
      {"tier", {"device"}},
      {"disposition",
       {"record_held", "will_recompute", "queued", "duplicate", "not_trained_yet", "rejected"}},
      {"rows", {"first_pass_prompt", "later_pass", "replay", "response"}},
      {"activations", {"reused", "recomputed"}},
      {"result", {"accepted", "refused"}},
      {"adapter_id", {"default"}},
      {"base_digest", {"0123"}},
      {"tokenizer_digest", {"4567"}},
  };
  for (const prometheus::MetricFamily& family : MetricFamiliesOf(SomeStatus())) {
    for (const prometheus::ClientMetric& metric : family.metric) {
      for (const auto& [name, value] : metric.label) {
        ASSERT_TRUE(allowed.contains(name)) << family.name << " " << name;
        EXPECT_TRUE(allowed.at(name).contains(value)) << family.name << " " << name << value;
      }
    }
  }
}

}  // namespace
}  // namespace alchemist
