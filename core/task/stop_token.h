// Asking for work to stop, on one thread, without allocating: a source, tokens that refer to it,
// and callbacks that hang on it.

#ifndef TENON_CORE_TASK_STOP_TOKEN_H_
#define TENON_CORE_TASK_STOP_TOKEN_H_

#include "absl/log/check.h"
#include "tenon/core/loop/intrusive_list.h"

namespace tenon {

class StopCallback;
class StopToken;

// Where stopping is asked for, at most once and for good.
//
// Ownership: outlives its tokens' use and its callbacks; destroying it while a callback is
//   registered is caught by a CHECK.
// Threads: one, the loop's.
// Reentrancy: a callback may register and unregister callbacks, itself and others included, and may
//   request the stop again; it may not destroy the source.
// Shutdown: has nothing to shut down.
//
//   StopSource source;
//   StopCallback callback([](StopCallback&) { LOG(INFO) << "asked to stop"; });
//   callback.Register(source.token());
//   source.RequestStop();
class StopSource {
 public:
  StopSource() = default;
  ~StopSource() {
    CHECK(callbacks_.empty() && !running_)
        << "a StopSource is destroyed while callbacks are registered with it";
  }
  StopSource(const StopSource&) = delete;
  StopSource& operator=(const StopSource&) = delete;

  // Runs every registered callback, in the order of registration, each at most once, before it
  // returns. Asking again has no effect, also from a callback (CAN-2).
  void RequestStop() noexcept;

  bool stop_requested() const { return stop_requested_; }
  StopToken token() noexcept;

 private:
  friend class StopCallback;

  IntrusiveList<StopCallback> callbacks_;
  bool stop_requested_ = false;
  bool running_ = false;
};

// Refers to a source, or to none: then no stop is ever requested. A small value, freely copied.
class StopToken {
 public:
  StopToken() = default;

  bool stop_requested() const { return source_ != nullptr && source_->stop_requested(); }
  // Whether there is a source.
  bool can_stop() const { return source_ != nullptr; }

  friend bool operator==(const StopToken&, const StopToken&) = default;

 private:
  friend class StopSource;
  friend class StopCallback;

  explicit StopToken(StopSource* source) : source_(source) {}

  StopSource* source_ = nullptr;
};

// A function to be called when a stop is requested. Pinned in memory of the caller: a class that
// wants to know of stops derives from it, or has it as a member.
//
// Ownership: the caller's; its destructor unregisters it.
// Threads: the source's.
// Reentrancy: unregistered before its function runs, which may therefore destroy it.
class StopCallback : private ListLink<StopCallback> {
 public:
  using Function = void (*)(StopCallback& callback);

  explicit StopCallback(Function function) : function_(function) {}
  ~StopCallback() { Unregister(); }
  StopCallback(const StopCallback&) = delete;
  StopCallback& operator=(const StopCallback&) = delete;

  // Has the function called once when the stop is requested: now, where it has been already.
  // REQUIRES: not registered.
  void Register(StopToken token) noexcept {
    DCHECK(!registered());
    if (token.source_ == nullptr) return;
    if (token.source_->stop_requested_) {
      function_(*this);
      return;
    }
    token.source_->callbacks_.PushBack(*this);
  }

  // The function is not called any more. No effect when not registered.
  void Unregister() noexcept {
    if (registered()) IntrusiveList<StopCallback>::Remove(*this);
  }

  bool registered() const { return IntrusiveList<StopCallback>::Contains(*this); }

 private:
  friend class StopSource;
  template <typename>
  friend class IntrusiveList;

  Function function_;
};

inline StopToken StopSource::token() noexcept { return StopToken(this); }

inline void StopSource::RequestStop() noexcept {
  if (stop_requested_) return;
  stop_requested_ = true;
  running_ = true;
  // Whatever a callback does to the list, its new front is the next one to run.
  while (StopCallback* callback = callbacks_.PopFront()) callback->function_(*callback);
  running_ = false;
}

}  // namespace tenon

#endif  // TENON_CORE_TASK_STOP_TOKEN_H_
