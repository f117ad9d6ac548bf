// The unit of asynchronous work: one request, owned by the caller, from Submit to its completion.

#ifndef TENON_CORE_LOOP_OPERATION_H_
#define TENON_CORE_LOOP_OPERATION_H_

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "absl/log/check.h"
#include "absl/types/span.h"
#include "tenon/core/loop/handle.h"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/loop/opcode.h"

struct statx;

namespace tenon {

// Read and Write at the descriptor's own position instead of at an offset.
inline constexpr int64_t kCurrentOffset = -1;

// Where an operation is in its life. Everything but kIdle pins it: see Operation.
enum class OperationState : uint8_t {
  kIdle,      // the caller's
  kQueued,    // on a queue of the loop, not yet handed on
  kTimer,     // among the loop's timers
  kAtWork,    // with the loop's blocking threads
  kInFlight,  // with the backend
  kReady,     // finished; its callback is about to run
};

// How a completion is to be read, beside its result.
enum CompletionFlag : uint8_t {
  // Another completion of the same operation follows; it stays in flight (CMP-9).
  kMore = 1 << 0,
  // `buffer_id()` names a buffer lent by the loop; give it back with Loop::ReturnBuffer (CMP-10).
  kBuffer = 1 << 1,
};

// One request to a loop, in memory of the caller: 184 bytes, no allocation.
//
// Prepare it, `Loop::Submit` it, and its callback runs on the loop's thread when it completes:
// exactly once finally (CMP-1), and for multishot operations any number of times before that with
// `has_more()`. `result()` is then a count or a value (>= 0) or a negated errno.
//
// Ownership: the caller owns the operation and every buffer, path, address and message that it
//   points to, and keeps all of them alive and in place from Submit until the final callback
//   begins; a Cancel does not shorten that (CAN-7). Destroying an operation that is not idle is
//   caught by a CHECK (SUB-6).
// Threads: the loop's thread only, save for the function of a Work operation.
// Reentrancy: the callback may prepare and submit the same operation again (SUB-5), destroy it,
//   submit or cancel others, and close handles. It may not run or destroy the loop (TD-7).
// Shutdown: Loop::Drain completes every operation; afterwards all of them are idle (TD-2).
//
//   Operation recv([](Operation& op) { LOG(INFO) << op.result() << " bytes"; });
//   recv.PrepareRecv(handle, absl::MakeSpan(buffer), 0);
//   loop.Submit(recv);
class Operation : private ListLink<Operation> {
 public:
  using Callback = void (*)(Operation& operation);

  // `context` is for the callback's use, through context().
  explicit Operation(Callback callback, void* context = nullptr)
      : callback_(callback), context_(context) {
    DCHECK(callback != nullptr);
  }
  ~Operation() {
    CHECK(state_ == OperationState::kIdle)
        << "SUB-6: an operation (" << OpcodeName(opcode_) << ") is destroyed before it completed; "
        << "cancel it and wait for its final completion";
  }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // ---- Preparing: says what is to be done. REQUIRES: the operation is idle. ----
  //
  // Every operation may complete with -ECANCELED after Loop::Cancel, Loop::Close of its handle or
  // Loop::Drain; with -EBADF for a stale handle; and with any error of the system call that it is
  // named for. Those that follow name only what is particular.

  // Completes with 0 in the next turn.
  void PrepareNop();

  // Completes with 0 not before `delay_ns` have passed since Submit by the loop's clock (TIM-1).
  // Zero and less: in the next turn (TIM-3); too far: never (TIM-4).
  void PrepareTimer(int64_t delay_ns);
  // The same at a point in time of Loop::Now().
  void PrepareTimerAt(int64_t deadline_ns);

  // Completes with the ready subset of `events` (POLLIN, POLLOUT, POLLPRI, and always POLLERR,
  // POLLHUP; poll(2)) as soon as it is not empty. Files are always ready, and know
  // nothing but input and output: -EINVAL for other events.
  void PreparePoll(Handle handle, uint32_t events);

  // Accepts a connection: completes with an owned, close-on-exec descriptor, which the callback
  // adopts or closes. `address` and `length`, when given, are filled as by accept4(2) and live as
  // long as the operation is pending. Where Cancel comes before the callback, the descriptor is
  // closed by the loop and the result is -ECANCELED (CAN-5). At a limit of descriptors or memory
  // the result is -EMFILE, -ENFILE, -ENOBUFS or -ENOMEM, the connection stays in the backlog, and
  // every Accept of the loop is held back for LoopOptions::accept_backoff_ns, or until the loop
  // closes a descriptor, so that trying again does not spin (HDL-6).
  void PrepareAccept(Handle listener, sockaddr* address = nullptr, socklen_t* length = nullptr);

