// The way of completions out of the ring: what they mean, and what is tried again.

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "tenon/backends/io_uring/completion_tag.h"
#include "tenon/backends/io_uring/io_uring_backend.h"
#include "tenon/backends/io_uring/prepare.h"
#include "tenon/core/loop/perform.h"
#include "tenon/core/loop/time.h"

namespace tenon::io_uring {
namespace {

// After how long a cancel that met nothing is repeated, while its operation is still in flight.
constexpr int64_t kAskAgainNs = 10 * kMillisecondNs;

// How often an operation is tried for which the kernel cannot start a thread.
constexpr uint8_t kMostThreadsMissed = 100;

// Whether -EAGAIN says that the operation has to wait, which the ring does by itself except for
// descriptors that are non-blocking. A Connect says it of a full backlog, which nothing announces
// the end of.
bool WaitsWhenRefused(Opcode opcode) {
  return DirectionOf(opcode) != Direction::kNone ? opcode != Opcode::kConnect
                                                 : opcode == Opcode::kSplice;
}

// Whether a system call was interrupted: as the caller of one sees it, or as the kernel's threads
// leave it (ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK).
bool IsInterruption(int32_t result) {
  return result == -EINTR || result == -512 || result == -513 || result == -514 || result == -516;
}

bool IsConnected(int fd) {
  sockaddr_storage address;
  socklen_t length = sizeof(address);
  return ::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
}

// Ends what keeps the kernel reading sent bytes, which may otherwise be for as long as the peer
// likes: the connection is reset.
void GiveUpSentBytes(int fd) {
  const sockaddr nowhere = {.sa_family = AF_UNSPEC, .sa_data = {}};
  ::connect(fd, &nowhere, sizeof(nowhere));
}

uint16_t BufferOf(const io_uring_cqe& cqe) {
  return static_cast<uint16_t>(cqe.flags >> IORING_CQE_BUFFER_SHIFT);
}

bool IsWait(const Flight& flight) {
  return flight.waits_for_ready || flight.operation.opcode() == Opcode::kPoll;
}

void Unlink(Flight& flight) {
  if (IntrusiveList<Flight>::Contains(flight)) IntrusiveList<Flight>::Remove(flight);
}

bool ReadsOrWrites(Opcode opcode) { return opcode == Opcode::kRead || opcode == Opcode::kWrite; }

}  // namespace

// Takes up what is in the completion queue, without a system call. False when the next one has to
// wait for a callback.
bool IoUringBackend::Reap(CompletionSink& sink) {
  while (io_uring_cqe* cqe = ring_.Peek()) {
    if (!OnCompletion(*cqe, sink)) return false;
    ring_.Advance();
  }
  return true;
}

// Handles one completion; false to have it kept for later.
bool IoUringBackend::OnCompletion(const io_uring_cqe& cqe, CompletionSink& sink) {
  if (cqe.user_data == kWakeTag) {
    reported_ = true;
    arm_wakeup_ = (cqe.flags & IORING_CQE_F_MORE) == 0;
    return true;
  }
  if (cqe.user_data == kCancelTag) {
    // A cancel that did not find its operation, which may be gone: it is not looked at.
    ask_again_ns_ = std::min(ask_again_ns_, Now() + kAskAgainNs);
    return true;
  }
  Flight& flight = OperationOf(cqe.user_data).Scratch<Flight>();
  if (MustWait(flight, cqe, sink)) return false;
  if ((cqe.flags & IORING_CQE_F_MORE) == 0) {
    // A cancel that came meanwhile has ended with it.
    flight.in_ring = false;
    Unlink(flight);
  }
  if (IsWait(flight)) {
    OnReadiness(flight, cqe, sink);
  } else if (flight.zero_copy) {
    OnZeroCopySend(flight, cqe, sink);
  } else if (cqe.res >= 0) {
    OnAchieved(flight, cqe, sink);
  } else {
    // A thread of the kernel that waited for data had picked a buffer.
    if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) buffers_.Offer(BufferOf(cqe));
    OnRefused(flight, cqe.res, sink);
  }
  return true;
}

