#include "tenon/core/loop/fork_guard.h"

#include <sys/mman.h>

#include <cerrno>

#include "tenon/core/loop/os_error.h"

namespace tenon {
namespace {

// madvise works on whole pages; a mapping of one byte is one page of whatever size.
constexpr size_t kMappingSize = 1;

}  // namespace

absl::Status ForkGuard::Init() {
  void* page =
      ::mmap(nullptr, kMappingSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return OsError(errno, "mmap of the fork guard");
  if (::madvise(page, kMappingSize, MADV_WIPEONFORK) != 0) {
    const int errnum = errno;
    ::munmap(page, kMappingSize);
    return OsError(errnum, "madvise(MADV_WIPEONFORK)", "it needs Linux 4.14 or newer");
  }
  page_ = static_cast<unsigned char*>(page);
  *page_ = 1;
  return absl::OkStatus();
}

ForkGuard::~ForkGuard() {
  if (page_ != nullptr) ::munmap(const_cast<unsigned char*>(page_), kMappingSize);
}

}  // namespace tenon
