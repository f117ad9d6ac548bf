// A program of tasks whose nth frame fails, for every n: each run ends in success or in an error
// result, and leaves neither memory nor operations behind.

#include <sys/socket.h>

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/time.h"
#include "tenon/core/task/deadline.h"
#include "tenon/core/task/operations.h"
#include "tenon/core/task/scope.h"
#include "tenon/core/task/task_fixture.h"
#include "tenon/core/task/transfer.h"
#include "tenon/core/task/when_all.h"
#include "tenon/core/task/when_any.h"

namespace tenon {
namespace {

using FaultSweepTest = TaskTest;

Task<> Wait(Loop& loop, int64_t delay_ns) { co_return co_await Sleep(loop, delay_ns); }

Task<absl::StatusOr<size_t>> Exchange(Loop& loop, HandlePair pair) {
  absl::Status sent = co_await SendAll(loop, pair.first, absl::string_view("hello"));
  if (!sent.ok()) co_return sent;
  char buffer[16];
  co_return co_await Recv(loop, pair.second, absl::MakeSpan(buffer));
}

// Uses everything that awaits tasks, and passes every error on.
Task<> Program(Loop& loop, HandlePair pair) {
  Scope scope(co_await CurrentContext());
  absl::Status status;
  for (int i = 0; i < 3; ++i) status.Update(scope.Spawn(Wait(loop, i)));
  absl::StatusOr<size_t> size = co_await Exchange(loop, pair);
  status.Update(size.status());
  auto [first, second] = co_await WhenAll(Wait(loop, 0), Exchange(loop, pair));
  status.Update(first);
  status.Update(second.status());
  auto [index, winner] = co_await WhenAny(Wait(loop, kForeverNs), Wait(loop, 1));
  status.Update(winner);
  status.Update(co_await WithDeadline(loop, loop.Now() + 3600 * kSecondNs, Wait(loop, 1)));
  status.Update(co_await scope.Join());
  co_return status;
}

TEST_F(FaultSweepTest, EveryFailingFrameIsAnErrorResult) {
  const HandlePair pair = MakeSocketPair();
  fault_.Clear();
  ASSERT_EQ(RunToCompletion(loop(), Program(loop(), pair)), absl::OkStatus());
  const uint64_t frames = fault_.requests();
  ASSERT_EQ(frames, 10u) << "of the program, 3 spawned, 6 awaited";
  for (const bool sticky : {false, true}) {
    uint64_t n = 0;
    while (true) {
      ++n;
      sticky ? fault_.FailFrom(n) : fault_.FailNth(n);
      const absl::Status status = RunToCompletion(loop(), Program(loop(), pair));
      if (fault_.injected() == 0) {
        EXPECT_EQ(status, absl::OkStatus());
        break;
      }
      EXPECT_EQ(status, absl::ResourceExhaustedError("")) << "frame " << n;
      EXPECT_EQ(frame_bytes(), 0u) << "frame " << n;
      EXPECT_EQ(loop().Stats().pending, 0u) << "frame " << n;
      // The next exchange is not to find what this one left.
      char rest[64];
      while (::recv(loop().Descriptor(pair.second), rest, sizeof(rest), MSG_DONTWAIT) > 0) {
      }
    }
    EXPECT_EQ(n, frames + 1);
  }
}

// Nothing but frames is allocated, whatever is awaited (INIT-9).
TEST_F(FaultSweepTest, OnlyFramesAreAllocated) {
  const HandlePair pair = MakeSocketPair();
  const uint64_t before = frames_made();
  const auto body = [](Loop& loop, HandlePair pair) -> Task<> {
    for (int i = 0; i < 100; ++i) {
      absl::Status status = co_await SendAll(loop, pair.first, absl::string_view("hello"));
      if (!status.ok()) co_return status;
      char buffer[5];
      status = co_await RecvExactly(loop, pair.second, absl::MakeSpan(buffer));
      if (!status.ok()) co_return status;
      if (status = co_await Sleep(loop, 0); !status.ok()) co_return status;
    }
    co_return absl::OkStatus();
  };
  EXPECT_EQ(RunToCompletion(loop(), body(loop(), pair)), absl::OkStatus());
  EXPECT_EQ(frames_made(), before + 1);
}

}  // namespace
}  // namespace tenon
