// How much memory the process has of its own.

#ifndef TENON_CONFORMANCE_ALLOCATOR_PRIVATE_MEMORY_H_
#define TENON_CONFORMANCE_ALLOCATOR_PRIVATE_MEMORY_H_

#include <cstdint>

namespace tenon::conformance {

// Bytes of memory without a file that are in use: the kernel's RssAnon (proc(5)).
uint64_t PrivateMemoryBytes();

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_PRIVATE_MEMORY_H_
