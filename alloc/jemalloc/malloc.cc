// The C library's malloc and its family, by jemalloc; what nothing here defines (strdup, the C++
// operators) is made of these. All of them, as a block of the one must not be freed by the other:
// https://www.gnu.org/software/libc/manual/html_node/Replacing-malloc.html

// The sanitizers replace malloc themselves, and see nothing of what others hand out.
#include "absl/base/config.h"
#if !defined(ABSL_HAVE_ADDRESS_SANITIZER) && !defined(ABSL_HAVE_THREAD_SANITIZER) && \
    !defined(ABSL_HAVE_MEMORY_SANITIZER) && !defined(ABSL_HAVE_LEAK_SANITIZER)

#include <malloc.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>

#include "jemalloc/jemalloc.h"

extern "C" {

void* malloc(size_t size) noexcept { return je_malloc(size); }

void* calloc(size_t count, size_t size) noexcept { return je_calloc(count, size); }

// A free leaves errno alone (POSIX.1-2024, free), although giving pages back may fail meanwhile.
void free(void* ptr) noexcept {
  const int saved_errno = errno;
  je_free(ptr);
  errno = saved_errno;
}

void* realloc(void* ptr, size_t size) noexcept {
  const int saved_errno = errno;
  void* const moved = je_realloc(ptr, size);
  // With a size of zero it is a free, and returns null.
  if (moved != nullptr || size == 0) errno = saved_errno;
  return moved;
}

void* memalign(size_t alignment, size_t size) noexcept { return je_memalign(alignment, size); }

void* aligned_alloc(size_t alignment, size_t size) noexcept {
  return je_aligned_alloc(alignment, size);
}

int posix_memalign(void** ptr, size_t alignment, size_t size) noexcept {
  return je_posix_memalign(ptr, alignment, size);
}

void* valloc(size_t size) noexcept { return je_valloc(size); }

// Whole pages, of which jemalloc knows nothing.
void* pvalloc(size_t size) noexcept {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  size_t padded = 0;
  if (__builtin_add_overflow(size, page - 1, &padded)) {
    errno = ENOMEM;
    return nullptr;
  }
  return je_valloc(padded & ~(page - 1));
}

size_t malloc_usable_size(void* ptr) noexcept { return je_malloc_usable_size(ptr); }

}  // extern "C"

#endif
