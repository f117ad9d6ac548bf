#include "tenon/conformance/differential/world.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"

namespace tenon::conformance::differential {
namespace {

constexpr int kBacklog = 128;
// One read of the test's own.
constexpr size_t kReadSize = 64 * 1024;

std::pair<UniqueFd, UniqueFd> MakeSocketPair(int type) {
  int fds[2];
  PCHECK(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

std::pair<UniqueFd, UniqueFd> MakePipe() {
  int fds[2];
  PCHECK(::pipe2(fds, O_CLOEXEC) == 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

UniqueFd MakeTcpSocket() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  PCHECK(fd.ok());
  // What one end has sent is to be at the other at once.
  const int on = 1;
  PCHECK(::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
  return fd;
}

// At a port of 127.0.0.1 that the kernel chooses.
UniqueFd MakeBound(sockaddr_in* address) {
  UniqueFd fd = MakeTcpSocket();
  *address = {};
  address->sin_family = AF_INET;
  address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  PCHECK(::bind(fd.get(), reinterpret_cast<sockaddr*>(address), sizeof(*address)) == 0);
  socklen_t length = sizeof(*address);
  PCHECK(::getsockname(fd.get(), reinterpret_cast<sockaddr*>(address), &length) == 0);
  return fd;
}

UniqueFd Connected(const sockaddr_in& address) {
  UniqueFd fd = MakeTcpSocket();
  PCHECK(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  return fd;
}

EndKind OtherEnd(EndKind kind) {
  if (kind == kPipeIn) return kPipeOut;
  return kind == kPipeOut ? kPipeIn : kind;
}

// read(2) that does not wait, whatever the mode of the descriptor; a negated errno on failure.
ssize_t ReadNow(int fd, bool is_socket, char* buffer, size_t size) {
  if (!is_socket) {
    pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
    if (::poll(&entry, 1, 0) <= 0) return -EAGAIN;
  }
  while (true) {
    const ssize_t count =
        is_socket ? ::recv(fd, buffer, size, MSG_DONTWAIT) : ::read(fd, buffer, size);
    if (count >= 0) return count;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace

std::string Pattern(uint64_t number, size_t size) {
  std::string bytes(size, '\0');
  uint64_t state = number * 0x9e3779b97f4a7c15 + 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005 + 1442695040888963407;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

World::World(Loop& loop) : loop_(loop), dead_(MakeBound(&dead_address_)) {}

End* World::Find(int64_t name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : found->second;
}

Handle World::HandleOf(int64_t name) const {
  const End* const end = Find(name);
  return end == nullptr ? Handle{} : end->handle;
}

End& World::Make(EndKind kind, UniqueFd plain) {
  ends_.push_back(std::make_unique<End>());
  End& end = *ends_.back();
  end.number = static_cast<uint32_t>(ends_.size());
  end.kind = kind;
  end.plain = std::move(plain);
  return end;
}

void World::Adopt(int64_t name, End& end, UniqueFd fd) {
  absl::StatusOr<Handle> handle = loop_.Adopt(std::move(fd));
  CHECK(handle.ok()) << "adopting a " << kEndKinds[end.kind] << ": " << handle.status();
  end.handle = *handle;
  end.in_loop = true;
  if (name != 0) names_[name] = &end;
}

void World::Open(int64_t name, EndKind kind) {
  switch (kind) {
    case kTcp:
      return OpenTcpPair(name);
    case kListener:
      return OpenListener(name);
    case kSocket:
      return Adopt(name, Make(kind, UniqueFd()), MakeTcpSocket());
    case kFile: {
      const std::string path = absl::StrCat("file", name);
      UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
      PCHECK(fd.ok());
      const std::string content = Pattern(static_cast<uint64_t>(name), 100);
      PCHECK(::pwrite(fd.get(), content.data(), content.size(), 0) == 100);
      return Adopt(name, Make(kind, UniqueFd()), std::move(fd));
    }
    case kDirectory: {
      UniqueFd fd(::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      PCHECK(fd.ok());
      End& end = Make(kind, UniqueFd());
      end.read_only = true;
      return Adopt(name, end, std::move(fd));
    }
    default:
      return OpenPair(name, kind);
  }
}

void World::OpenPair(int64_t name, EndKind kind) {
  std::pair<UniqueFd, UniqueFd> fds;
  switch (kind) {
    case kUnix:
      fds = MakeSocketPair(SOCK_STREAM);
      break;
    case kDatagram:
      fds = MakeSocketPair(SOCK_DGRAM);
      break;
    case kSeqpacket:
      fds = MakeSocketPair(SOCK_SEQPACKET);
      break;
    default:
      fds = MakePipe();
      if (kind == kPipeOut) std::swap(fds.first, fds.second);
      break;
  }
  End& ours = Make(kind, UniqueFd());
  End& theirs = Make(OtherEnd(kind), std::move(fds.second));
  theirs.label = absl::StrCat("peer of h", name);
  ours.peer = &theirs;
  theirs.peer = &ours;
  Adopt(name, ours, std::move(fds.first));
}

void World::OpenTcpPair(int64_t name) {
  sockaddr_in address;
  const UniqueFd listener = MakeBound(&address);
  PCHECK(::listen(listener.get(), 1) == 0);
  UniqueFd client = Connected(address);
  UniqueFd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  PCHECK(accepted.ok());
  const int on = 1;
  PCHECK(::setsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
  End& ours = Make(kTcp, UniqueFd());
  End& theirs = Make(kTcp, std::move(accepted));
  theirs.label = absl::StrCat("peer of h", name);
  ours.peer = &theirs;
  theirs.peer = &ours;
  Adopt(name, ours, std::move(client));
}

void World::OpenListener(int64_t name) {
  sockaddr_in address;
  UniqueFd fd = MakeBound(&address);
  PCHECK(::listen(fd.get(), kBacklog) == 0);
  End& end = Make(kListener, UniqueFd());
  end.address = address;
  Adopt(name, end, std::move(fd));
}

void World::AdoptPlain(int64_t name, End& end) { Adopt(name, end, std::move(end.plain)); }

void World::AdoptAccepted(int64_t name, UniqueFd fd, End& listener, std::string label) {
  End& end = Make(kTcp, UniqueFd());
  if (listener.backlog.empty()) {
    listener.accepted_early.push_back(&end);
  } else {
    Match(*listener.backlog.front(), end);
    listener.backlog.pop_front();
  }
  if (name == 0) {
    // Not closed, which would race with what its client sends.
    end.plain = std::move(fd);
    end.label = std::move(label);
  } else {
    Adopt(name, end, std::move(fd));
  }
}

void World::NoteConnected(End& client, End& listener) {
  // From here on it is like any other connection.
  client.kind = kTcp;
  if (listener.accepted_early.empty()) {
    listener.backlog.push_back(&client);
  } else {
    Match(client, *listener.accepted_early.front());
    listener.accepted_early.pop_front();
  }
}

void World::Match(End& client, End& accepted) {
  client.peer = &accepted;
  accepted.peer = &client;
}

void World::AdoptOpened(int64_t name, UniqueFd fd) {
  if (name == 0) return;
  struct stat status;
  PCHECK(::fstat(fd.get(), &status) == 0);
  End& end = Make(S_ISDIR(status.st_mode) ? kDirectory : kFile, UniqueFd());
  end.by_path = true;
  end.read_only = (::fcntl(fd.get(), F_GETFL) & O_ACCMODE) == O_RDONLY;
  Adopt(name, end, std::move(fd));
}

void World::ConnectTo(End& listener) {
  End& client = Make(kTcp, Connected(listener.address));
  client.label = absl::StrCat("client ", ++clients_);
  NoteConnected(client, listener);
}

std::string World::ReadPlain(End& end, std::string* ending) {
  std::string bytes;
  std::string chunk(kReadSize, '\0');
  *ending = "";
  while (end.plain.ok()) {
    const ssize_t count = ReadNow(end.plain.get(), end.is_socket(), chunk.data(), chunk.size());
    if (count > 0) {
      bytes.append(chunk, 0, static_cast<size_t>(count));
      continue;
    }
    if (count == 0) {
      *ending = "its end";
    } else if (count != -EAGAIN) {
      *ending = strerrorname_np(static_cast<int>(-count));
    }
    break;
  }
  end.received += bytes.size();
  return bytes;
}

std::string World::ReadRest(End& end) {
  std::string bytes;
  std::string chunk(kReadSize, '\0');
  const int fd = Descriptor(end);
  while (fd >= 0) {
    const ssize_t count = ReadNow(fd, end.is_socket(), chunk.data(), chunk.size());
    if (count <= 0) break;
    bytes.append(chunk, 0, static_cast<size_t>(count));
  }
  end.received += bytes.size();
  return bytes;
}

int64_t World::WritePlain(End& end, std::string_view bytes) {
  if (!end.plain.ok()) return -EBADF;
  const int fd = end.plain.get();
  // A pipe has no MSG_NOSIGNAL.
  if (!end.is_socket() && (Ready(end, POLLOUT) & POLLERR) != 0) return -EPIPE;
  const ssize_t count = end.is_socket()
                            ? ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT)
                            : ::write(fd, bytes.data(), bytes.size());
  if (count < 0) return -errno;
  end.sent += static_cast<uint64_t>(count);
  return count;
}

void World::ShutdownPlain(End& end) {
  if (!end.plain.ok() || !end.is_socket()) return;
  if (::shutdown(end.plain.get(), SHUT_WR) == 0) end.ended = true;
}

void World::ClosePlain(End& end) {
  end.plain.Reset();
  end.closed = true;
  end.ended = true;
}

int World::Descriptor(const End& end) const {
  if (end.plain.ok()) return end.plain.get();
  return end.in_loop && !end.closed ? loop_.Descriptor(end.handle) : -1;
}

short World::Ready(const End& end, short events) const {
  pollfd entry = {.fd = Descriptor(end), .events = events, .revents = 0};
  if (entry.fd < 0) return 0;
  while (::poll(&entry, 1, 0) < 0) PCHECK(errno == EINTR);
  return entry.revents;
}

uint64_t World::Available(const End& end) const {
  int count = 0;
  if (::ioctl(Descriptor(end), FIONREAD, &count) != 0) return 0;
  return static_cast<uint64_t>(std::max(count, 0));
}

// Whether bytes or the end are under way from one end to the other. Over TCP they take a moment. So
// does the end wherever the kernel releases a descriptor that was closed only after it has given up
// what it did with it, as io_uring may.
bool World::Arriving(const End& from, const End& to) const {
  if (from.kind == kDatagram || to.closed || Descriptor(to) < 0) return false;
  const short ready = Ready(to, POLLIN | POLLRDHUP);
  // A reset overtakes everything, and so does the end of a pipe.
  if ((ready & (POLLERR | POLLHUP)) != 0) return false;
  if (from.ended && (ready & POLLRDHUP) == 0) return true;
  return from.kind == kTcp && from.sent > to.received + Available(to);
}

bool World::InTransit() const {
  return std::any_of(ends_.begin(), ends_.end(), [this](const std::unique_ptr<End>& end) {
    if (end->kind == kListener) {
      return !end->backlog.empty() && Descriptor(*end) >= 0 && (Ready(*end, POLLIN) & POLLIN) == 0;
    }
    return end->peer != nullptr && Arriving(*end, *end->peer);
  });
}

}  // namespace tenon::conformance::differential