  // As Accept, for any number of connections: each completes with kMore until an error or Cancel.
  void PrepareAcceptMultishot(Handle listener);

  // Completes with 0 when the connection stands. The address lives until then.
  void PrepareConnect(Handle socket, const sockaddr* address, socklen_t length);

  // Receives into `buffer`: completes with the count, 0 at the end of the stream (recv(2)).
  // `flags` are MSG_* of recv(2).
  void PrepareRecv(Handle socket, absl::Span<char> buffer, int flags);

  // As Recv, into a buffer of the loop's pool (Loop::RegisterBuffers); the completion carries
  // kBuffer and buffer_id() whenever the count is positive. -ENOBUFS when none is free; data
  // stays in the socket and the operation may be submitted again at once after a buffer came
  // back (CMP-9).
  void PrepareRecvPooled(Handle socket, int flags);

  // As RecvPooled, repeated: kMore with each count, a final completion with 0 at the end of the
  // stream, -ENOBUFS, another error, or Cancel.
  void PrepareRecvMultishot(Handle socket, int flags);

  // Sends: completes with the count taken, which may be short (CMP-5). A peer that is gone is
  // -EPIPE or -ECONNRESET, never SIGPIPE (CMP-6). `flags` are MSG_* of send(2).
  void PrepareSend(Handle socket, absl::Span<const char> buffer, int flags);

  // As Send, for large buffers: a backend that can (BackendCapabilities::zero_copy_send) has the
  // bytes sent from where they are instead of copying them. Completes, once, when nothing reads the
  // buffer any more, which on a network is after the peer has acknowledged it; the next send on the
  // handle need not wait for that. On other backends, and on sockets that cannot, it is a Send. A
  // Cancel while the bytes are underway, or a Close, gives them up: the connection is reset.
  void PrepareSendZeroCopy(Handle socket, absl::Span<const char> buffer, int flags);

  // recvmsg(2) and sendmsg(2). The message and all it points to live until completion.
  void PrepareRecvMsg(Handle socket, msghdr* message, int flags);
  void PrepareSendMsg(Handle socket, const msghdr* message, int flags);

  // shutdown(2), after the sends submitted before it. `how` is SHUT_RD, SHUT_WR or SHUT_RDWR.
  void PrepareShutdown(Handle socket, int how);

  // read(2)/pread(2) and write(2)/pwrite(2): at `offset`, or at kCurrentOffset, which is the only
  // choice for what cannot seek (-ESPIPE otherwise).
  void PrepareRead(Handle handle, absl::Span<char> buffer, int64_t offset);
  void PrepareWrite(Handle handle, absl::Span<const char> buffer, int64_t offset);

  // fsync(2), or fdatasync(2).
  void PrepareFsync(Handle file, bool data_only);

  // openat(2): completes with an owned, close-on-exec descriptor. Cancelled too late, it is closed
  // by the loop, as for Accept (CAN-5); the file that O_CREAT made remains.
  void PrepareOpenAt(Handle directory, const char* path, int flags, uint32_t mode);

  // statx(2) into `*result`.
  void PrepareStatx(Handle directory, const char* path, int flags, uint32_t mask,
                    struct statx* result);

  // renameat2(2), unlinkat(2), mkdirat(2).
  void PrepareRename(Handle from_directory, const char* from, Handle to_directory, const char* to,
                     uint32_t flags);
  void PrepareUnlink(Handle directory, const char* path, int flags);
  void PrepareMkdir(Handle directory, const char* path, uint32_t mode);

  // splice(2): moves up to `size` bytes from `from` to `to`, one of which is a pipe; completes with
  // the count, 0 at the end of the input. Not ordered with other operations on the handles.
  void PrepareSplice(Handle from, int64_t from_offset, Handle to, int64_t to_offset, size_t size,
                     uint32_t flags);

  // Completes with 0 when everything pending on the handle has completed and its descriptor is
  // closed. Cannot be cancelled. Loop::Close is the same without a completion.
  void PrepareClose(Handle handle);

  // Runs `function(argument)` on a thread of the loop's blocking threads and completes with what
  // it returned. Cancelled before it began, it never runs; afterwards Cancel has no effect.
  void PrepareWork(int32_t (*function)(void* argument), void* argument);

  // ---- Reading a completion: valid in the callback and until the next Prepare or Submit. ----

  int32_t result() const { return result_; }
  bool has_more() const { return (completion_flags_ & kMore) != 0; }
  bool has_buffer() const { return (completion_flags_ & kBuffer) != 0; }
  // REQUIRES: has_buffer().
  uint16_t buffer_id() const { return buffer_id_; }

  // ---- Any time. ----

  Opcode opcode() const { return opcode_; }
  OperationState state() const { return state_; }
  bool idle() const { return state_ == OperationState::kIdle; }
  Handle handle() const { return handle_; }
  void* context() const { return context_; }

