// What an application tells a pool about its resources: how they are made, checked and ended.

#ifndef TENON_POOL_POLICY_H_
#define TENON_POOL_POLICY_H_

#include <array>
#include <cstddef>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/status_of.h"
#include "tenon/core/task/task.h"

namespace tenon::pool {

// Where the tasks of a policy run, and where their frames come from: a coroutine that has it as its
// first parameter gets its frame from the pool's allocator.
//
// Ownership: the pool's, which outlives its tasks.
// Threads: the loop's thread.
class PoolStage {
 public:
  PoolStage(Loop& loop, Allocator& allocator) : loop_(loop), allocator_(allocator) {}
  PoolStage(const PoolStage&) = delete;
  PoolStage& operator=(const PoolStage&) = delete;

  Loop& loop() const { return loop_; }
  Allocator& allocator() const { return allocator_; }

 private:
  Loop& loop_;
  Allocator& allocator_;
};

// Remembers how to undo what a creation has done so far. Where Create fails, for whatever reason,
// the pool awaits what was deferred, the last first (POOL-2); where it succeeds, it is forgotten,
// and Destroy is in charge.
//
//   Task<> Create(CreateScope& scope, Session& session) override {
//     absl::Status status = scope.Defer(CloseSocket(scope, session));
//     if (!status.ok()) co_return status;
//     session.socket = …;                     // undone from here on
//     status = scope.Defer(LogOut(scope, session));
//     …
//   }
class CreateScope : public PoolStage {
 public:
  static constexpr size_t kMaxSteps = 8;

  using PoolStage::PoolStage;

  // Registers the task that undoes a step. It is to be made and registered *before* the step is
  // taken, so that the step cannot be taken and then be without an undoing for want of memory: the
  // task begins only when it is needed, finds out from the resource how far the step came, and is
  // not asked to stop together with the creation. ResourceExhausted, without a message, where it
  // has no frame; OutOfRange beyond kMaxSteps.
  absl::Status Defer(Task<> undo) noexcept {
    if (!undo.has_frame()) return undo.TakeResult();
    if (steps_ == kMaxSteps) {
      return StatusOf(absl::StatusCode::kOutOfRange, "a CreateScope has eight steps at most");
    }
    undo_[steps_++].emplace(std::move(undo));
    return absl::OkStatus();
  }

  size_t steps() const { return steps_; }

  // ---- For the pool. ----

  // REQUIRES: steps() > 0.
  Task<> TakeLast() noexcept {
    std::optional<Task<>>& last = undo_[--steps_];
    Task<> task = *std::move(last);
    last.reset();
    return task;
  }
  void Forget() noexcept {
    while (steps_ > 0) undo_[--steps_].reset();
  }

 private:
  std::array<std::optional<Task<>>, kMaxSteps> undo_;
  size_t steps_ = 0;
};

// A policy as the pool sees it, without the type of the resource. Applications derive from
// PoolPolicy.
class ResourcePolicy {
 public:
  virtual ~ResourcePolicy() = default;

  virtual Layout ResourceLayout() const noexcept = 0;
  virtual void ConstructIn(void* memory) noexcept = 0;
  virtual void DestructIn(void* memory) noexcept = 0;
  virtual Task<> CreateIn(CreateScope& scope, void* memory) noexcept = 0;
  virtual Task<> ValidateIn(PoolStage& stage, void* memory) noexcept = 0;
  virtual Task<> ResetIn(PoolStage& stage, void* memory) noexcept = 0;
  virtual Task<> DestroyIn(PoolStage& stage, void* memory) noexcept = 0;
};

// How resources of type T are made, checked, and ended.
//
// A T is constructed by the pool, in place, and does not move until it is destructed: what Create
// does is to fill it in, such as by connecting. Create is called once for it; then, where it
// succeeded, any number of Validate and Reset, and in the end Destroy once (POOL-21).
//
// Ownership: the pool owns each T; the application owns the policy, which outlives the pool.
// Threads: the loop's thread; a pool has many of these tasks at a time, one for each resource.
// Reentrancy: a task may use the pool, also acquire from it.
// Shutdown: Pool::Close asks Create, Validate and Reset to stop, and Drain, past its deadline,
//   Destroy and what was deferred as well. All of them are awaited nevertheless. They are not
//   asked to stop because an acquirer was (POOL-14). A task that might never end sets itself a
//   deadline (WithDeadline): while it is pending its resource has its permit (POOL-10).
template <typename T>
class PoolPolicy : public ResourcePolicy {
 public:
  static_assert(std::is_nothrow_default_constructible_v<T>,
                "the pool constructs a T in place, for Create to fill in");
  static_assert(std::is_nothrow_destructible_v<T>);

  // Makes the resource. An error means that there is none, and that what had been done by then is
  // undone by what was deferred. It is what acquirers are told, see PoolOptions::create_attempts.
  virtual Task<> Create(CreateScope& scope, T& resource) = 0;

  // OK where the resource may be leased; else it is destroyed (POOL-7).
  virtual Task<> Validate(PoolStage& stage, T& resource) { return Succeed(stage, resource); }

  // Makes it ready for the next holder; else it is destroyed (POOL-7).
  virtual Task<> Reset(PoolStage& stage, T& resource) { return Succeed(stage, resource); }

  // Ends the resource. A coroutine, whose frame is made *before* the resource is created, so that
  // it cannot be missing when it is needed: its body begins when the resource is to end. An error
  // is counted, and the resource is destructed all the same.
  virtual Task<> Destroy(PoolStage& stage, T& resource) = 0;

 private:
  static Task<> Succeed(PoolStage&, T&) { co_return absl::OkStatus(); }
  static T& In(void* memory) { return *std::launder(static_cast<T*>(memory)); }

  Layout ResourceLayout() const noexcept final {
    return {.size = sizeof(T), .alignment = alignof(T)};
  }
  void ConstructIn(void* memory) noexcept final { ::new (memory) T(); }
  void DestructIn(void* memory) noexcept final { In(memory).~T(); }
  Task<> CreateIn(CreateScope& scope, void* memory) noexcept final {
    return Create(scope, In(memory));
  }
  Task<> ValidateIn(PoolStage& stage, void* memory) noexcept final {
    return Validate(stage, In(memory));
  }
  Task<> ResetIn(PoolStage& stage, void* memory) noexcept final { return Reset(stage, In(memory)); }
  Task<> DestroyIn(PoolStage& stage, void* memory) noexcept final {
    return Destroy(stage, In(memory));
  }
};

}  // namespace tenon::pool

#endif  // TENON_POOL_POLICY_H_
