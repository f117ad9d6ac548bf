// Waiting for descriptors in an io_context, with memory reserved for it, until either side goes.

#ifndef TENON_BACKENDS_ASIO_WATCH_H_
#define TENON_BACKENDS_ASIO_WATCH_H_

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "boost/asio/execution_context.hpp"
#include "boost/asio/io_context.hpp"
#include "boost/asio/posix/basic_stream_descriptor.hpp"
#include "boost/system/error_code.hpp"
#include "tenon/core/loop/intrusive_list.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

// What is relied on here is how the reactor over epoll(7) behaves.
#if !defined(BOOST_ASIO_HAS_EPOLL) || defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)
#error "tenon/backends/asio needs Asio's default reactor on Linux: epoll"
#endif

namespace tenon::asio {

class Watch;
class WatchService;

// What a watch is armed for: the waits of a posix::descriptor.
enum class WaitKind : uint8_t {
  kInput,     // input, the end of it, an error
  kRoom,      // room for output, an error
  kPriority,  // urgent data, a hang-up, an error
};
inline constexpr size_t kWaitKinds = 3;

// Told of what happens to its watches.
//
// Threads: whichever runs the context.
class WatchClient {
 public:
  // A wait has ended: the descriptor is ready. The watch is no longer armed for it.
  virtual void OnReady(Watch& watch, WaitKind kind) noexcept = 0;

  // The context is being destroyed, and every watch of the client with it. Called for each watch.
  virtual void OnContextGone() noexcept = 0;

 protected:
  ~WatchClient() = default;
};

// A descriptor that is registered with an io_context.
//
// Ownership: its service's, as is its memory; the descriptor is the client's. From Open to Close it
//   is the client's to use.
// Threads: the one that runs the context.
class Watch : public ListLink<Watch> {
 public:
  // What one wait of Asio takes: its bookkeeping and a WaitHandler.
  static constexpr size_t kWaitSize = 160;

  // Use WatchService::Open. Throws nothing once the service stands.
  Watch(WatchService& service, boost::asio::io_context& context)
      : service_(service), descriptor_(context.get_executor()) {}

  // Awaits readiness once, which OnReady reports; nothing if that is awaited already. Readiness
  // that is there already counts. Allocates nothing. 0, or -ENOMEM where Asio throws all the same.
  int32_t Arm(WaitKind kind) noexcept;
  bool armed(WaitKind kind) const { return Memory(kind).in_use; }

  // Changes when the watch is closed, after which it may be another client's. The watch itself
  // stays until the context is destroyed.
  uint64_t generation() const { return generation_; }

  // The client's words: which of its watches this is, and what was reported and not yet looked at,
  // a bit for each WaitKind.
  uint32_t tag = 0;
  uint8_t fired = 0;

 private:
  friend class WatchService;
  friend struct WaitHandler;
  template <typename T>
  friend class WaitAllocator;

  struct WaitMemory {
    alignas(std::max_align_t) std::array<std::byte, kWaitSize> bytes;
    bool in_use = false;
  };
  using Descriptor =
      boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;

  WaitMemory& Memory(WaitKind kind) { return memory_[static_cast<size_t>(kind)]; }
  const WaitMemory& Memory(WaitKind kind) const { return memory_[static_cast<size_t>(kind)]; }
  // Takes the memory of a wait, or throws std::bad_alloc, which Asio expects.
  void* TakeMemory(WaitKind kind, size_t size);
  void OnWaitEnded(WaitKind kind) noexcept;
  void Disown();
  bool AnyArmed() const;

  WatchService& service_;
  Descriptor descriptor_;
  // Null when the watch is closed. It is used again once every handler of its waits has run.
  WatchClient* client_ = nullptr;
  uint64_t generation_ = 0;
  std::array<WaitMemory, kWaitKinds> memory_;
  Watch* next_made_ = nullptr;
  Watch* next_free_ = nullptr;
};

// The watches of one io_context, which owns them: a handler that was cancelled stays in the context
// until that runs again, and its memory must stay too.
//
// Threads: the one that runs the context.
// Shutdown: tells clients, then forgets their descriptors without touching the kernel, since the
//   epoll instance either is about to be closed or, in a forked child, is the parent's.
class WatchService final : public boost::asio::execution_context::service {
 public:
  // How Asio tells services apart.
  static boost::asio::execution_context::id id;

  // Throws what Asio throws.
  // Takes memory for watches from the process, as a service of an application's context must: it
  // may outlive every allocator that a loop has.
  explicit WatchService(boost::asio::io_context& context);
  // Takes it from `allocator`, which outlives the context.
  WatchService(boost::asio::io_context& context, Allocator& allocator);
  ~WatchService() override;

  // The service of a context, made if there is none; null with the reason in `*status` where that
  // fails.
  static WatchService* Of(boost::asio::io_context& context, absl::Status* status) noexcept;

  // Registers a descriptor. `client` outlives the watch, until Close or OnContextGone.
  // ResourceExhausted without a message for want of memory, Unimplemented for what cannot be
  // polled, else what the kernel refused. `pollable` says that it certainly can be polled.
  absl::StatusOr<Watch*> Open(int fd, bool pollable, WatchClient& client) noexcept;

  // Forgets the descriptor, at once, without closing it. Nothing of it is reported afterwards.
  void Close(Watch& watch) noexcept;

  // Whether this process was forked from the one that made the service, and has not told it so.
  bool InChild() const;

  // The same when the client ends, which may be in a forked child. The watch then stays registered
  // in the epoll instance that is the parent's, until the context is destroyed.
  void CloseFinally(Watch& watch) noexcept;

 private:
  void shutdown() override;
  void notify_fork(boost::asio::execution_context::fork_event event) override;

  friend class Watch;

  Watch* Take();
  void Recycle(Watch& watch);

  boost::asio::io_context& context_;
  Allocator& allocator_;
  // All there are, and those that nobody uses.
  Watch* made_ = nullptr;
  Watch* free_ = nullptr;
  // The process that the context's epoll instance belongs to.
  pid_t process_;
  // The last registration was refused. Asio keeps what it had allocated for a refused one until the
  // context is destroyed, so the next are tried out first.
  bool refused_ = false;
};

}  // namespace tenon::asio

#endif  // TENON_BACKENDS_ASIO_WATCH_H_
