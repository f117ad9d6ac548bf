// SUB-3 and SUB-6: requests that are wrong: those that are answered, and those that are caught.

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/conformance/faults/run_in_child.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::loop_rules {
namespace {

// An operation of every opcode that takes a handle, on a handle of choice.
class OnHandle {
 public:
  struct Case {
    std::string_view name;
    RecordingOperation operation;
  };

  OnHandle() {
    vector_ = {.iov_base = buffer_.data(), .iov_len = buffer_.size()};
    message_.msg_iov = &vector_;
    message_.msg_iovlen = 1;
  }

  // Those that move data on a socket or wait for it.
  void PrepareStreams(Handle handle, Handle other) {
    Add("Poll").PreparePoll(handle, POLLIN);
    Add("Accept").PrepareAccept(handle);
    Add("Connect").PrepareConnect(handle, target_.address(), target_.address_length());
    Add("Recv").PrepareRecv(handle, absl::MakeSpan(buffer_), 0);
    Add("Send").PrepareSend(handle, absl::MakeSpan(buffer_), 0);
    Add("RecvMsg").PrepareRecvMsg(handle, &message_, 0);
    Add("SendMsg").PrepareSendMsg(handle, &message_, 0);
    Add("Shutdown").PrepareShutdown(handle, SHUT_WR);
    Add("Read").PrepareRead(handle, absl::MakeSpan(buffer_), kCurrentOffset);
    Add("Write").PrepareWrite(handle, absl::MakeSpan(buffer_), kCurrentOffset);
    Add("Splice from it").PrepareSplice(handle, kCurrentOffset, other, kCurrentOffset, 64, 0);
    Add("Splice to it").PrepareSplice(other, kCurrentOffset, handle, kCurrentOffset, 64, 0);
  }

  void PrepareFiles(Handle handle, Handle other) {
    Add("Fsync").PrepareFsync(handle, false);
    Add("OpenAt").PrepareOpenAt(handle, "file", O_RDONLY, 0);
    Add("Statx").PrepareStatx(handle, "file", 0, STATX_SIZE, &statx_);
    Add("Rename from it").PrepareRename(handle, "file", other, "name", 0);
    Add("Rename to it").PrepareRename(other, "file", handle, "name", 0);
    Add("Unlink").PrepareUnlink(handle, "file", 0);
    Add("Mkdir").PrepareMkdir(handle, "directory", 0700);
    Add("Close").PrepareClose(handle);
  }

  // Each completes once, with `expected`, or any error where there is none.
  void SubmitAndJudge(Loop& loop, std::string_view what, std::optional<int32_t> expected) {
    for (const std::unique_ptr<Case>& one : cases_) {
      RecordingOperation& operation = one->operation;
      loop.Submit(operation);
      const bool done = TurnUntilDone(loop, {&operation});
      EXPECT_TRUE(done) << one->name << " on " << what << " never completed";
      if (!done) return;
      Settle(loop);
      EXPECT_EQ(operation.finals(), 1) << "on " << what << ": " << operation.Describe();
      if (expected.has_value()) {
        EXPECT_EQ(operation.final_result(), *expected)
            << one->name << " on " << what << ": " << operation.Describe();
      } else {
        EXPECT_LT(operation.final_result(), 0)
            << one->name << " on " << what << " reports success: " << operation.Describe();
      }
    }
  }

 private:
  RecordingOperation& Add(std::string_view name) {
    cases_.push_back(std::make_unique<Case>());
    cases_.back()->name = name;
    return cases_.back()->operation;
  }

  std::array<char, 64> buffer_ = {};
  iovec vector_ = {};
  msghdr message_ = {};
  struct statx statx_ = {};
  const Listener target_;
  std::vector<std::unique_ptr<Case>> cases_;
};

// A handle that does not name an open descriptor is -EBADF, whatever the opcode.
void UseStaleHandles(LoopRule& rule) {
  OnHandle closed_cases, out_of_range_cases, none_cases;
  const Owned<Loop> loop = MakeLoop(rule, {.max_handles = 8});
  ASSERT_NE(loop, nullptr);
  DescriptorPair other = MakePipeToWrite();
  const Handle good = AdoptOrFail(*loop, std::move(other.ours));
  const Handle closed = AdoptOrFail(*loop, std::move(MakeSocketPair().ours));
  loop->Close(closed);
  closed_cases.PrepareStreams(closed, good);
  closed_cases.PrepareFiles(closed, kCurrentDirectory);
  closed_cases.SubmitAndJudge(*loop, "a handle that was closed", -EBADF);
  if (testing::Test::HasFailure()) return;

  const Handle out_of_range = {.index = 1'000'000, .generation = 0};
  out_of_range_cases.PrepareStreams(out_of_range, good);
  out_of_range_cases.PrepareFiles(out_of_range, kCurrentDirectory);
  out_of_range_cases.SubmitAndJudge(*loop, "a handle that never was", -EBADF);
  // For paths it would stand for the current directory.
  none_cases.PrepareStreams(Handle{}, good);
  none_cases.SubmitAndJudge(*loop, "no handle", -EBADF);
}

// A descriptor that somebody else closed under the loop: an error, each time on a fresh one, since
// a loop may know of an older one that nothing has arrived.
void UseClosedDescriptors(LoopRule& rule) {
  using Prepare = void (*)(Operation&, Handle, absl::Span<char>, msghdr*);
  struct Case {
    std::string_view name;
    Prepare prepare;
  };
  constexpr Case kCases[] = {
      {"Poll", [](Operation& operation, Handle handle, absl::Span<char>,
                  msghdr*) { operation.PreparePoll(handle, POLLIN); }},
      {"Accept", [](Operation& operation, Handle handle, absl::Span<char>,
                    msghdr*) { operation.PrepareAccept(handle); }},
      {"Recv", [](Operation& operation, Handle handle, absl::Span<char> buffer,
                  msghdr*) { operation.PrepareRecv(handle, buffer, 0); }},
      {"Send", [](Operation& operation, Handle handle, absl::Span<char> buffer,
                  msghdr*) { operation.PrepareSend(handle, buffer, 0); }},
      {"RecvMsg", [](Operation& operation, Handle handle, absl::Span<char>,
                     msghdr* message) { operation.PrepareRecvMsg(handle, message, 0); }},
      {"SendMsg", [](Operation& operation, Handle handle, absl::Span<char>,
                     msghdr* message) { operation.PrepareSendMsg(handle, message, 0); }},
      {"Shutdown", [](Operation& operation, Handle handle, absl::Span<char>,
                      msghdr*) { operation.PrepareShutdown(handle, SHUT_RDWR); }},
      {"Read", [](Operation& operation, Handle handle, absl::Span<char> buffer,
                  msghdr*) { operation.PrepareRead(handle, buffer, kCurrentOffset); }},
      {"Write", [](Operation& operation, Handle handle, absl::Span<char> buffer,
                   msghdr*) { operation.PrepareWrite(handle, buffer, kCurrentOffset); }},
  };
  for (const Case& one : kCases) {
    std::array<char, 8> buffer = {};
    iovec vector = {.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr message = {};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    RecordingOperation operation;
    const Owned<Loop> loop = MakeLoop(rule);
    ASSERT_NE(loop, nullptr);
    const Handle handle = AdoptOrFail(*loop, std::move(MakeSocketPair().ours));
    ASSERT_EQ(::close(loop->Descriptor(handle)), 0);
    one.prepare(operation, handle, absl::MakeSpan(buffer), &message);
    loop->Submit(operation);
    EXPECT_TRUE(TurnUntilDone(*loop, {&operation}))
        << one.name << " on a descriptor that is closed never completed";
    EXPECT_LT(operation.final_result(), 0)
        << one.name << " on a descriptor that is closed: " << operation.Describe();
  }
}

// The wrong kind of descriptor is an error as well.
void UseWrongKinds(LoopRule& rule) {
  std::array<char, 8> buffer = {};
  RecordingOperation recv, accept, seeking, listens, pipe_recv;
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  const std::string path = absl::StrCat(rule.temporary_directory(), "/file");
  const Handle file =
      AdoptOrFail(*loop, UniqueFd(::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)));
  DescriptorPair pair = MakeSocketPair();
  const Handle socket = AdoptOrFail(*loop, std::move(pair.ours));
  DescriptorPair pipe_pair = MakePipeToRead();
  WriteAll(pipe_pair.theirs.get(), "x");
  const Handle pipe = AdoptOrFail(*loop, std::move(pipe_pair.ours));
  recv.PrepareRecv(file, absl::MakeSpan(buffer), 0);
  accept.PrepareAccept(file);
  seeking.PrepareRead(socket, absl::MakeSpan(buffer), 0);
  listens.PrepareAccept(socket);
  pipe_recv.PrepareRecv(pipe, absl::MakeSpan(buffer), 0);
  for (RecordingOperation* operation : {&recv, &accept, &seeking, &listens, &pipe_recv}) {
    loop->Submit(*operation);
  }
  EXPECT_TRUE(TurnUntilDone(*loop, {&recv, &accept, &seeking, &listens, &pipe_recv}))
      << "an operation on the wrong kind of descriptor never completed";
  EXPECT_EQ(recv.final_result(), -ENOTSOCK) << "on a file: " << recv.Describe();
  EXPECT_EQ(accept.final_result(), -ENOTSOCK) << "on a file: " << accept.Describe();
  EXPECT_EQ(seeking.final_result(), -ESPIPE) << "of a socket, at an offset: " << seeking.Describe();
  EXPECT_EQ(listens.final_result(), -EINVAL)
      << "on a socket that does not listen: " << listens.Describe();
  EXPECT_EQ(pipe_recv.final_result(), -ENOTSOCK) << "on a pipe: " << pipe_recv.Describe();
}

// In a child: what `misuse` does must end the process, with the rule's name.
void ExpectCaught(std::string_view what, absl::FunctionRef<void()> misuse) {
  const ChildOutcome outcome = RunInChild([&] {
    misuse();
    return absl::OkStatus();
  });
  EXPECT_EQ(outcome.death, "SIGABRT") << what << " went unnoticed: " << outcome.Describe();
  EXPECT_THAT(outcome.standard_error, testing::HasSubstr("SUB-6"))
      << what << " ended the process for another reason";
}

// A use of a loop on another thread than its own.
struct ForeignUse {
  std::string_view name;
  void (*use)(Loop& loop, Handle handle, Operation& pending);
};

constexpr ForeignUse kForeignUses[] = {
    {"Submit on a foreign thread",
     [](Loop& loop, Handle, Operation&) {
       // Outlives what the loop does with it.
       auto* const nop = new Operation([](Operation&) {});
       nop->PrepareNop();
       loop.Submit(*nop);
     }},
    {"Cancel on a foreign thread",
     [](Loop& loop, Handle, Operation& pending) { loop.Cancel(pending); }},
    {"Close on a foreign thread",
     [](Loop& loop, Handle handle, Operation&) { loop.Close(handle); }},
    {"Adopt on a foreign thread",
     [](Loop& loop, Handle, Operation&) {
       loop.Adopt(std::move(MakeSocketPair().ours)).status().IgnoreError();
     }},
    {"RunOnce on a foreign thread", [](Loop& loop, Handle, Operation&) { loop.RunOnce(0); }},
    {"Drain on a foreign thread",
     [](Loop& loop, Handle, Operation&) { loop.Drain(0).IgnoreError(); }},
    {"RegisterBuffers on a foreign thread",
     [](Loop& loop, Handle, Operation&) { loop.RegisterBuffers(1, 1).IgnoreError(); }},
};

void UseOnForeignThread(LoopRule& rule) {
  for (const ForeignUse& foreign : kForeignUses) {
    ExpectCaught(foreign.name, [&] {
      RecordingOperation pending;
      const Owned<Loop> loop = MakeLoop(rule);
      const Handle handle = AdoptOrFail(*loop, std::move(MakeSocketPair().ours));
      pending.PrepareTimer(3'600 * kSecondNs);
      loop->Submit(pending);
      std::thread([&] { foreign.use(*loop, handle, pending); }).join();
    });
  }
  // What is allowed there, is.
  int ran = 0;
  PostedTask task([](PostedTask& own) { ++*static_cast<int*>(own.context()); }, &ran);
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  std::thread([&] {
    loop->Wake();
    loop->Post(task);
    loop->Stop();
  }).join();
  loop->Run(RunUntil::kStopped);
  EXPECT_TRUE(TurnUntil(*loop, [&] { return ran == 1; })) << "a task posted elsewhere did not run";
}

void MisuseOperations(LoopRule& rule) {
  ExpectCaught("destroying an operation that waits for time", [&] {
    const Owned<Loop> loop = MakeLoop(rule);
    RecordingOperation timer;
    timer.PrepareTimer(kSecondNs);
    loop->Submit(timer);
  });
  ExpectCaught("destroying an operation in flight", [&] {
    std::array<char, 8> buffer;
    const Owned<Loop> loop = MakeLoop(rule);
    DescriptorPair pair = MakeSocketPair();
    RecordingOperation recv;
    recv.PrepareRecv(AdoptOrFail(*loop, std::move(pair.ours)), absl::MakeSpan(buffer), 0);
    loop->Submit(recv);
    Settle(*loop);
    EXPECT_EQ(recv.state(), OperationState::kInFlight) << "is not in flight: " << recv.Describe();
  });
  ExpectCaught("destroying an operation that is cancelled and not completed", [&] {
    const Owned<Loop> loop = MakeLoop(rule);
    RecordingOperation timer;
    timer.PrepareTimer(kSecondNs);
    loop->Submit(timer);
    loop->Cancel(timer);
  });
  ExpectCaught("submitting an operation twice", [&] {
    RecordingOperation timer;
    const Owned<Loop> loop = MakeLoop(rule);
    timer.PrepareTimer(kSecondNs);
    loop->Submit(timer);
    loop->Submit(timer);
  });
  ExpectCaught("preparing an operation that is pending", [&] {
    RecordingOperation timer;
    const Owned<Loop> loop = MakeLoop(rule);
    timer.PrepareTimer(kSecondNs);
    loop->Submit(timer);
    timer.PrepareNop();
  });
}

}  // namespace

void SUB_3(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(UseStaleHandles(rule));
  if (testing::Test::HasFailure()) return;
  ASSERT_NO_FATAL_FAILURE(UseClosedDescriptors(rule));
  ASSERT_NO_FATAL_FAILURE(UseWrongKinds(rule));
}

void SUB_6(LoopRule& rule) {
  ASSERT_NO_FATAL_FAILURE(UseOnForeignThread(rule));
  ASSERT_NO_FATAL_FAILURE(MisuseOperations(rule));
}

}  // namespace tenon::conformance::loop_rules
