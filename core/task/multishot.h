// Connections and bytes as they come, from one operation that completes again and again.

#ifndef TENON_CORE_TASK_MULTISHOT_H_
#define TENON_CORE_TASK_MULTISHOT_H_

#include <array>
#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/log/check.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenon/core/loop/handle.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/core/task/context.h"
#include "tenon/core/task/operation_awaiter.h"
#include "tenon/core/task/pooled_buffer.h"
#include "tenon/core/task/stop_token.h"

namespace tenon {

// A FIFO of at most kCapacity elements, in place.
template <typename T, size_t kCapacity>
class InlineQueue {
 public:
  bool empty() const { return size_ == 0; }
  bool full() const { return size_ == kCapacity; }
  size_t size() const { return size_; }
  // REQUIRES: not full.
  void Push(T element) {
    DCHECK(!full());
    elements_[(first_ + size_++) % kCapacity] = std::move(element);
  }
  // REQUIRES: not empty.
  T Pop() {
    DCHECK(!empty());
    T element = std::move(elements_[first_]);
    first_ = (first_ + 1) % kCapacity;
    --size_;
    return element;
  }

 private:
  std::array<T, kCapacity> elements_;
  size_t first_ = 0;
  size_t size_ = 0;
};

// What AcceptStream and RecvStream share: an operation that stays in flight from one Next to
// another, and the one coroutine that waits for it.
//
// A Next that finds nothing stored submits the operation, unless it is in flight, and waits for an
// element, for the end, or for an error. Asked to stop, it cancels the operation, awaits its end
// and results in Cancelled. After an error or the end the operation is idle; it is submitted again
// by the Next that follows, save at the end of a stream.
class MultishotStream : private StopCallback {
 public:
  MultishotStream(const MultishotStream&) = delete;
  MultishotStream& operator=(const MultishotStream&) = delete;

  // `co_await stream.Stop()` gives the operation up. It is idle afterwards, and the stream may be
  // destroyed; what is stored stays until then. Not cut short by a stop of the task.
  class [[nodiscard]] StopAwaiter {
   public:
    explicit StopAwaiter(MultishotStream& stream) : stream_(stream) {}
    bool await_ready() const noexcept { return stream_.operation_.idle(); }
    template <typename Promise>
    void await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
      stream_.AwaitIdle(awaiting.promise());
    }
    void await_resume() const noexcept {}

   private:
    MultishotStream& stream_;
  };
  StopAwaiter Stop() { return StopAwaiter(*this); }

 protected:
  // Stores what a completion that is no error brought, and returns whether Next has a result now.
  using StoreFunction = bool (*)(MultishotStream& stream, const Operation& operation);
  using PrepareFunction = void (*)(MultishotStream& stream, Operation& operation);

  MultishotStream(Loop& loop, PrepareFunction prepare, StoreFunction store);
  ~MultishotStream() = default;

  // For Next: false when there is no need to wait.
  bool AwaitElement(TaskPromise& awaiting, bool has_element) noexcept;

  // Lets the operation end; the Next that finds nothing stored begins it anew.
  void Pause() noexcept;

  // Whether Next results in Cancelled, whatever is stored; not any more from now on.
  bool TakeStopped() noexcept { return std::exchange(stopped_, false); }
  // The error that Next results in when nothing is stored; none from now on.
  absl::Status TakeError() noexcept;

  Loop& loop() const { return loop_; }

 private:
  static void Completed(Operation& operation);

  void AwaitIdle(TaskPromise& awaiting) noexcept;
  void Resume() noexcept;

  Loop& loop_;
  const PrepareFunction prepare_;
  const StoreFunction store_;
  Operation operation_;
  TaskPromise* awaiting_ = nullptr;
  // Waits for the end of the operation, not for an element.
  bool awaits_idle_ = false;
  // The operation was cancelled by Pause: that it ends so is no error.
  bool pausing_ = false;
  bool stopped_ = false;
  // A negated errno for Next to report, or 0.
  int32_t error_ = 0;
};

