// What debug builds remember of every live block, so that a block that is freed twice, freed where
// it was not allocated, or freed by a wrong size ends the process with a message that says so
// (ALC-9).

#ifndef TENON_ALLOC_LIVE_BLOCKS_LIVE_BLOCKS_H_
#define TENON_ALLOC_LIVE_BLOCKS_LIVE_BLOCKS_H_

#include <cstddef>

#include "absl/base/config.h"
#include "tenon/core/memory/allocator.h"

namespace tenon::alloc {

// Whether this build remembers live blocks. Not with NDEBUG: the functions below are then empty.
// Not under the thread sanitizer either: the table's locks would order what the allocator itself
// leaves unordered, and hide the race.
#if !defined(NDEBUG) && !defined(ABSL_HAVE_THREAD_SANITIZER)
#define TENON_ALLOC_LIVE_BLOCKS 1
inline constexpr bool kRemembersLiveBlocks = true;
#else
inline constexpr bool kRemembersLiveBlocks = false;
#endif

// Whose blocks they are. The same address may be live for several owners, as an allocator may hand
// out the start of a block that it has from another.
struct LiveBlockOwner {
  // For messages, such as "system". Static lifetime.
  const char* name = nullptr;
  // Identifies the allocator, or what several of them share.
  const void* id = nullptr;
};

#ifdef TENON_ALLOC_LIVE_BLOCKS

// Each but ForgetLiveBlocks takes constant time; all may be called on any thread, never use the
// heap, and never fail: a block for which there is no memory in the table goes unchecked. The table
// has room for some ten thousand blocks without a mapping of its own.

// Remembers a block that is about to be handed out. Dies when the owner already has a live block
// there.
void AddLiveBlock(const LiveBlockOwner& owner, const void* ptr, Layout layout) noexcept;

// Dies unless the owner has a live block at `ptr` with this size and alignment. `operation` is
// named in the message, such as "TryResize".
void CheckLiveBlock(const LiveBlockOwner& owner, const char* operation, const void* ptr,
                    Layout layout) noexcept;

// As CheckLiveBlock, and forgets the block. To be called before its memory can be handed out again.
void RemoveLiveBlock(const LiveBlockOwner& owner, const char* operation, const void* ptr,
                     Layout layout) noexcept;

// Forgets all blocks of an owner, as its destruction releases them. Takes time in proportion to all
// blocks of the process.
void ForgetLiveBlocks(const LiveBlockOwner& owner) noexcept;

#else

inline void AddLiveBlock(const LiveBlockOwner& /*owner*/, const void* /*ptr*/,
                         Layout /*layout*/) noexcept {}
inline void CheckLiveBlock(const LiveBlockOwner& /*owner*/, const char* /*operation*/,
                           const void* /*ptr*/, Layout /*layout*/) noexcept {}
inline void RemoveLiveBlock(const LiveBlockOwner& /*owner*/, const char* /*operation*/,
                            const void* /*ptr*/, Layout /*layout*/) noexcept {}
inline void ForgetLiveBlocks(const LiveBlockOwner& /*owner*/) noexcept {}

#endif  // TENON_ALLOC_LIVE_BLOCKS

}  // namespace tenon::alloc

#endif  // TENON_ALLOC_LIVE_BLOCKS_LIVE_BLOCKS_H_
