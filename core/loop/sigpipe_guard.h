// Keeps SIGPIPE from whoever writes to a pipe that nobody reads (CMP-6).

#ifndef TENON_CORE_LOOP_SIGPIPE_GUARD_H_
#define TENON_CORE_LOOP_SIGPIPE_GUARD_H_

#include <signal.h>
#include <time.h>

#include <cerrno>
#include <cstdint>

namespace tenon {

// Blocks SIGPIPE in this thread while it lives. Sockets have MSG_NOSIGNAL; for pipes there is no
// flag before Linux 6.18, and the disposition of the signal is the application's.
//
// Threads: one; destroyed on the thread that made it.
class SigpipeGuard {
 public:
  SigpipeGuard() {
    sigemptyset(&sigpipe_);
    sigaddset(&sigpipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &sigpipe_, &saved_);
  }
  ~SigpipeGuard() { pthread_sigmask(SIG_SETMASK, &saved_, nullptr); }
  SigpipeGuard(const SigpipeGuard&) = delete;
  SigpipeGuard& operator=(const SigpipeGuard&) = delete;

  // Passes on a result; where it is -EPIPE, takes the signal that came with it.
  int32_t Absorb(int32_t result) {
    if (result == -EPIPE) AbsorbPending();
    return result;
  }

  // Takes the signal if it came, unless the application had blocked it and awaits it in its own
  // way.
  void AbsorbPending() {
    if (sigismember(&saved_, SIGPIPE) != 0) return;
    const timespec no_wait = {};
    while (sigtimedwait(&sigpipe_, nullptr, &no_wait) < 0 && errno == EINTR) {
    }
  }

 private:
  sigset_t sigpipe_;
  sigset_t saved_;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_SIGPIPE_GUARD_H_
