#include "tenon/runtime/loop_group.h"

#include <pthread.h>
#include <sched.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/log/check.h"
#include "absl/log/log.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tenon/core/loop/os_error.h"

namespace tenon::runtime {
namespace {

// The processors that this thread may run on.
absl::StatusOr<std::vector<int>> UsableProcessors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof(set), &set) != 0) return OsError(errno, "sched_getaffinity");
  std::vector<int> processors;
  for (int i = 0; i < CPU_SETSIZE; ++i) {
    if (CPU_ISSET(i, &set)) processors.push_back(i);
  }
  return processors;
}

absl::Status PinThisThread(int processor) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(processor, &set);
  const int errnum = ::pthread_setaffinity_np(::pthread_self(), sizeof(set), &set);
  if (errnum == 0) return absl::OkStatus();
  return OsError(
      errnum, absl::StrCat("pthread_setaffinity_np to processor ", processor),
      "the processor is not for this process to use; set LoopGroupOptions::pin to false");
}

absl::Status OfLoop(uint32_t index, const absl::Status& status) {
  if (status.ok()) return status;
  return absl::Status(status.code(), absl::StrCat("loop ", index, ": ", status.message()));
}

// Destroys what a loop had its memory from.
void EndAllocator(uint32_t index, AllocatorStack& allocator) {
  if (!allocator.has_value()) return;
  if (const AllocatorStats stats = allocator->Stats(); stats.live_blocks > 0) {
    LOG(ERROR) << "loop " << index << " ends with " << stats.live_bytes << " bytes in "
               << stats.live_blocks << " blocks that were not freed";
  }
  allocator.Reset();
}

// Calls a function on the thread of a running loop, and waits until it has returned.
void CallOn(Loop& loop, absl::FunctionRef<void(Loop&)> function) {
  struct Call {
    absl::FunctionRef<void(Loop&)> function;
    Loop& loop;
    absl::Notification returned;
  };
  Call call{function, loop, {}};
  PostedTask task(
      [](PostedTask& posted) {
        Call& made = *static_cast<Call*>(posted.context());
        made.function(made.loop);
        made.returned.Notify();
      },
      &call);
  CHECK(loop.Post(task));
  call.returned.WaitForNotification();
}

}  // namespace

absl::StatusOr<std::unique_ptr<LoopGroup>> LoopGroup::Start(const LoopGroupOptions& options) {
  absl::StatusOr<std::vector<int>> processors = UsableProcessors();
  if (!processors.ok()) return std::move(processors).status();
  const size_t count = options.loops == 0 ? processors->size() : options.loops;
  if (count > kMaxLoops) {
    return absl::InvalidArgumentError(
        absl::StrCat("LoopGroupOptions.loops is ", count, "; it must be at most ", kMaxLoops));
  }
  std::unique_ptr<LoopGroup> group(new LoopGroup(options));
  for (uint32_t i = 0; i < count; ++i) {
    const int processor = options.pin ? (*processors)[i % processors->size()] : -1;
    if (absl::Status status = group->StartMember(i, processor); !status.ok()) {
      return OfLoop(i, status);
    }
  }
  return group;
}

absl::Status LoopGroup::StartMember(uint32_t index, int processor) {
  auto owned = std::make_unique<Member>();
  Member& member = *owned;
  member.index = index;
  member.processor = processor;
  try {
    member.thread = std::thread([this, &member] { RunMember(member); });
  } catch (const std::system_error& error) {
    return OsError(error.code().value(), "a thread");
  }
  absl::Status status;
  {
    absl::MutexLock lock(&member.mutex);
    member.mutex.Await(absl::Condition(&member.opened));
    status = member.status;
  }
  if (status.ok()) {
    members_.push_back(std::move(owned));
  } else {
    member.thread.join();
  }
  return status;
}

absl::Status LoopGroup::OpenMember(const Member& member, AllocatorStack& allocator,
                                   Owned<Loop>& loop) {
  if (member.processor >= 0) {
    if (absl::Status status = PinThisThread(member.processor); !status.ok()) return status;
  }
  LoopConfig config = {
      .backend = options_.backend, .options = options_.loop, .allocator = options_.allocator};
  if (!options_.allocator_spec.empty()) {
    absl::StatusOr<AllocatorStack> own = OpenAllocator(options_.allocator_spec);
    if (!own.ok()) return std::move(own).status();
    allocator = *std::move(own);
    config.allocator = &allocator.get();
  }
  absl::StatusOr<Owned<Loop>> opened = OpenLoop(config);
  if (opened.ok()) loop = *std::move(opened);
  return opened.status();
}

