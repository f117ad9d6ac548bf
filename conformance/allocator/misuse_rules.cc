// ALC-9: what debug builds catch.

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
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

// Behind this the child's report is looked for.
constexpr std::string_view kMisused = "misused: ";

// Frees what must not be freed, and says before what it is: the pointer, and the block that it is
// of.
void Misuse(Allocator& allocator, void* ptr, const void* block) {
  std::fprintf(stderr, "%s%p %p\n", kMisused.data(), ptr, block);
  allocator.Deallocate(ptr, kLayout);
}

void FreeTwice(Allocator& allocator) {
  void* const block = allocator.Allocate(kLayout).ptr;
  allocator.Deallocate(block, kLayout);
  Misuse(allocator, block, block);
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
  Misuse(allocator, block, block);
}

void FreeTheMiddle(Allocator& allocator) {
  const HeldBlock block = Hold(allocator, {.size = 256}, 1);
  Misuse(allocator, block.ptr + 64, block.ptr);
}

void FreeWhatIsNoBlock(Allocator& allocator) {
  HeldBlock block = Hold(allocator, kLayout, 1);
  alignas(64) static char foreign[1024] = {};
  Misuse(allocator, foreign + 512, foreign);
  Release(allocator, block);
}

// A report names the pointer or the block, as "system: Deallocate of 0x7f10, which is not live". A
// crash, and what the C library says when it stumbles over its own bookkeeping, do not.
bool NamesMisuse(std::string_view standard_error) {
  const size_t start = standard_error.find(kMisused);
  if (start == std::string_view::npos) return false;
  const size_t end = standard_error.find('\n', start);
  if (end == std::string_view::npos) return false;
  const std::string_view said = standard_error.substr(start, end - start);
  const std::string_view report = standard_error.substr(end);
  const std::vector<std::string_view> pointers = absl::StrSplit(said.substr(kMisused.size()), ' ');
  return std::any_of(pointers.begin(), pointers.end(),
                     [&](std::string_view pointer) { return absl::StrContains(report, pointer); });
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
