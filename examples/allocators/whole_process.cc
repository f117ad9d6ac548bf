// Nothing in here names an allocator: the BUILD file does, for the whole binary. That it holds is
// asked of jemalloc, which counts what each thread has been given.

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "jemalloc/jemalloc.h"

namespace {

uint64_t AllocatedByJemalloc() {
  uint64_t bytes = 0;
  size_t size = sizeof(bytes);
  return je_mallctl("thread.allocated", &bytes, &size, nullptr, 0) == 0 ? bytes : 0;
}

}  // namespace

int main() {
  const uint64_t before = AllocatedByJemalloc();
  // Volatile, so that the compiler does not do without the memory.
  void* volatile block = std::malloc(1000);
  const uint64_t by_malloc = AllocatedByJemalloc() - before;
  volatile auto text = std::make_unique<std::string>(5000, 'x').release();
  const uint64_t by_new = AllocatedByJemalloc() - before - by_malloc;
  std::free(block);
  delete text;
  if (by_malloc < 1000 || by_new < 5000) {
    std::cerr << "whole_process: malloc is not jemalloc's here\n";
    return 1;
  }
  std::cout << "malloc(1000) took " << by_malloc << " bytes from jemalloc, a string of 5000 took "
            << by_new << "\n";
  return 0;
}
