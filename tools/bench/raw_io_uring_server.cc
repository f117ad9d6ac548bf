// An echo server on io_uring as an expert writes it by hand: one multishot accept, one multishot
// receive a connection into a ring of provided buffers, each buffer sent back from where it was
// received, one system call a turn.

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "liburing.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "tenon/tools/bench/raw_ring.h"

namespace tenon::bench {
namespace {

constexpr unsigned kBuffers = 4096;
constexpr size_t kBufferSize = 4096;
constexpr int kBufferGroup = 0;
// A connection whose peer does not read holds no more of them than about this.
constexpr size_t kPauseAt = 64;
constexpr unsigned kCompletionsPerTurn = 256;

// In the low bits of a completion's user_data; the rest is the connection.
enum Kind : uint64_t { kAccept = 0, kReceive = 1, kSend = 2, kCancel = 3, kKindMask = 3 };

// What a buffer holds while it is not the kernel's.
struct Chunk {
  uint32_t size = 0;
  uint32_t sent = 0;
  // The buffer that was received after it on the same connection.
  uint16_t next = 0;
};

struct alignas(8) Connection {
  UniqueFd socket;
  // Buffers received and not yet sent, in order; the first is being sent.
  uint16_t first = 0;
  uint16_t last = 0;
  size_t count = 0;
  bool receiving = false;
  bool pausing = false;
  bool sending = false;
  // No more will be received: its end, or an error.
  bool ended = false;
  bool broken = false;
};

class RawIoUringServer {
 public:
  explicit RawIoUringServer(int listen_fd) : listen_fd_(listen_fd) {}

  absl::Status Run() {
    absl::Status status = ring_.Init();
    if (status.ok()) status = MakeBuffers();
    if (!status.ok()) return status;
    Accept();
    while (failure_.ok()) {
      const int submitted = io_uring_submit_and_wait(ring_.get(), 1);
      if (submitted < 0 && submitted != -EINTR) {
        return absl::ErrnoToStatus(-submitted, "io_uring_enter");
      }
      TakeCompletions();
    }
    return failure_;
  }

 private:
  absl::Status MakeBuffers() {
    void* memory = mmap(nullptr, kBuffers * kBufferSize, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "mmap of the buffers");
    buffers_ = static_cast<char*>(memory);
    int error = 0;
    buffer_ring_ = io_uring_setup_buf_ring(ring_.get(), kBuffers, kBufferGroup, 0, &error);
    if (buffer_ring_ == nullptr) return absl::ErrnoToStatus(-error, "io_uring_setup_buf_ring");
    for (unsigned i = 0; i < kBuffers; ++i) Provide(static_cast<uint16_t>(i));
    io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(provided_));
    provided_ = 0;
    return absl::OkStatus();
  }

  char* BufferAt(uint16_t id) { return buffers_ + size_t{id} * kBufferSize; }

  // Becomes visible to the kernel with the next advance.
  void Provide(uint16_t id) {
    io_uring_buf_ring_add(buffer_ring_, BufferAt(id), kBufferSize, id,
                          io_uring_buf_ring_mask(kBuffers), static_cast<int>(provided_++));
  }

  static uint64_t Tag(const Connection* connection, Kind kind) {
    return reinterpret_cast<uintptr_t>(connection) | kind;
  }