  // ---- For backends and the loop: the parameters, and scratch space while in flight. ----

  struct BufferParameters {  // Recv, Send, Read, Write
    char* data;
    size_t size;
    int64_t offset;
    int flags;
  };
  struct AddressParameters {  // Accept (length_out), Connect (length)
    sockaddr* address;
    socklen_t* length_out;
    socklen_t length;
  };
  struct MessageParameters {  // RecvMsg, SendMsg
    msghdr* message;
    int flags;
  };
  struct PathParameters {  // OpenAt, Statx, Rename, Unlink, Mkdir
    const char* path;
    const char* to_path;
    Handle to_directory;
    struct statx* statx_result;
    int flags;
    uint32_t mode;  // or statx's mask
  };
  struct SpliceParameters {
    Handle to;
    int64_t from_offset;
    int64_t to_offset;
    size_t size;
    uint32_t flags;
  };
  struct WorkParameters {
    int32_t (*function)(void*);
    void* argument;
  };
  struct TimerParameters {
    int64_t when_ns;  // a delay until Submit, the deadline afterwards
    bool relative;
    bool in_wheel;      // where the loop keeps it
    uint64_t sequence;  // breaks ties in submission order (TIM-5)
  };
  union Parameters {
    Parameters() : poll_events(0) {}

    BufferParameters buffer;
    AddressParameters address;
    MessageParameters message;
    PathParameters path;
    SpliceParameters splice;
    WorkParameters work;
    TimerParameters timer;
    uint32_t poll_events;
    int shutdown_how;
    bool data_only;
  };

  static constexpr size_t kScratchSize = 64;

  const Parameters& parameters() const { return parameters_; }
  Parameters& parameters() { return parameters_; }
  bool multishot() const { return multishot_; }
  bool pooled_buffer() const { return pooled_buffer_; }
  bool zero_copy() const { return zero_copy_; }
  bool cancel_requested() const { return cancel_requested_; }
  // The descriptor of handle(), and of the second handle of Rename and Splice: resolved by the loop
  // and valid while the operation is pending. AT_FDCWD for kCurrentDirectory.
  int fd() const { return fd_; }
  int second_fd() const { return second_fd_; }

  // Scratch of the backend between SubmissionBatch::Pop and the final completion, seen as a T.
  // Indeterminate at first.
  template <typename T>
  T& Scratch() {
    static_assert(sizeof(T) <= kScratchSize && alignof(T) <= alignof(void*));
    return *std::launder(reinterpret_cast<T*>(scratch_));
  }

 private:
  friend class Loop;
  friend class CompletionSink;
  friend class SubmissionBatch;
  friend class WorkPool;
  template <typename T>
  friend class IntrusiveList;
  friend class PendingList;

  // Whether the loop resolved its handles, which it then keeps open.
  bool pinned() const { return fd_ != kNoDescriptor; }
  // The second handle of Rename and Splice; a stale one for others.
  Handle second_handle() const {
    if (opcode_ == Opcode::kSplice) return parameters_.splice.to;
    return opcode_ == Opcode::kRename ? parameters_.path.to_directory : Handle{};
  }
  bool names_two_handles() const {
    return opcode_ == Opcode::kSplice || opcode_ == Opcode::kRename;
  }

  // Clears what the last use left. CHECKs that the operation is idle (SUB-6).
  void Begin(Opcode opcode, Handle handle);

  Callback callback_;
  void* context_;
  // The list of everything pending on one handle, or on none.
  Operation* pending_next_ = nullptr;
  Operation* pending_previous_ = nullptr;
  Handle handle_;
  // Says in fd_ that no descriptor stands behind the operation; AT_FDCWD is another value.
  static constexpr int kNoDescriptor = -1;

  int fd_ = kNoDescriptor;
  int second_fd_ = kNoDescriptor;
  int32_t result_ = 0;
  int32_t final_result_ = 0;
  Opcode opcode_ = Opcode::kNop;
  OperationState state_ = OperationState::kIdle;
  uint8_t completion_flags_ = 0;
  bool multishot_ : 1 = false;
  bool pooled_buffer_ : 1 = false;
  bool zero_copy_ : 1 = false;
  bool cancel_requested_ : 1 = false;
  // Holds its handle's direction: operations behind it wait.
  bool holds_direction_ : 1 = false;
  // A completion with kMore waits for its callback. In state kReady the final one waits behind it;
  // final_result_ has its result.
  bool undelivered_ : 1 = false;
  uint16_t buffer_id_ = 0;
  Parameters parameters_;
  alignas(void*) std::byte scratch_[kScratchSize];
};

static_assert(sizeof(Operation) <= 192);

}  // namespace tenon

#endif  // TENON_CORE_LOOP_OPERATION_H_
