// TD-3, TD-8: memory after the end of a loop, the user's and the loop's.

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/faults/sweep.h"
#include "tenon/conformance/ledger/ledger.h"
#include "tenon/conformance/loop/pending_operations.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance {
namespace {

constexpr size_t kFileBytes = 16 << 20;
constexpr size_t kSocketBytes = 256 << 10;
// What the files and peers send, and what the memory holds once it is its owner's again.
constexpr char kIncoming = 0x5A;
constexpr char kOurs = 0x25;

// Memory that an operation reads into.
struct Target {
  std::string name;
  std::vector<char> bytes;
  RecordingOperation operation;
  // A duplicate of the descriptor that the loop gets: what arrives after Drain still arrives.
  UniqueFd duplicate;
  UniqueFd theirs;
  iovec vector = {};
  msghdr message = {};
};

UniqueFd MakeBigFile(const std::string& path) {
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  EXPECT_TRUE(file.ok()) << "open of " << path << ": " << std::strerror(errno);
  const std::vector<char> chunk(1 << 20, kIncoming);
  for (size_t written = 0; written < kFileBytes; written += chunk.size()) {
    const ssize_t count = ::write(file.get(), chunk.data(), chunk.size());
    EXPECT_EQ(count, static_cast<ssize_t>(chunk.size())) << "write of the rule's own file";
    if (count != static_cast<ssize_t>(chunk.size())) break;
  }
  ::fsync(file.get());
  return file;
}

class Targets {
 public:
  // Submits one read of each kind, which stays pending.
  void Submit(Loop& loop, const std::string& path) {
    SubmitFile(loop, path);
    Target& recv = Add(loop, "a Recv", kSocketBytes, MakeSocketPair());
    recv.operation.PrepareRecv(handle_, absl::MakeSpan(recv.bytes), 0);
    Target& tcp = Add(loop, "a Recv on TCP", kSocketBytes, MakeTcpPair());
    tcp.operation.PrepareRecv(handle_, absl::MakeSpan(tcp.bytes), MSG_WAITALL);
    Target& read = Add(loop, "a Read on a pipe", kSocketBytes, MakePipeToRead());
    read.operation.PrepareRead(handle_, absl::MakeSpan(read.bytes), kCurrentOffset);
    Target& message = Add(loop, "a RecvMsg", kSocketBytes, MakeSocketPair());
    message.vector = {.iov_base = message.bytes.data(), .iov_len = message.bytes.size()};
    message.message.msg_iov = &message.vector;
    message.message.msg_iovlen = 1;
    message.operation.PrepareRecvMsg(handle_, &message.message, 0);
    for (const auto& target : targets_) loop.Submit(target->operation);
    // The file's read is under way after the first turn, and over after a few.
    loop.Poll();
  }

  // How many are still the loop's.
  size_t InFlight() const {
    return std::count_if(targets_.begin(), targets_.end(),
                         [](const auto& target) { return !target->operation.idle(); });
  }
  bool FileInFlight() const { return !targets_.front()->operation.idle(); }

  void ExpectCompleted() const {
    for (const auto& target : targets_) {
      EXPECT_TRUE(target->operation.idle())
          << target->name << " is still in flight after Drain: " << target->operation.Describe();
    }
  }

  // Takes the memory back, as a caller would who frees it or uses it for something else.
  void TakeBack() {
    for (const auto& target : targets_) {
      std::memset(target->bytes.data(), kOurs, target->bytes.size());
    }
  }

  // Lets bytes arrive for whoever may still be waiting.
  void LetArrive() {
    for (const auto& target : targets_) {
      if (target->theirs.ok()) WriteAll(target->theirs.get(), std::string(64, kIncoming));
    }
  }

  void ExpectUntouched(const char* when) const {
    for (const auto& target : targets_) {
      const std::vector<char>& bytes = target->bytes;
      // All are equal where each equals the next.
      const bool untouched = bytes.front() == kOurs &&
                             std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
      ASSERT_TRUE(untouched) << "the memory of " << target->name << " was written to after Drain, "
                             << when;
    }
  }

 private:
  void SubmitFile(Loop& loop, const std::string& path) {
    UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    // From the disk where possible, which takes longer.
    ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
    Target& target = Add(loop, "a Read of a file", kFileBytes, {std::move(file), UniqueFd()});
    target.operation.PrepareRead(handle_, absl::MakeSpan(target.bytes), 0);
  }

  Target& Add(Loop& loop, std::string name, size_t size, DescriptorPair pair) {
    targets_.push_back(std::make_unique<Target>());
    Target& target = *targets_.back();
    target.name = std::move(name);
    target.bytes.resize(size);
    target.duplicate = UniqueFd(::fcntl(pair.ours.get(), F_DUPFD_CLOEXEC, 0));
    target.theirs = std::move(pair.theirs);
    handle_ = AdoptOrFail(loop, std::move(pair.ours));
    return target;
  }