void LoopGroup::RunMember(Member& member) {
  AllocatorStack allocator;
  Owned<Loop> loop;
  absl::Status status = OpenMember(member, allocator, loop);
  {
    absl::MutexLock lock(&member.mutex);
    member.loop = loop.get();
    member.status = status;
    member.opened = true;
  }
  if (!status.ok()) return;
  while (true) {
    loop->Run(RunUntil::kStopped);
    int64_t timeout_ns = 0;
    {
      absl::MutexLock lock(&member.mutex);
      if (member.command != Command::kDrain) continue;
      timeout_ns = member.drain_timeout_ns;
    }
    status = loop->Drain(DeadlineAfter(loop->Now(), timeout_ns));
    // Before whoever waits for the drain may go on and free what the loop's allocator stands on.
    if (status.ok()) {
      loop.reset();
      EndAllocator(member.index, allocator);
    }
    absl::MutexLock lock(&member.mutex);
    member.command = Command::kRun;
    member.status = status;
    member.drained = status.ok();
    if (member.drained) return;
  }
}

absl::Status LoopGroup::AwaitDrain(Member& member) {
  absl::MutexLock lock(&member.mutex);
  const auto answered = [&member]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(member.mutex) {
    return member.command == Command::kRun;
  };
  member.mutex.Await(absl::Condition(&answered));
  return member.status;
}

absl::Status LoopGroup::Drain(int64_t timeout_ns) {
  for (const std::unique_ptr<Member>& member : members_) {
    absl::MutexLock lock(&member->mutex);
    if (member->drained) continue;
    member->command = Command::kDrain;
    member->drain_timeout_ns = timeout_ns;
    // The thread ends its loop only after it has seen the command, which is under this lock.
    member->loop->Stop();
  }
  absl::Status result;
  for (const std::unique_ptr<Member>& member : members_) {
    result.Update(OfLoop(member->index, AwaitDrain(*member)));
    absl::MutexLock lock(&member->mutex);
    if (!member->drained) continue;
    member->loop = nullptr;
  }
  for (const std::unique_ptr<Member>& member : members_) {
    if (member->loop == nullptr && member->thread.joinable()) member->thread.join();
  }
  return result;
}

LoopGroup::~LoopGroup() {
  const absl::Status status = Drain();
  CHECK(status.ok()) << status;
}

absl::StatusOr<SocketAddress> LoopGroup::Listen(const SocketAddress& address, ListenOptions options,
                                                OnListener on_listener, void* context) {
  options.reuse_port = true;
  // All sockets before any loop hears of one, and all handles before any callback, so that a
  // failure leaves nothing to take back.
  SocketAddress bound = address;
  std::vector<UniqueFd> sockets;
  for (const std::unique_ptr<Member>& member : members_) {
    absl::StatusOr<UniqueFd> socket = ListenTcp(bound, options);
    if (!socket.ok()) return OfLoop(member->index, socket.status());
    absl::StatusOr<SocketAddress> actual = SocketAddress::OfSocket(socket->get());
    if (!actual.ok()) return OfLoop(member->index, actual.status());
    bound = *actual;
    sockets.push_back(*std::move(socket));
  }
  absl::Status status;
  std::vector<Handle> listeners(members_.size());
  for (size_t i = 0; i < members_.size() && status.ok(); ++i) {
    CallOn(*members_[i]->loop, [&](Loop& loop) {
      absl::StatusOr<Handle> handle = loop.Adopt(std::move(sockets[i]));
      if (handle.ok()) listeners[i] = *handle;
      status = OfLoop(members_[i]->index, handle.status());
    });
  }
  for (size_t i = 0; i < members_.size(); ++i) {
    CallOn(*members_[i]->loop, [&](Loop& loop) {
      if (status.ok()) {
        on_listener(loop, listeners[i], members_[i]->index, context);
      } else {
        loop.Close(listeners[i]);
      }
    });
  }
  if (!status.ok()) return status;
  return bound;
}

}  // namespace tenon::runtime