  void Accept() {
    io_uring_sqe* entry = ring_.Next();
    io_uring_prep_multishot_accept(entry, listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(entry, Tag(nullptr, kAccept));
  }

  void Receive(Connection& connection) {
    io_uring_sqe* entry = ring_.Next();
    io_uring_prep_recv_multishot(entry, connection.socket.get(), nullptr, 0, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = kBufferGroup;
    io_uring_sqe_set_data64(entry, Tag(&connection, kReceive));
    connection.receiving = true;
  }

  void Pause(Connection& connection) {
    io_uring_sqe* entry = ring_.Next();
    io_uring_prep_cancel64(entry, Tag(&connection, kReceive), 0);
    io_uring_sqe_set_data64(entry, Tag(nullptr, kCancel));
    connection.pausing = true;
  }

  void Send(Connection& connection) {
    const Chunk& chunk = chunks_[connection.first];
    io_uring_sqe* entry = ring_.Next();
    io_uring_prep_send(entry, connection.socket.get(), BufferAt(connection.first) + chunk.sent,
                       chunk.size - chunk.sent, MSG_NOSIGNAL);
    io_uring_sqe_set_data64(entry, Tag(&connection, kSend));
    connection.sending = true;
  }

  void TakeCompletions() {
    io_uring_cqe* completion = nullptr;
    unsigned head = 0;
    unsigned taken = 0;
    io_uring_for_each_cqe(ring_.get(), head, completion) {
      Complete(*completion);
      if (++taken == kCompletionsPerTurn) break;
    }
    io_uring_cq_advance(ring_.get(), taken);
    io_uring_buf_ring_advance(buffer_ring_, static_cast<int>(provided_));
    const bool came_back = provided_ != 0;
    provided_ = 0;
    if (came_back && !starved_.empty()) ServeStarved();
  }

  void Complete(const io_uring_cqe& completion) {
    const auto kind = static_cast<Kind>(completion.user_data & kKindMask);
    auto* connection = reinterpret_cast<Connection*>(completion.user_data & ~uint64_t{kKindMask});
    if (kind == kAccept) {
      Accepted(completion);
    } else if (kind == kReceive) {
      Received(*connection, completion);
    } else if (kind == kSend) {
      Sent(*connection, completion.res);
    }
  }

  void Accepted(const io_uring_cqe& completion) {
    if (completion.res >= 0) {
      const int on = 1;
      setsockopt(completion.res, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
      auto* connection = new Connection;
      connection->socket = UniqueFd(completion.res);
      Receive(*connection);
    } else if (completion.res != -ECONNABORTED) {
      failure_ = absl::ErrnoToStatus(-completion.res, "accept");
      return;
    }
    if ((completion.flags & IORING_CQE_F_MORE) == 0) Accept();
  }

  void Received(Connection& connection, const io_uring_cqe& completion) {
    if (completion.res > 0) {
      Append(connection, static_cast<uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT),
             static_cast<uint32_t>(completion.res));
      if (!connection.sending && !connection.broken) Send(connection);
    }
    if ((completion.flags & IORING_CQE_F_MORE) != 0) {
      if (connection.count >= kPauseAt && !connection.pausing) Pause(connection);
      return;
    }
    connection.receiving = false;
    connection.pausing = false;
    if (completion.res == 0) {
      connection.ended = true;
    } else if (completion.res == -ENOBUFS && connection.count == 0) {
      starved_.push_back(&connection);
      return;
    } else if (completion.res < 0 && completion.res != -ECANCELED && completion.res != -ENOBUFS) {
      connection.broken = true;
    }
    GoOn(connection);
  }

  void Append(Connection& connection, uint16_t buffer, uint32_t size) {
    chunks_[buffer] = {.size = size, .sent = 0, .next = 0};
    (connection.count++ == 0 ? connection.first : chunks_[connection.last].next) = buffer;
    connection.last = buffer;
  }

  void ProvideFirst(Connection& connection) {
    Provide(connection.first);
    connection.first = chunks_[connection.first].next;
    --connection.count;
  }

  void Sent(Connection& connection, int result) {
    connection.sending = false;
    Chunk& chunk = chunks_[connection.first];
    if (result < 0) {
      connection.broken = true;
    } else {
      chunk.sent += static_cast<uint32_t>(result);
      if (chunk.sent == chunk.size) ProvideFirst(connection);
    }
    GoOn(connection);
  }

  // Does what the connection's state asks for next; it may be gone afterwards.
  void GoOn(Connection& connection) {
    if (connection.sending) return;
    if (connection.broken) {
      if (connection.receiving) {
        if (!connection.pausing) Pause(connection);
        return;
      }
      while (connection.count != 0) ProvideFirst(connection);
      delete &connection;
    } else if (connection.count != 0) {
      Send(connection);
    } else if (connection.ended) {
      delete &connection;
    } else if (!connection.receiving) {
      Receive(connection);
    }
  }

  // Those that found no buffer try again once some have come back.
  void ServeStarved() {
    std::vector<Connection*> starved;
    starved.swap(starved_);
    for (Connection* connection : starved) Receive(*connection);
  }

  const int listen_fd_;
  RawRing ring_;
  char* buffers_ = nullptr;
  io_uring_buf_ring* buffer_ring_ = nullptr;
  std::vector<Chunk> chunks_ = std::vector<Chunk>(kBuffers);
  // Buffers that were given back since the last advance.
  unsigned provided_ = 0;
  std::vector<Connection*> starved_;
  absl::Status failure_;
};

}  // namespace

absl::Status ServeRawIoUring(int listen_fd) { return RawIoUringServer(listen_fd).Run(); }

}  // namespace tenon::bench