// Whether a completion is not to be read before a callback has run.
bool IoUringBackend::MustWait(const Flight& flight, const io_uring_cqe& cqe,
                              const CompletionSink& sink) {
  return cqe.res >= 0 && !IsWait(flight) && flight.operation.multishot() &&
         !sink.CanTakeMore(flight.operation);
}

// A Poll, or a wait before another attempt. The kernel also reports that the peer has shut down its
// side, asked or not; where that is all there is, another such wait would report it again at once.
// One that is repeated at edges reports it once.
void IoUringBackend::OnReadiness(Flight& flight, const io_uring_cqe& cqe, CompletionSink& sink) {
  if (cqe.res > 0) flight.ready |= static_cast<uint32_t>(cqe.res) & AwaitedEvents(flight);
  if (flight.in_ring) {
    const bool first = flight.ready != 0 && !IntrusiveList<Flight>::Contains(flight);
    if (first) to_cancel_.PushBack(flight);
    return;
  }
  if (flight.ready == 0 && cqe.res >= 0) {
    flight.at_edges = true;
    return TryAgain(flight, sink);
  }
  const uint32_t ready = std::exchange(flight.ready, 0);
  flight.at_edges = false;
  if (!flight.waits_for_ready) {
    return ready != 0 ? Finish(flight, static_cast<int32_t>(ready), sink)
                      : OnRefused(flight, cqe.res, sink);
  }
  flight.waits_for_ready = false;
  // Which side of a Splice was not ready is not said, so it waits for one and then for the other.
  if (flight.operation.opcode() == Opcode::kSplice) flight.second = !flight.second;
  if (ready == 0) return Finish(flight, cqe.res, sink);
  TryAgain(flight, sink);
}

// Two completions: what was sent, and that nothing reads the bytes any more.
void IoUringBackend::OnZeroCopySend(Flight& flight, const io_uring_cqe& cqe, CompletionSink& sink) {
  if ((cqe.flags & IORING_CQE_F_NOTIF) == 0) {
    flight.sent = cqe.res;
    if ((cqe.flags & IORING_CQE_F_MORE) != 0) {
      if (flight.operation.cancel_requested()) GiveUpSentBytes(flight.operation.fd());
      if (cqe.res <= 0) return;
      sink.Complete(flight.operation, cqe.res, kMore);
      reported_ = true;
      return;
    }
  }
  switch (flight.sent) {
    case -EOPNOTSUPP:  // not on this kind of socket
    case -ENOMEM:      // over the socket's limit on pinned bytes
    case -ENOBUFS:
      flight.zero_copy = false;
      return TryAgain(flight, sink);
    default:
      return flight.sent < 0 ? OnRefused(flight, flight.sent, sink)
                             : Finish(flight, flight.sent, sink);
  }
}

void IoUringBackend::OnAchieved(Flight& flight, const io_uring_cqe& cqe, CompletionSink& sink) {
  Operation& operation = flight.operation;
  const bool goes_on = (cqe.flags & IORING_CQE_F_MORE) != 0;
  // A receive ends with the stream, an accept never by itself.
  const bool repeats =
      operation.multishot() && (goes_on || cqe.res > 0 || operation.opcode() == Opcode::kAccept);

  const uint16_t buffer_id = BufferOf(cqe);
  flight.found_no_buffer = false;
  uint8_t flags = 0;
  if ((cqe.flags & IORING_CQE_F_BUFFER) != 0) {
    if (cqe.res > 0) {
      buffers_.Lend(buffer_id);
      flags |= kBuffer;
    } else {
      buffers_.Offer(buffer_id);
    }
  }
  if (flight.signalling) --signalling_writes_;
  reported_ = true;
  if (!repeats) {
    sink.Complete(operation, cqe.res, flags, buffer_id);
    return;
  }
  sink.Complete(operation, cqe.res, flags | kMore, buffer_id);
  // A receive is repeated from here, an accept where the kernel ends it for reasons of its own,
  // such as a full completion queue; neither before the callback has run.
  if (!goes_on) to_repeat_.PushBack(flight);
}

