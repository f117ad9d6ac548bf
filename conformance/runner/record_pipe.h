// Records over a pipe: how a child process reports to the one that started it.

#ifndef TENON_CONFORMANCE_RUNNER_RECORD_PIPE_H_
#define TENON_CONFORMANCE_RUNNER_RECORD_PIPE_H_

#include <string>
#include <string_view>
#include <vector>

namespace tenon::conformance {

// One record: what it is, and its bytes.
struct Record {
  char type = 0;
  std::string payload;
};

// A payload is cut at this many bytes when it is written.
inline constexpr size_t kMaxRecordPayload = 16 * 1024;

// Writes one record, waiting for room. Failures are ignored: the reader then sees the record
// missing, which is what it judges. Does not raise SIGPIPE on a pipe whose reader lives.
void WriteRecord(int fd, char type, std::string_view payload);

// Splits what was read from a pipe into records. A record that was cut off is not returned.
std::vector<Record> ParseRecords(std::string_view bytes);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_RUNNER_RECORD_PIPE_H_
