#include "tenon/conformance/runner/record_pipe.h"

#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace tenon::conformance {
namespace {

// Type, then the payload's length in this machine's byte order.
constexpr size_t kHeaderSize = 1 + sizeof(uint32_t);

}  // namespace

void WriteRecord(int fd, char type, std::string_view payload) {
  payload = payload.substr(0, kMaxRecordPayload);
  const uint32_t length = static_cast<uint32_t>(payload.size());
  std::string bytes(kHeaderSize, type);
  std::memcpy(bytes.data() + 1, &length, sizeof(length));
  bytes.append(payload);
  std::string_view rest = bytes;
  while (!rest.empty()) {
    const ssize_t written = write(fd, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    rest.remove_prefix(written);
  }
}

std::vector<Record> ParseRecords(std::string_view bytes) {
  std::vector<Record> records;
  while (bytes.size() >= kHeaderSize) {
    uint32_t length = 0;
    std::memcpy(&length, bytes.data() + 1, sizeof(length));
    if (bytes.size() - kHeaderSize < length) break;
    records.push_back({bytes[0], std::string(bytes.substr(kHeaderSize, length))});
    bytes.remove_prefix(kHeaderSize + length);
  }
  return records;
}

}  // namespace tenon::conformance
