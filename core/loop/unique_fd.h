// One owned file descriptor.

#ifndef TENON_CORE_LOOP_UNIQUE_FD_H_
#define TENON_CORE_LOOP_UNIQUE_FD_H_

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace tenon {

// Owns a file descriptor and closes it exactly once. Preserves errno when it does. Move-only.
class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes ownership; a negative value owns nothing.
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    UniqueFd(std::move(other)).swap(*this);
    return *this;
  }
  ~UniqueFd() { Reset(); }

  // The descriptor, still owned here, or -1.
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

  // Gives up ownership to the caller.
  [[nodiscard]] int Release() { return std::exchange(fd_, -1); }

  // Closes what is owned. On Linux close(2) frees the descriptor even when it reports EINTR or an
  // error, so it is never retried.
  void Reset() {
    if (fd_ < 0) return;
    const int saved_errno = errno;
    ::close(std::exchange(fd_, -1));
    errno = saved_errno;
  }

 private:
  void swap(UniqueFd& other) noexcept { std::swap(fd_, other.fd_); }

  int fd_ = -1;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_UNIQUE_FD_H_