  std::vector<std::unique_ptr<Target>> targets_;
  Handle handle_;
};

// One loop, drained while it reads; true if the file's read was under way then.
void DrainWhileReading(LoopRule& rule, const std::string& path, int* file_reads_in_flight) {
  constexpr int kLooks = 10;
  Targets targets;
  Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  targets.Submit(*loop, path);
  ASSERT_GE(targets.InFlight(), 4u) << "reads from silent peers were to be pending";
  *file_reads_in_flight += targets.FileInFlight() ? 1 : 0;

  const absl::Status drained = loop->Drain(loop->Now() + kPatienceNs);
  ASSERT_TRUE(drained.ok()) << drained;
  targets.ExpectCompleted();
  targets.TakeBack();
  for (int look = 0; look < kLooks; ++look) {
    ASSERT_NO_FATAL_FAILURE(targets.ExpectUntouched("before the loop was destroyed"));
    if (look == 0) targets.LetArrive();
    ::sched_yield();
  }
  loop.reset();
  targets.ExpectUntouched("when the loop was destroyed");
}

size_t ThreadCount() { return TakeSnapshot(nullptr).threads.size(); }

// A thread that was joined leaves the process's list a moment later.
bool ThreadCountBecomes(size_t count) {
  constexpr int kLooks = 100'000;
  for (int look = 0; look < kLooks; ++look) {
    if (ThreadCount() == count) return true;
    ::sched_yield();
  }
  return false;
}

int32_t Answer(void* /*argument*/) { return 42; }

// Uses of a loop that leave something in it.
void UseEverything(LoopRule& rule, Loop& loop, PendingOperations& pending) {
  RecordingOperation work;
  work.PrepareWork(&Answer, nullptr);
  loop.Submit(work);
  EXPECT_TRUE(TurnUntilDone(loop, {&work}));
  pending.Submit(loop, PendingOperations::EveryOpcode());
  // More handles than are ever used again, some of them closed.
  for (int i = 0; i < 100; ++i) {
    DescriptorPair pair = MakeSocketPair();
    const Handle handle = AdoptOrFail(loop, std::move(pair.ours));
    if (rule.random()() % 2 == 0) loop.Close(handle);
  }
}

void UseAndDestroy(LoopRule& rule, bool use, bool drain) {
  const Ledger ledger(&rule.tracking());
  const size_t live_before = rule.allocator().Stats().live_bytes;
  const size_t threads_before = ThreadCount();
  {
    PendingOperations pending(rule);
    Owned<Loop> loop = MakeLoop(rule, PendingOperations::Options());
    ASSERT_NE(loop, nullptr);
    ASSERT_GT(rule.allocator().Stats().live_bytes, live_before)
        << "the loop does not use its allocator";
    ASSERT_GT(ThreadCount(), threads_before) << "the loop has no thread for blocking work";
    if (use) UseEverything(rule, *loop, pending);
    if (drain) {
      const absl::Status drained = loop->Drain(loop->Now() + kPatienceNs);
      EXPECT_TRUE(drained.ok()) << drained;
      EXPECT_TRUE(ThreadCountBecomes(threads_before))
          << ThreadCount() - threads_before << " threads of the loop remain after Drain";
    }
    loop.reset();
    EXPECT_EQ(rule.allocator().Stats().live_bytes, live_before)
        << "bytes of the loop's allocator are live after the loop was destroyed";
  }
  EXPECT_THAT(ledger.Differences(), testing::IsEmpty());
}

// Whatever allocation fails, in making, filling or draining a loop, nothing remains of it.
void LoseNothingWithoutMemory(LoopRule& rule) {
  SweepAllocations(rule.context(), {}, [&]() -> absl::Status {
    RecordingOperation recv, timer;
    std::array<char, 16> buffer;
    absl::StatusOr<Owned<Loop>> made = Loop::Create(rule.factory(), {}, rule.allocator());
    if (!made.ok()) return made.status();
    const Owned<Loop> loop = *std::move(made);
    DescriptorPair pair = MakeSocketPair();
    const absl::StatusOr<Handle> handle = loop->Adopt(std::move(pair.ours));
    if (!handle.ok()) return handle.status();
    absl::Status registered = absl::OkStatus();
    if (loop->capabilities().provided_buffers) registered = loop->RegisterBuffers(4, 64);
    recv.PrepareRecv(*handle, absl::MakeSpan(buffer), 0);
    timer.PrepareTimer(kForeverNs);
    loop->Submit(recv);
    loop->Submit(timer);
    Settle(*loop);
    EXPECT_FALSE(recv.done() || timer.done()) << "nothing is pending when the loop is drained";
    EXPECT_TRUE(loop->Drain(loop->Now() + kPatienceNs).ok());
    EXPECT_EQ(recv.finals() + timer.finals(), 2) << recv.Describe() << "; " << timer.Describe();
    return registered;
  });
}

}  // namespace

namespace loop_rules {

void TD_3(LoopRule& rule) {
  constexpr int kRounds = 4;
  const std::string path = absl::StrCat(rule.temporary_directory(), "/big");
  MakeBigFile(path);
  int file_reads_in_flight = 0;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_NO_FATAL_FAILURE(DrainWhileReading(rule, path, &file_reads_in_flight));
  }
  if (file_reads_in_flight == 0) {
    rule.Inconclusive("no read of a file was still under way when Drain began");
  }
}

void TD_8(LoopRule& rule) {
  for (const bool use : {false, true}) {
    for (const bool drain : {false, true}) {
      SCOPED_TRACE(absl::StrCat(use ? "used, " : "unused, ", drain ? "drained" : "not drained"));
      ASSERT_NO_FATAL_FAILURE(UseAndDestroy(rule, use, drain));
    }
  }
  LoseNothingWithoutMemory(rule);
}

}  // namespace loop_rules
}  // namespace tenon::conformance
