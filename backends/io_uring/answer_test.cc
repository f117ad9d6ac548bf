// Answers of the kernel that are no results.

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/backends/io_uring/backend_fixture.h"
#include "tenon/backends/io_uring/completion_tag.h"
#include "tenon/core/loop/loop.h"

namespace tenon::io_uring {
namespace {

using AnswerTest = IoUringBackendTest;

TEST_F(AnswerTest, NonBlockingDescriptorsWaitAllTheSame) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd write_end(ends[1]);
  const Handle handle = Adopt(ends[0]);
  // As older kernels treat what is non-blocking.
  int refusals = 0;
  kernel_.on_entry = [](io_uring_sqe& entry) {
    if (entry.opcode == IORING_OP_READ) entry.rw_flags = RWF_NOWAIT;
  };
  kernel_.on_completion = [&](io_uring_cqe& completion) { refusals += completion.res == -EAGAIN; };
  char bytes[4];
  Recorded recorded;
  Operation read(&Record, &recorded);
  read.PrepareRead(handle, absl::MakeSpan(bytes), kCurrentOffset);
  loop_->Submit(read);
  Settle();
  ASSERT_EQ(refusals, 1);
  EXPECT_EQ(recorded.completions, 0);
  ASSERT_EQ(::write(write_end.get(), "abc", 3), 3);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, 3);
}

TEST_F(AnswerTest, AFileThatWouldBlockIsReadByAThread) {
  const std::string path = testing::TempDir() + "/read_by_a_thread";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(::write(fd, "abc", 3), 3);
  const Handle handle = Adopt(fd);
  int attempts = 0;
  kernel_.on_entry = [&](io_uring_sqe& entry) {
    if (entry.opcode != IORING_OP_READ) return;
    ++attempts;
    EXPECT_EQ((entry.flags & IOSQE_ASYNC) != 0, attempts == 2);
  };
  // As if the bytes were on the disk only.
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    if (completion.res == 3 && attempts == 1) completion.res = -EAGAIN;
  };
  char bytes[4];
  Recorded recorded;
  Operation read(&Record, &recorded);
  read.PrepareRead(handle, absl::MakeSpan(bytes), 0);
  loop_->Submit(read);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, 3);
  EXPECT_EQ(attempts, 2);
}

TEST_F(AnswerTest, AWaitForReadinessCanBeCancelled) {
  kernel_.on_entry = [](io_uring_sqe& entry) {
    if (entry.opcode == IORING_OP_READ) entry.rw_flags = RWF_NOWAIT;
  };
  const Handle handle = Adopt(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  uint64_t value = 0;
  Recorded recorded;
  Operation read(&Record, &recorded);
  read.PrepareRead(handle, absl::MakeSpan(reinterpret_cast<char*>(&value), sizeof(value)),
                   kCurrentOffset);
  loop_->Submit(read);
  Settle();
  ASSERT_EQ(read.state(), OperationState::kInFlight);
  loop_->Cancel(read);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, -ECANCELED);
}

TEST_F(AnswerTest, AnInterruptedOperationIsTriedAgain) {
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  ASSERT_EQ(::write(peer.get(), "x", 1), 1);
  int interrupted = 0;
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    if (completion.res != POLLIN || interrupted > 0) return;
    completion.res = -EINTR;
    ++interrupted;
  };
  Recorded recorded;
  Operation poll(&Record, &recorded);
  poll.PreparePoll(handle, POLLIN);
  loop_->Submit(poll);
  RunUntilFinal(recorded);
  EXPECT_EQ(interrupted, 1);
  EXPECT_EQ(recorded.result, POLLIN);
}

TEST_F(AnswerTest, APollReportsWhatItAsksForOnly) {
  // The kernel tells everybody that the peer has shut down its side.
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  const int ours = loop_->Descriptor(handle);
  const std::string block(1 << 16, 'x');
  while (::send(ours, block.data(), block.size(), MSG_DONTWAIT) > 0) {
  }
  ASSERT_EQ(::shutdown(peer.get(), SHUT_WR), 0);
  Recorded readable, writable, cancelled;
  Operation polls[] = {Operation(&Record, &readable), Operation(&Record, &writable),
                       Operation(&Record, &cancelled)};
  polls[0].PreparePoll(handle, POLLIN);
  polls[1].PreparePoll(handle, POLLOUT);
  polls[2].PreparePoll(handle, POLLOUT);
  for (Operation& poll : polls) loop_->Submit(poll);
  RunUntilFinal(readable);
  EXPECT_EQ(readable.result, POLLIN);
  const uint64_t before = kernel_.calls;
  Settle();
  EXPECT_LE(kernel_.calls - before, 20u) << "it is asked again and again";
  EXPECT_EQ(writable.completions, 0) << "the socket is full";
  loop_->Cancel(polls[2]);
  RunUntilFinal(cancelled);
  EXPECT_EQ(cancelled.result, -ECANCELED);
  std::string sink(1 << 20, ' ');
  while (::recv(peer.get(), sink.data(), sink.size(), MSG_DONTWAIT) > 0) {
  }
  RunUntilFinal(writable);
  EXPECT_EQ(writable.result, POLLOUT);
}

