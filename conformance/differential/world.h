// What the operations of a script act on: descriptors of every kind, whose other ends are plain
// system calls, and a folder.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_WORLD_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_WORLD_H_

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tenon/conformance/differential/script.h"
#include "tenon/core/loop/handle.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance::differential {

// One end of a connection or a pipe, a listener, a file.
struct End {
  // Distinguishes ends; see touches.h.
  uint32_t number = 0;
  // For observations, where the test has it: "peer of h1", "client 2".
  std::string label;
  EndKind kind = kTcp;
  // The end that this one is connected to; null for none.
  End* peer = nullptr;
  // Exactly one of the two is set while the end is open: a descriptor of the test's own, or what
  // the loop has adopted.
  UniqueFd plain;
  Handle handle = {};
  bool in_loop = false;
  // Closed, or told to.
  bool closed = false;
  // A connect failed, which leaves a socket in no determined state (connect(2)).
  bool unspecified = false;
  // This end will send no more: shut down, or closed.
  bool ended = false;
  // Bytes that went in here and that came out here.
  uint64_t sent = 0;
  uint64_t received = 0;
  // Of a listener: clients that are connected and not accepted, oldest first; and what was accepted
  // before its client knew that it is connected.
  std::deque<End*> backlog;
  std::deque<End*> accepted_early;
  // Of a connected socket, when the peer is behind a listener.
  sockaddr_in address = {};
  // Opened by a path of kPaths.
  bool by_path = false;
  // A folder, or a file opened for reading alone.
  bool read_only = false;

  bool is_stream() const { return kind == kTcp || kind == kUnix; }
  bool is_socket() const { return kind <= kSeqpacket || kind == kSocket || kind == kListener; }
  bool is_pipe() const { return kind == kPipeIn || kind == kPipeOut; }
  bool is_file() const { return kind == kFile || kind == kDirectory; }
};

// The bytes that are sent under a number; every number has its own.
std::string Pattern(uint64_t number, size_t size);

// Owns every end of one run.
//
// Ownership: borrows the loop, which outlives it, or is told to be gone by Forget().
// Threads: the loop's.
// System calls of the test's own that fail are CHECKs: the run ends by its process's death.
class World {
 public:
  explicit World(Loop& loop);

  // The end that a handle's number names; null when nothing was opened by that name.
  End* Find(int64_t name) const;
  // The loop's handle for a number: stale for names that are unknown or closed.
  Handle HandleOf(int64_t name) const;

  // Makes a descriptor of a kind and its other end, and has the loop adopt it by this name.
  void Open(int64_t name, EndKind kind);
  // Has the loop adopt the plain end `end`.
  void AdoptPlain(int64_t name, End& end);
  // Has the loop adopt what an Accept or an OpenAt made. What an Accept made without a name for it
  // (0) becomes a plain end; what an OpenAt made is closed.
  void AdoptAccepted(int64_t name, UniqueFd fd, End& listener, std::string label);
  void AdoptOpened(int64_t name, UniqueFd fd);

  // A client connects to a listener, and waits in its backlog.
  void ConnectTo(End& listener);
  // So did an end of the loop's.
  void NoteConnected(End& client, End& listener);
  // An address that nobody listens at.
  const sockaddr_in& dead_address() const { return dead_address_; }

  // What can be read from a plain end now. `*ended` says whether its end or an error follows, and
  // which.
  std::string ReadPlain(End& end, std::string* ending);
  // Reads from a descriptor whatever is there, without waiting.
  std::string ReadRest(End& end);
  // Writes to a plain end: the count or a negated errno.
  int64_t WritePlain(End& end, std::string_view bytes);
  void ShutdownPlain(End& end);
  void ClosePlain(End& end);

  // The descriptor of an end, wherever it is; -1 when it is closed.
  int Descriptor(const End& end) const;
  // The ready events of an end, by poll(2).
  short Ready(const End& end, short events) const;
  // Whether something has been sent, or ended, of which the other end does not know yet.
  bool InTransit() const;

  const std::vector<std::unique_ptr<End>>& ends() const { return ends_; }

  // How many bytes can be read from a plain end, or one in the loop.
  uint64_t Available(const End& end) const;

 private:
  End& Make(EndKind kind, UniqueFd plain);
  void Adopt(int64_t name, End& end, UniqueFd fd);
  void OpenPair(int64_t name, EndKind kind);
  void OpenTcpPair(int64_t name);
  void OpenListener(int64_t name);
  static void Match(End& client, End& accepted);
  bool Arriving(const End& from, const End& to) const;

  Loop& loop_;
  std::vector<std::unique_ptr<End>> ends_;
  std::map<int64_t, End*> names_;
  // Bound, and not listening.
  sockaddr_in dead_address_ = {};
  UniqueFd dead_;
  int clients_ = 0;
};

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_WORLD_H_
