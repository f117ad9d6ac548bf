// ALC-9: what debug builds catch.

#include <unistd.h>

#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "tenon/conformance/allocator/held_block.h"
#include "tenon/conformance/allocator/sanitizers.h"
#include "tenon/conformance/faults/run_in_child.h"
#include "tenon/conformance/rules/allocator_rule.h"

namespace tenon::conformance {
namespace {

constexpr Layout kLayout = {.size = 64};

#if defined(NDEBUG)
constexpr bool kDebugBuild = false;
#else
constexpr bool kDebugBuild = true;
#endif

void FreeTwice(Allocator& allocator) {
  void* const block = allocator.Allocate(kLayout).ptr;
  allocator.Deallocate(block, kLayout);
  allocator.Deallocate(block, kLayout);
}

// Between the two, others come and go.
void FreeTwiceMuchLater(Allocator& allocator) {
  void* const block = allocator.Allocate(kLayout).ptr;
  HeldBlock neighbour = Hold(allocator, kLayout, 1);
  allocator.Deallocate(block, kLayout);
  Release(allocator, neighbour);
  for (int i = 0; i < 20; ++i) {
    HeldBlock other = Hold(allocator, {.size = 200}, 2);
    Release(allocator, other);
  }
  allocator.Deallocate(block, kLayout);
}

void FreeTheMiddle(Allocator& allocator) {
  const HeldBlock block = Hold(allocator, {.size = 256}, 1);
  allocator.Deallocate(block.ptr + 64, kLayout);
}

void FreeWhatIsNoBlock(Allocator& allocator) {
  HeldBlock block = Hold(allocator, kLayout, 1);
  alignas(64) static char foreign[1024] = {};
  allocator.Deallocate(foreign + 512, kLayout);
  Release(allocator, block);
}

// A report says which call or which block it is about, as "system: Deallocate of 0x7f10, which is
// not live". What the C library says when it stumbles over its own bookkeeping has neither.
bool NamesMisuse(std::string_view report) {
  return absl::StrContains(report, "Deallocate") || absl::StrContains(report, " 0x");
}

void ExpectCaught(AllocatorRule& rule, const char* what, void (*misuse)(Allocator& allocator)) {
  const ChildOutcome outcome = RunInChild([&] {
    alarm(5);
    // Over an inner allocator that catches what is handed on to it.
    const Owned<Allocator> allocator = rule.MakeOverSystem();
    if (allocator == nullptr) return absl::InternalError("no allocator");
    misuse(*allocator);
    return absl::OkStatus();
  });
  EXPECT_FALSE(outcome.returned) << what << " was not caught";
  EXPECT_NE(outcome.death, "SIGALRM") << what << " hangs";
  // The address sanitizer has words and an exit status of its own, and may be the first to see it.
  if (outcome.returned || kAddressSanitizer) return;
  EXPECT_EQ(outcome.death, "SIGABRT") << what << " was not reported: " << outcome.Describe();
  EXPECT_TRUE(NamesMisuse(outcome.standard_error))
      << what
      << " ended the process without a word of which call or which block: " << outcome.Describe();
}

}  // namespace

namespace allocator_rules {

void ALC_9(AllocatorRule& rule) {
  if (!kDebugBuild) return rule.Unsupported("a release build");
  if (kThreadSanitizer) {
    return rule.Unsupported("live blocks are not remembered under the thread sanitizer");
  }
  ExpectCaught(rule, "a block that was freed twice", &FreeTwice);
  ExpectCaught(rule, "a block that was freed again much later", &FreeTwiceMuchLater);
  ExpectCaught(rule, "a free of the middle of a block", &FreeTheMiddle);
  ExpectCaught(rule, "a free of what is no block", &FreeWhatIsNoBlock);
}

}  // namespace allocator_rules
}  // namespace tenon::conformance