TEST_F(AnswerTest, WithoutABufferAReceiveWaitsForDataAndTakesTheEnd) {
  ASSERT_TRUE(loop_->RegisterBuffers(1, 16).ok());
  UniqueFd peer, other_peer;
  const Handle handle = AdoptSocket(&peer);
  const Handle other = AdoptSocket(&other_peer);
  // The only buffer is lent, and kept.
  Recorded recorded;
  Operation keeper(&Record, &recorded);
  keeper.PrepareRecvPooled(other, 0);
  loop_->Submit(keeper);
  ASSERT_EQ(::write(other_peer.get(), "x", 1), 1);
  RunUntilFinal(recorded);
  ASSERT_TRUE(keeper.has_buffer());

  recorded = {};
  Operation recv(&Record, &recorded);
  recv.PrepareRecvPooled(handle, 0);
  loop_->Submit(recv);
  Settle();
  EXPECT_EQ(recorded.completions, 0) << "there is nothing to receive yet";
  ASSERT_EQ(::write(peer.get(), "abc", 3), 3);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, -ENOBUFS);

  loop_->ReturnBuffer(keeper.buffer_id());
  recorded = {};
  recv.PrepareRecvPooled(handle, 0);
  loop_->Submit(recv);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, 3) << "the bytes stayed";
  const uint16_t kept = recv.buffer_id();

  recorded = {};
  peer.Reset();
  recv.PrepareRecvPooled(handle, 0);
  loop_->Submit(recv);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, 0) << "the end needs no buffer";
  loop_->ReturnBuffer(kept);
}

TEST_F(AnswerTest, ABufferThatComesWithAnErrorIsOfferedAgain) {
  ASSERT_TRUE(loop_->RegisterBuffers(1, 16).ok());
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  int spoilt = 0;
  // As of a thread of the kernel that had picked a buffer when it was interrupted.
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    if ((completion.flags & IORING_CQE_F_BUFFER) == 0 || spoilt > 0) return;
    completion.res = -EINTR;
    ++spoilt;
  };
  Recorded recorded;
  Operation recv(&Record, &recorded);
  recv.PrepareRecvPooled(handle, 0);
  loop_->Submit(recv);
  ASSERT_EQ(::write(peer.get(), "lost", 4), 4);
  Settle();
  ASSERT_EQ(spoilt, 1);
  ASSERT_EQ(recorded.completions, 0);
  ASSERT_EQ(::write(peer.get(), "abc", 3), 3);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, 3) << "the only buffer is gone";
  loop_->ReturnBuffer(recv.buffer_id());
}

