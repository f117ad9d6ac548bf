// For tests: a loop over a scripted kernel, and what it is to be used with.

#ifndef TENON_BACKENDS_IO_URING_BACKEND_FIXTURE_H_
#define TENON_BACKENDS_IO_URING_BACKEND_FIXTURE_H_

#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/alloc/system/system_allocator.h"
#include "tenon/backends/io_uring/io_uring_backend.h"
#include "tenon/backends/io_uring/scripted_kernel.h"
#include "tenon/core/loop/loop.h"

namespace tenon::io_uring {

struct Recorded {
  int completions = 0;
  int final_completions = 0;
  int32_t result = 0;
};

inline void Record(Operation& operation) {
  auto& recorded = *static_cast<Recorded*>(operation.context());
  ++recorded.completions;
  if (!operation.has_more()) ++recorded.final_completions;
  recorded.result = operation.result();
}

// Backends over a kernel of the test's.
class ScriptedFactory final : public LoopBackendFactory {
 public:
  // `*made` is the backend that was made last.
  ScriptedFactory(const Environment& environment, LoopBackend** made)
      : environment_(environment), made_(made) {}

  absl::string_view name() const noexcept override { return "scripted_io_uring"; }
  absl::Status Probe() const noexcept override { return absl::OkStatus(); }
  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    absl::StatusOr<Owned<LoopBackend>> backend =
        IoUringBackend::Create(options, allocator, environment_);
    if (backend.ok()) *made_ = backend->get();
    return backend;
  }

 private:
  const Environment environment_;
  LoopBackend** const made_;
};

class IoUringBackendTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!Ring().Init(8).ok()) GTEST_SKIP() << Ring().Init(8);
    MakeLoop({});
  }

  void MakeLoop(const LoopOptions& options, bool no_signal = true) {
    loop_.reset();
    kernel_.BeginRing();
    const ScriptedFactory factory({.kernel = &kernel_, .no_signal = no_signal}, &backend_);
    absl::StatusOr<Owned<Loop>> loop = Loop::Create(factory, options, allocator_);
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
  }

  Handle Adopt(int fd) {
    const absl::StatusOr<Handle> handle = loop_->Adopt(UniqueFd(fd));
    EXPECT_TRUE(handle.ok()) << handle.status();
    return handle.value_or(Handle{});
  }

  // One end of a pair is the loop's; the other is for the test.
  Handle AdoptSocket(UniqueFd* peer) {
    int sockets[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
    *peer = UniqueFd(sockets[1]);
    return Adopt(sockets[0]);
  }

  void RunUntilFinal(const Recorded& recorded, int final_completions = 1) {
    const int64_t deadline_ns = loop_->Now() + 10 * kSecondNs;
    while (recorded.final_completions < final_completions && loop_->Now() < deadline_ns) {
      loop_->RunOnce(deadline_ns);
    }
    ASSERT_EQ(recorded.final_completions, final_completions);
  }

  // Turns until nothing more happens by itself.
  void Settle() {
    for (int turn = 0; turn < 4; ++turn) loop_->RunOnce(loop_->Now() + kMillisecondNs);
  }

  // Submits `count` Polls that are ready at once, and runs until all are done.
  void PollManyTimes(int count) {
    UniqueFd peer;
    const Handle handle = AdoptSocket(&peer);
    Recorded recorded;
    std::vector<std::unique_ptr<Operation>> polls;
    for (int i = 0; i < count; ++i) {
      polls.push_back(std::make_unique<Operation>(&Record, &recorded));
      polls.back()->PreparePoll(handle, POLLOUT);
      loop_->Submit(*polls.back());
    }
    RunUntilFinal(recorded, count);
    EXPECT_EQ(recorded.completions, count);
    EXPECT_EQ(recorded.result, POLLOUT);
  }

  ScriptedKernel kernel_;
  LoopBackend* backend_ = nullptr;
  alloc::SystemAllocator allocator_;
  Owned<Loop> loop_;
};

}  // namespace tenon::io_uring

#endif  // TENON_BACKENDS_IO_URING_BACKEND_FIXTURE_H_
