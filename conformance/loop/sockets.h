// The other side of a rule's descriptors: plain system calls, nothing of Tenon, so that what a loop
// says can be compared with what the kernel did.
//
// Every function is a failure of the rule, with the system call's name, when the system refuses;
// what it returns is then empty. Waits end after five seconds. Descriptors are close-on-exec.

#ifndef TENON_CONFORMANCE_LOOP_SOCKETS_H_
#define TENON_CONFORMANCE_LOOP_SOCKETS_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance {

// Two connected ends: `ours` to be adopted by a loop, `theirs` for plain system calls.
struct DescriptorPair {
  UniqueFd ours;
  UniqueFd theirs;
};

// A socketpair(2): AF_UNIX, SOCK_STREAM unless said otherwise.
DescriptorPair MakeSocketPair(int type = SOCK_STREAM);

// A connection over 127.0.0.1, with Nagle's algorithm off at both ends.
DescriptorPair MakeTcpPair();

// A pipe, whose reading end is `ours`, and one whose writing end is.
DescriptorPair MakePipeToRead();
DescriptorPair MakePipeToWrite();

// A TCP socket listening on 127.0.0.1, at a port that the kernel chose.
class Listener {
 public:
  explicit Listener(int backlog = 128);

  // Gives the socket away; the address stays known.
  UniqueFd Take() { return std::move(fd_); }
  int fd() const { return fd_.get(); }

  const sockaddr* address() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t address_length() const { return sizeof(address_); }

  // A client that is connected: it stands in the backlog until accepted.
  UniqueFd Connect() const;

 private:
  UniqueFd fd_;
  sockaddr_in address_ = {};
};

// A TCP socket that is not connected.
UniqueFd MakeTcpSocket();

// Writes until the kernel takes no more for now, as `fd` stands; returns how many bytes it took.
// Works for sockets and pipes, and leaves their blocking mode as it was.
size_t FillUntilFull(int fd);

// Reads whatever is there without waiting.
std::string ReadAvailable(int fd);

// Reads exactly `size` bytes; fewer, with a failure, at the end of the stream or after five
// seconds.
std::string ReadExactly(int fd, size_t size);

// Writes all of `bytes`.
void WriteAll(int fd, std::string_view bytes);

// Waits until `fd` has one of `events` (poll(2)), or POLLERR or POLLHUP; the ready events, 0 after
// `milliseconds`, which is no failure.
short WaitFor(int fd, short events, int milliseconds = 5'000);

// Whether `fd` is an open descriptor of this process.
bool IsOpen(int fd);

// What stands behind a descriptor, "socket:[123]"; empty if it is not open.
std::string IdentityOf(int fd);

// Closes a TCP socket so that its peer sees a reset instead of an end (SO_LINGER of zero).
void Reset(UniqueFd socket);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LOOP_SOCKETS_H_