// The connections of a listener.
//
// Ownership: owns connections that were accepted and not taken, and closes them when destroyed. May
//   be destroyed when nothing is in flight: before the first Next, after a Next that failed, or
//   after Stop; else it is a CHECK (SUB-6).
// Threads: the loop's thread. Reentrancy: one Next or Stop at a time.
// Shutdown: Loop::Drain, and a close of the listener, end it: Next results in Cancelled.
//
// At most kCapacity connections are stored. When as many wait for Next, accepting pauses until they
// are taken; what the kernel accepts while that takes effect is closed, as for any Accept that is
// cancelled (CAN-5). Whoever awaits Next again without awaiting much else in between does not come
// near it.
//
//   AcceptStream connections(loop, listener);
//   while (true) {
//     absl::StatusOr<UniqueFd> connection = co_await connections.Next();
//     if (!connection.ok()) co_return connection.status();
//     ...
//   }
class AcceptStream : public MultishotStream {
 public:
  static constexpr size_t kCapacity = 32;

  AcceptStream(Loop& loop, Handle listener);

  class [[nodiscard]] NextAwaiter {
   public:
    explicit NextAwaiter(AcceptStream& stream) : stream_(stream) {}
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
      return stream_.AwaitElement(awaiting.promise(), !stream_.stored_.empty());
    }
    absl::StatusOr<UniqueFd> await_resume() noexcept { return stream_.Take(); }

   private:
    AcceptStream& stream_;
  };
  // The next connection, in the order of arrival. Unimplemented where the backend does not declare
  // `multishot`; errors as of Accept, after which Next may be awaited again.
  NextAwaiter Next() { return NextAwaiter(*this); }

 private:
  static bool Store(MultishotStream& stream, const Operation& operation);
  absl::StatusOr<UniqueFd> Take() noexcept;

  const Handle listener_;
  InlineQueue<UniqueFd, kCapacity> stored_;
};

// The bytes of a stream socket, in buffers of the loop's pool (Loop::RegisterBuffers).
//
// Ownership: owns buffers that were filled and not taken. Otherwise as AcceptStream.
//
// When kPauseAt buffers wait for Next, receiving pauses until they are taken; there is room for
// those that arrive while that takes effect. Should more than kCapacity, the stream cannot be
// continued: Next results in DataLoss after what is stored.
//
//   RecvStream chunks(loop, connection);
//   while (true) {
//     absl::StatusOr<PooledBuffer> chunk = co_await chunks.Next();
//     if (!chunk.ok()) co_return chunk.status();
//     if (chunk->empty()) co_return absl::OkStatus();
//     ...
//   }
class RecvStream : public MultishotStream {
 public:
  static constexpr size_t kCapacity = 64;
  static constexpr size_t kPauseAt = 8;

  RecvStream(Loop& loop, Handle socket, int flags = 0);
  ~RecvStream();

  class [[nodiscard]] NextAwaiter {
   public:
    explicit NextAwaiter(RecvStream& stream) : stream_(stream) {}
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept {
      return stream_.AwaitElement(awaiting.promise(), stream_.HasElement());
    }
    absl::StatusOr<PooledBuffer> await_resume() noexcept { return stream_.Take(); }

   private:
    RecvStream& stream_;
  };
  // The next bytes; an empty buffer at the end of the stream, then and ever after.
  // ResourceExhausted where every buffer of the pool is lent: await it again once some came back
  // (CMP-9). Unimplemented where the backend does not declare `multishot`.
  NextAwaiter Next() { return NextAwaiter(*this); }

 private:
  struct Chunk {
    uint16_t buffer_id;
    uint32_t size;
  };

  static bool Store(MultishotStream& stream, const Operation& operation);
  bool HasElement() const { return !stored_.empty() || ended_ || lost_; }
  absl::StatusOr<PooledBuffer> Take() noexcept;

  const Handle socket_;
  const int flags_;
  bool ended_ = false;
  bool lost_ = false;
  InlineQueue<Chunk, kCapacity> stored_;
};

}  // namespace tenon

#endif  // TENON_CORE_TASK_MULTISHOT_H_
