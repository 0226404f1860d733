// Between the log's rows, the store's descriptors and the link's messages. Pure functions; any
// thread.
#ifndef ALCHEMIST_SERVER_LINK_MESSAGES_H_
#define ALCHEMIST_SERVER_LINK_MESSAGES_H_

#include <vector>

#include "activation_store/record.h"
#include "proto/alchemist/v1/identity.pb.h"
#include "proto/alchemist/v1/link.pb.h"
#include "server/feedback_table.h"
#include "server/log_rows.h"

namespace alchemist {

v1::Revision ToMessage(const RevisionId& revision);
v1::Base ToMessage(const BaseId& base);
v1::RecordRef ToMessage(const RecordDescriptor& record);

// The item of a feedback: its trained tokens are the correction's, or the answer's own.
v1::FeedbackItem FeedbackItemOf(const UnfinishedFeedback& unfinished);
// The item of a replayed answer, or of a replayed `correction` of it.
v1::FeedbackItem ReplayItemOf(const CompletionRow& completion);
v1::FeedbackItem ReplayItemOf(const CompletionRow& completion, const FeedbackRow& correction);

std::vector<FeedbackProgress> ProgressOf(
    const google::protobuf::RepeatedPtrField<v1::FeedbackPassCount>& passes);

}  // namespace alchemist

#endif  // ALCHEMIST_SERVER_LINK_MESSAGES_H_
