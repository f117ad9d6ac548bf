#include "tenon/conformance/allocator/mutants/unguarded_tracker.h"

#include "tenon/alloc/system/system_allocator.h"

namespace tenon::conformance {

const AllocatorFactory& UnguardedTrackerFactory() {
  return *Wrap<UnguardedTracker>(alloc::system::Factory());
}

}  // namespace tenon::conformance
