// A number by which an allocator is told from every other, whatever address it has.

#ifndef TENON_ALLOC_GENERATION_GENERATION_H_
#define TENON_ALLOC_GENERATION_GENERATION_H_

#include <cstdint>

namespace tenon::alloc {

// A number that this process has not drawn before and will not draw again, never 0. An allocator
// draws one when it is made and mixes it into what it writes in front of its blocks, so that
// neither a sibling nor an allocator made at the address of a dead one takes a block for its own
// (ALC-9, ALC-11). Numbers of consecutive draws differ in bits all over, so that one mixed with an
// address is unlikely to equal another mixed with another.
//
// Threads: any. Never fails.
uint64_t DrawGeneration() noexcept;

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_GENERATION_GENERATION_H_
