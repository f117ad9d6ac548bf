// A file descriptor with one owner.

#ifndef TENON_TOOLS_BENCH_DESCRIPTOR_H_
#define TENON_TOOLS_BENCH_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace tenon::bench {

// Closes its descriptor when it is destroyed; -1 is none.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { Reset(); }

  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }

 private:
  int fd_ = -1;
};

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_DESCRIPTOR_H_
