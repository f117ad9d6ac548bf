// Loops and tasks on every kind of allocator: what they took is given back, and the allocator ends
// with nothing left.

#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/log_severity.h"
#include "absl/base/thread_annotations.h"
#include "absl/log/log_entry.h"
#include "absl/log/log_sink.h"
#include "absl/log/log_sink_registry.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "jemalloc/jemalloc.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/run.h"
#include "tenon/core/task/task.h"
#include "tenon/runtime/loop_group.h"
#include "tenon/runtime/open_allocator.h"
#include "tenon/runtime/open_loop.h"

namespace tenon::runtime {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

// How many arenas jemalloc has that were not destroyed.
int LiveArenas() {
  unsigned indices = 0;
  size_t size = sizeof(indices);
  EXPECT_EQ(je_mallctl("arenas.narenas", &indices, &size, nullptr, 0), 0);
  int live = 0;
  for (unsigned index = 0; index < indices; ++index) {
    bool initialized = false;
    size = sizeof(initialized);
    const std::string name = absl::StrCat("arena.", index, ".initialized");
    EXPECT_EQ(je_mallctl(name.c_str(), &initialized, &size, nullptr, 0), 0);
    live += initialized ? 1 : 0;
  }
  return live;
}

// Keeps the errors that are logged while it lives.
class Errors final : public absl::LogSink {
 public:
  Errors() { absl::AddLogSink(this); }
  ~Errors() override { absl::RemoveLogSink(this); }
  void Send(const absl::LogEntry& entry) override {
    if (entry.log_severity() < absl::LogSeverity::kError) return;
    const absl::MutexLock lock(&mutex_);
    texts_.emplace_back(entry.text_message());
  }
  std::vector<std::string> texts() const {
    const absl::MutexLock lock(&mutex_);
    return texts_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::string> texts_ ABSL_GUARDED_BY(mutex_);
};

struct Setting {
  std::string backend;
  std::string allocator;
};

std::vector<Setting> Settings() {
  std::vector<Setting> settings;
  for (const LoopBackendFactory* backend : LinkedBackends()) {
    if (!backend->Probe().ok()) continue;
    for (const char* allocator :
         {"system", "jemalloc", "jemalloc_arena", "tracking(jemalloc_arena)", "concurrent",
          "guarded(arena)", "quota(64MiB, counting)", "poison(concurrent)", "fault(tracking)"}) {
      settings.push_back({std::string(backend->name()), allocator});
    }
  }
  return settings;
}

class LoopAllocatorTest : public testing::TestWithParam<Setting> {};

// Something of everything: frames of coroutines, a timer, a message.
Task<absl::Status> Work(Loop& loop, Handle ours, Handle theirs) {
  const absl::Status slept = co_await Sleep(loop, kMillisecondNs);
  if (!slept.ok()) co_return slept;
  const absl::StatusOr<size_t> sent = co_await Send(loop, ours, "hello");
  if (!sent.ok()) co_return sent.status();
  char text[8];
  const absl::StatusOr<size_t> received = co_await Recv(loop, theirs, absl::MakeSpan(text));
  if (!received.ok()) co_return received.status();
  co_return *sent == *received ? absl::OkStatus() : absl::DataLossError("a part of the message");
}

TEST_P(LoopAllocatorTest, EverythingIsGivenBack) {
  const int arenas = LiveArenas();
  absl::StatusOr<AllocatorStack> allocator = OpenAllocator(GetParam().allocator);
  ASSERT_TRUE(allocator.ok()) << allocator.status();
  {
    absl::StatusOr<Owned<Loop>> opened =
        OpenLoop({.backend = GetParam().backend, .allocator = &allocator->get()});
    ASSERT_TRUE(opened.ok()) << opened.status();
    Loop& loop = **opened;
    EXPECT_EQ((*allocator)->Stats().live_bytes > 0, (*allocator)->traits().statistics);
    int sockets[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    const absl::StatusOr<Handle> ours = loop.Adopt(UniqueFd(sockets[0]));
    const absl::StatusOr<Handle> theirs = loop.Adopt(UniqueFd(sockets[1]));
    ASSERT_TRUE(ours.ok() && theirs.ok());
    const absl::Status worked = RunToCompletion(loop, Work(loop, *ours, *theirs));
    EXPECT_TRUE(worked.ok()) << worked;
    EXPECT_TRUE(loop.Drain(loop.Now() + 10 * kSecondNs).ok());
  }
  EXPECT_EQ((*allocator)->Stats().live_blocks, 0u);
  EXPECT_EQ((*allocator)->Stats().live_bytes, 0u);
  allocator->Reset();
  EXPECT_EQ(LiveArenas(), arenas) << "an arena outlives its loop";
}

INSTANTIATE_TEST_SUITE_P(All, LoopAllocatorTest, testing::ValuesIn(Settings()),
                         [](const auto& info) {
                           return absl::StrReplaceAll(
                               absl::StrCat(info.param.backend, "_", info.param.allocator),
                               {{"(", "_"}, {")", ""}, {", ", "_"}});
                         });

// Each loop of a group on an arena of its own, with a block from a callback, which
// forgets to free it if `forgets`.
void RunGroup(absl::string_view allocator, bool forgets) {
  absl::StatusOr<std::unique_ptr<LoopGroup>> group =
      LoopGroup::Start({.allocator_spec = allocator, .loops = 2, .pin = false});
  ASSERT_TRUE(group.ok()) << group.status();
  const auto on_listener = [](Loop& loop, Handle, uint32_t, void* context) {
    const Layout layout = {.size = 100};
    const Block block = loop.allocator().Allocate(layout);
    ASSERT_NE(block.ptr, nullptr);
    if (!*static_cast<bool*>(context)) loop.allocator().Deallocate(block.ptr, layout);
  };
  const absl::StatusOr<SocketAddress> any_port = SocketAddress::Parse("127.0.0.1", 0);
  ASSERT_TRUE(any_port.ok());
  ASSERT_TRUE((*group)->Listen(*any_port, {}, on_listener, &forgets).ok());
  EXPECT_TRUE((*group)->Drain().ok());
}

TEST(LoopGroupAllocatorTest, EveryArenaEndsWithItsLoop) {
  const int arenas = LiveArenas();
  const Errors errors;
  for (const char* allocator : {"jemalloc_arena", "tracking(jemalloc_arena)", "concurrent"}) {
    RunGroup(allocator, /*forgets=*/false);
  }
  EXPECT_THAT(errors.texts(), IsEmpty());
  EXPECT_EQ(LiveArenas(), arenas);
}

TEST(LoopGroupAllocatorTest, WhatACallbackForgotIsSaid) {
  const int arenas = LiveArenas();
  const Errors errors;
  RunGroup("jemalloc_arena", /*forgets=*/true);
  const std::vector<std::string> texts = errors.texts();
  ASSERT_EQ(texts.size(), 2u) << "one for each loop";
  EXPECT_THAT(texts[0], HasSubstr("ends with 100 bytes in 1 blocks"));
  EXPECT_EQ(LiveArenas(), arenas) << "an arena is released with what is in it";
}

}  // namespace
}  // namespace tenon::runtime