void IoUringBackend::OnRefused(Flight& flight, int32_t result, CompletionSink& sink) {
  const Operation& operation = flight.operation;
  const Opcode opcode = operation.opcode();
  const bool without_signal =
      opcode == Opcode::kWrite && !flight.signalling && KindOf(operation) == DescriptorKind::kPipe;
  if (flight.signalling) --signalling_writes_;
  flight.signalling = false;
  if (IsInterruption(result)) {
    // By a cancel, or to be made again.
    if (opcode != Opcode::kConnect || operation.cancel_requested()) return TryAgain(flight, sink);
    return Finish(flight, -EINTR, sink);
  }
  switch (result) {
    case -EAGAIN:
      if (!WaitsWhenRefused(opcode)) break;
      if (!ReadsOrWrites(opcode) || KindOf(operation) != DescriptorKind::kFile) {
        return WaitForReady(flight, sink);
      }
      // A file is never not ready: it was opened O_NONBLOCK, and its bytes are on the disk.
      if (flight.blocking) break;
      flight.blocking = true;
      return TryAgain(flight, sink);
    case -ECANCELED:
      // A connection that stands is not undone by a cancel that found its end unread.
      if (opcode == Opcode::kConnect && IsConnected(operation.fd())) {
        return Finish(flight, 0, sink);
      }
      if (operation.cancel_requested()) break;
      return OnNoThread(flight, sink);
    case -ENXIO:
      // The kernel tries without waiting first: a FIFO that nobody reads.
      if (opcode != Opcode::kOpenAt || flight.blocking ||
          (operation.parameters().path.flags & O_NONBLOCK) != 0) {
        break;
      }
      flight.blocking = true;
      return TryAgain(flight, sink);
    case -ENOBUFS:
      if (!operation.pooled_buffer()) break;
      return OnNoBuffer(flight, sink);
    case -EOPNOTSUPP:
      if (!without_signal) break;
      no_signal_ = false;
      return TryAgain(flight, sink);
    default:
      break;
  }
  Finish(flight, result, sink);
}

// The kernel ran out of buffers before it looked for data, and before callbacks gave some back.
// Those that are not lent may also be with threads of the kernel, so it is asked once more only.
void IoUringBackend::OnNoBuffer(Flight& flight, CompletionSink& sink) {
  if (buffers_.any_free() && !std::exchange(flight.found_no_buffer, true)) {
    return TryAgain(flight, sink);
  }
  flight.found_no_buffer = false;
  const int32_t result = PerformRecvWithoutBuffer(flight.operation);
  if (result == kWouldBlock) {
    WaitForReady(flight, sink);
  } else {
    Finish(flight, result, sink);
  }
}

// Nobody has cancelled it but the kernel, which does so with all that waits for its first thread
// when that cannot be started. A signal for this thread, at each of three attempts, is enough.
void IoUringBackend::OnNoThread(Flight& flight, CompletionSink& sink) {
  if (++flight.threads_missed > kMostThreadsMissed) return Finish(flight, -EAGAIN, sink);
  TryAgain(flight, sink);
}

void IoUringBackend::TryAgain(Flight& flight, CompletionSink& sink) {
  if (flight.operation.cancel_requested()) {
    Finish(flight, -ECANCELED, sink);
  } else {
    Issue(flight);
  }
}

void IoUringBackend::WaitForReady(Flight& flight, CompletionSink& sink) {
  flight.waits_for_ready = true;
  TryAgain(flight, sink);
}

void IoUringBackend::Cancel(Operation& operation, CompletionSink& sink) noexcept {
  Flight& flight = operation.Scratch<Flight>();
  if (!flight.in_ring) {
    // It waits for an entry, or for its callback.
    Finish(flight, -ECANCELED, sink);
  } else if (flight.zero_copy && flight.sent > 0) {
    GiveUpSentBytes(operation.fd());
  } else if (!IntrusiveList<Flight>::Contains(flight)) {
    to_cancel_.PushBack(flight);
  }
}

void IoUringBackend::Finish(Flight& flight, int32_t result, CompletionSink& sink) {
  Unlink(flight);
  reported_ = true;
  sink.Complete(flight.operation, result);
}

}  // namespace tenon::io_uring