TEST_F(AnswerTest, TheEndRightBehindTheDataIsNotMissed) {
  // A multishot receive of the kernel's would wait for ever: data and end wake it once.
  ASSERT_TRUE(loop_->RegisterBuffers(4'096, 1).ok());
  UniqueFd peer;
  const Handle handle = AdoptSocket(&peer);
  struct State {
    Loop* loop = nullptr;
    int received = 0;
    int32_t end = 1;
  } state{.loop = loop_.get()};
  Operation recv(
      [](Operation& operation) {
        auto& state = *static_cast<State*>(operation.context());
        if (operation.has_buffer()) state.loop->ReturnBuffer(operation.buffer_id());
        if (operation.has_more()) {
          ++state.received;
        } else {
          state.end = operation.result();
        }
      },
      &state);
  recv.PrepareRecvMultishot(handle, 0);
  loop_->Submit(recv);
  Settle();
  const std::string bytes(3'000, 'x');
  ASSERT_EQ(::write(peer.get(), bytes.data(), bytes.size()), 3'000);
  peer.Reset();
  const int64_t deadline_ns = loop_->Now() + 10 * kSecondNs;
  while (state.end == 1 && loop_->Now() < deadline_ns) loop_->RunOnce(deadline_ns);
  EXPECT_EQ(state.end, 0);
  EXPECT_EQ(state.received, 3'000);
}

TEST_F(AnswerTest, AnAcceptThatTheKernelEndsGoesOn) {
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  socklen_t length = sizeof(sa_family_t);  // the kernel finds a name
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(listener.get(), generic, length), 0);
  ASSERT_EQ(::listen(listener.get(), 16), 0);
  length = sizeof(address);
  ASSERT_EQ(::getsockname(listener.get(), generic, &length), 0);
  const int listening = listener.get();
  const Handle handle = Adopt(listener.Release());
  const auto connect = [&] {
    UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(client.get(), generic, length), 0);
    return client;
  };
  Recorded recorded;
  Operation accept(
      [](Operation& operation) {
        UniqueFd(operation.result()).Reset();
        Record(operation);
      },
      &recorded);
  accept.PrepareAcceptMultishot(handle);
  loop_->Submit(accept);
  Settle();

  // It is ended from outside, and its last completion has a connection, as with a full queue.
  const UniqueFd first = connect();
  const int connection = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
  ASSERT_GE(connection, 0);
  bool cancelled = false;
  kernel_.before = [&](::io_uring& ring, Enter) {
    if (!std::exchange(cancelled, true)) {
      io_uring_sqe* const entry = io_uring_get_sqe(&ring);
      io_uring_prep_cancel64(entry, TagOf(accept), 0);
      entry->flags |= IOSQE_CQE_SKIP_SUCCESS;
    }
    return 0;
  };
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    if (completion.res == -ECANCELED && recorded.completions == 0) completion.res = connection;
  };
  Settle();
  EXPECT_EQ(recorded.completions, 1);
  const UniqueFd second = connect();
  Settle();
  EXPECT_EQ(recorded.completions, 2);
  EXPECT_EQ(recorded.final_completions, 0);
  loop_->Cancel(accept);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, -ECANCELED);
}

TEST_F(AnswerTest, WhatTheKernelCancelsForWantOfAThreadIsTriedAgain) {
  int refusals_left = 0;
  int refused = 0;
  kernel_.on_completion = [&](io_uring_cqe& completion) {
    if (completion.user_data == kWakeTag || refusals_left == 0) return;
    --refusals_left;
    ++refused;
    completion.res = -ECANCELED;
  };
  Recorded recorded;
  Operation sync(&Record, &recorded);
  const Handle file = Adopt(::memfd_create("synchronised", MFD_CLOEXEC));

  refusals_left = 3;
  sync.PrepareFsync(file, /*data_only=*/false);
  loop_->Submit(sync);
  RunUntilFinal(recorded);
  EXPECT_EQ(recorded.result, 0);
  EXPECT_EQ(refused, 3);

  // A process that may have no more threads: it is told so, not kept waiting.
  refusals_left = INT_MAX;
  loop_->Submit(sync);
  RunUntilFinal(recorded, 2);
  EXPECT_EQ(recorded.result, -EAGAIN);
}

TEST_F(AnswerTest, WritesToABrokenPipeRaiseNothingWithAnOldKernelEither) {
  // SIGPIPE ends the process by default.
  ASSERT_EQ(::signal(SIGPIPE, SIG_DFL), SIG_DFL);
  for (const bool no_signal : {true, false}) {
    SCOPED_TRACE(no_signal ? "the kernel is thought to know RWF_NOSIGNAL" : "the signal is taken");
    MakeLoop({}, no_signal);
    int flagged = 0;
    // A flag that no kernel knows stands for one that this kernel does not.
    kernel_.on_entry = [&](io_uring_sqe& entry) {
      if (entry.opcode != IORING_OP_WRITE || entry.rw_flags == 0) return;
      ++flagged;
      entry.rw_flags = 1 << 30;
    };
    // Two at a time: what the first finds out is not news to the second, which has the flag too.
    Recorded recorded[2];
    Operation writes[] = {Operation(&Record, &recorded[0]), Operation(&Record, &recorded[1])};
    Handle handles[2];
    for (Handle& handle : handles) {
      int ends[2];
      ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
      handle = Adopt(ends[1]);
      ASSERT_EQ(::close(ends[0]), 0);
    }
    for (int round = 1; round <= 2; ++round) {
      for (int i : {0, 1}) {
        writes[i].PrepareWrite(handles[i], "abc", kCurrentOffset);
        loop_->Submit(writes[i]);
      }
      for (int i : {0, 1}) {
        RunUntilFinal(recorded[i], round);
        EXPECT_EQ(recorded[i].result, -EPIPE);
      }
    }
    EXPECT_EQ(flagged, no_signal ? 2 : 0) << "it is found out once";
    sigset_t pending;
    ASSERT_EQ(::sigpending(&pending), 0);
    EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
    kernel_.on_entry = nullptr;
  }
}

}  // namespace
}  // namespace tenon::io_uring
