// What a loop that exists answers while `operator new` fails: a status, and never the end of the
// process. On every linked backend. See conformance, INIT-1, for what happens while it is made.
// And that what is made by a spec has its memory from its allocator only.

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "gtest/gtest.h"
#include "tenon/alloc/guarded/guarded_allocator.h"
#include "tenon/alloc/quota/quota_allocator.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/memory/allocator_factory.h"
#include "tenon/core/memory/without_memory.h"
#include "tenon/runtime/allocator_spec.h"
#include "tenon/runtime/composed_factory.h"
#include "tenon/runtime/open_loop.h"

namespace tenon::runtime {
namespace {

constexpr uint32_t kMaxHandles = 4;

class NoMemoryTest : public testing::TestWithParam<const LoopBackendFactory*> {
 protected:
  void SetUp() override {
    auto loop = OpenLoop({.backend = GetParam()->name(),
                          .options = {.max_handles = kMaxHandles, .queue_depth = 16}});
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
  }
  // What it answers without memory; the message is empty, as there is none for it.
  void ExpectRefusal(const absl::Status& status, absl::StatusCode code) {
    WithoutMemory::End();
    EXPECT_EQ(status.code(), code);
    EXPECT_EQ(status.message(), "");
    EXPECT_GT(WithoutMemory::refused(), 0) << "nobody asked for memory: this shows nothing";
  }

  Owned<Loop> loop_;
};

TEST_P(NoMemoryTest, AdoptOfNoDescriptor) {
  UniqueFd closed(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  ::close(closed.get());
  const WithoutMemory without;
  const absl::Status status = loop_->Adopt(std::move(closed)).status();
  ExpectRefusal(status, absl::StatusCode::kInvalidArgument);
}

TEST_P(NoMemoryTest, AdoptOfWhatCannotBePolled) {
  // Some backends are told so by a status, which is no failure.
  UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const WithoutMemory without;
  const absl::StatusOr<Handle> adopted = loop_->Adopt(std::move(null));
  WithoutMemory::End();
  EXPECT_TRUE(adopted.ok()) << adopted.status();
}

TEST_P(NoMemoryTest, AdoptOfOneTooMany) {
  for (uint32_t i = 0; i < kMaxHandles; ++i) {
    ASSERT_TRUE(loop_->Adopt(UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC))).ok());
  }
  UniqueFd one_more(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const WithoutMemory without;
  const absl::Status status = loop_->Adopt(std::move(one_more)).status();
  ExpectRefusal(status, absl::StatusCode::kResourceExhausted);
}

TEST_P(NoMemoryTest, BuffersOfNoSize) {
  const WithoutMemory without;
  const absl::Status status = loop_->RegisterBuffers(1, 0);
  ExpectRefusal(status, absl::StatusCode::kInvalidArgument);
}

TEST_P(NoMemoryTest, DrainThatIsNotDoneInTime) {
  struct {
    absl::Notification begun;
    absl::Notification may_end;
  } events;
  using Events = decltype(events);
  Operation work([](Operation&) {}, nullptr);
  work.PrepareWork(
      [](void* argument) -> int32_t {
        static_cast<Events*>(argument)->begun.Notify();
        static_cast<Events*>(argument)->may_end.WaitForNotification();
        return 0;
      },
      &events);
  loop_->Submit(work);
  loop_->Poll();
  // From here on it cannot be cancelled.
  events.begun.WaitForNotification();
  {
    const WithoutMemory without;
    const absl::Status status = loop_->Drain(loop_->Now());
    ExpectRefusal(status, absl::StatusCode::kDeadlineExceeded);
  }
  events.may_end.Notify();
  EXPECT_TRUE(loop_->Drain().ok());
}

std::vector<const LoopBackendFactory*> UsableBackends() {
  std::vector<const LoopBackendFactory*> usable;
  for (const LoopBackendFactory* backend : LinkedBackends()) {
    if (backend->Probe().ok()) usable.push_back(backend);
  }
  return usable;
}

INSTANTIATE_TEST_SUITE_P(Usable, NoMemoryTest, testing::ValuesIn(UsableBackends()),
                         [](const auto& info) { return std::string(info.param->name()); });

// Refuses, by a status that exists before.
class RefusingFactory final : public AllocatorFactory {
 public:
  absl::string_view name() const noexcept override { return "refusing"; }
  absl::string_view summary() const noexcept override { return "for tests"; }
  bool decorates() const noexcept override { return true; }
  absl::StatusOr<Owned<Allocator>> Create(const AllocatorConfig&) const noexcept override {
    return refusal_;
  }

 private:
  const absl::Status refusal_ = absl::InvalidArgumentError("not with this inner allocator");
};

const RefusingFactory refusing;

ComposedFactory Compose(absl::string_view text) {
  const AllocatorFactory* const known[] = {&alloc::guarded::Factory(), &alloc::quota::Factory(),
                                           &refusing};
  absl::StatusOr<AllocatorSpec> spec = AllocatorSpec::Parse(text, known);
  EXPECT_TRUE(spec.ok()) << spec.status();
  return ComposedFactory(std::string(text), *std::move(spec));
}

TEST(AllocatorsWithoutNewTest, AreMade) {
  alloc::SystemAllocator memory;
  const ComposedFactory factory = Compose("guarded(quota(1MiB))");
  for (Allocator* inner : {static_cast<Allocator*>(&memory), static_cast<Allocator*>(nullptr)}) {
    const WithoutMemory without;
    absl::StatusOr<Owned<Allocator>> made = factory.Create({.inner = inner, .memory = memory});
    if (made.ok()) made->reset();
    WithoutMemory::End();
    EXPECT_TRUE(made.ok()) << made.status();
    EXPECT_EQ(WithoutMemory::refused(), 0);
  }
}

TEST(AllocatorsWithoutNewTest, RefuseInTheFactorysWords) {
  alloc::SystemAllocator memory;
  const ComposedFactory factory = Compose("guarded(refusing(quota(1MiB)))");
  const WithoutMemory without;
  const absl::Status status = factory.Create({.inner = &memory, .memory = memory}).status();
  WithoutMemory::End();
  EXPECT_EQ(status, absl::InvalidArgumentError("not with this inner allocator"));
  EXPECT_GT(WithoutMemory::refused(), 0) << "nobody asked for memory: this shows nothing";
}

}  // namespace
}  // namespace tenon::runtime
