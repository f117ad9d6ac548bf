#include "tenon/conformance/runner/allocator_subject.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

using testing::ElementsAre;
using testing::IsSupersetOf;
using testing::SizeIs;

class NamedFactory final : public AllocatorFactory {
 public:
  NamedFactory(absl::string_view name, bool decorates) : name_(name), decorates_(decorates) {}

  absl::string_view name() const noexcept override { return name_; }
  absl::string_view summary() const noexcept override { return "has a name"; }
  bool decorates() const noexcept override { return decorates_; }
  absl::StatusOr<Owned<Allocator>> Create(
      const AllocatorConfig& /*config*/) const noexcept override {
    return absl::UnimplementedError("has nothing but a name");
  }

 private:
  const absl::string_view name_;
  const bool decorates_;
};

std::vector<std::string> Names(const std::vector<Subject>& subjects) {
  std::vector<std::string> names;
  for (const Subject& subject : subjects) names.push_back(subject.name);
  return names;
}

TEST(AllocatorSubjectsTest, OfTheDefaultSetAreAllThereAre) {
  const std::vector<std::string> names = Names(AllocatorSubjects(runtime::LinkedAllocators()));
  constexpr size_t kAllocators = 11, kCompositions = 14;
  EXPECT_THAT(names, SizeIs(kAllocators + kCompositions));
  EXPECT_THAT(names, IsSupersetOf({"system", "jemalloc_arena", "fault", "tracking(concurrent)",
                                   "guarded(tracking(arena))", "tracking(quota(64MiB,jemalloc))"}));
}

TEST(AllocatorSubjectsTest, CompositionsAreOfWhatIsLinked) {
  const NamedFactory tracking("tracking", true);
  const NamedFactory fault("fault", true);
  const NamedFactory system("system", false);
  EXPECT_THAT(Names(AllocatorSubjects({&tracking, &fault, &system})),
              ElementsAre("tracking", "fault", "system", "fault(tracking)"));
  EXPECT_THAT(Names(AllocatorSubjects({&fault, &system})), ElementsAre("fault", "system"));
}

TEST(AllocatorSubjectsTest, UnknownDecoratorsAreComposedWithWhatIsLinked) {
  const NamedFactory vendors("vendors", true);
  const NamedFactory mimalloc("mimalloc", false);
  const NamedFactory system("system", false);
  EXPECT_THAT(Names(AllocatorSubjects({&vendors, &mimalloc, &system})),
              ElementsAre("vendors", "mimalloc", "system", "vendors(mimalloc)", "vendors(system)"));
}

TEST(AllocatorSubjectsTest, EachHasEveryRule) {
  for (const Subject& subject : AllocatorSubjects(runtime::LinkedAllocators())) {
    EXPECT_THAT(subject.rules, SizeIs(AllocatorRuleBodies().size())) << subject.name;
  }
}

}  // namespace
}  // namespace tenon::conformance
