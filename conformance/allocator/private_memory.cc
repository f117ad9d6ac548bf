#include "tenon/conformance/allocator/private_memory.h"

#include <fstream>
#include <string>

namespace tenon::conformance {

uint64_t PrivateMemoryBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    uint64_t kibibytes = 0;
    if (word == "RssAnon:" && status >> kibibytes) return kibibytes * 1024;
  }
  return 0;
}

}  // namespace tenon::conformance
