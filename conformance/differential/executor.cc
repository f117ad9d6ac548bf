#include "tenon/conformance/differential/executor.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/strings/str_cat.h"
#include "tenon/conformance/differential/script_operation.h"
#include "tenon/conformance/differential/touches.h"
#include "tenon/conformance/differential/world.h"
#include "tenon/conformance/ledger/ledger.h"
#include "tenon/conformance/ledger/tracking_allocator.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance::differential {
namespace {

// Turns without a callback after which the loop counts as quiet, if nothing speaks against it.
constexpr int kQuietTurns = 3;
// Of a wait for something that must come, before the kernel is asked again.
constexpr int64_t kLookAgainNs = kMillisecondNs;
// Written by the other end to race a cancel.
constexpr size_t kRacedBytes = 24;
constexpr uint64_t kRacePattern = 1'000'000;
constexpr uint64_t kPeerPattern = 2'000'000;

constexpr uint32_t kPoolBuffers = 8;
constexpr uint32_t kPoolBufferSize = 64;

class Executor {
 public:
  Executor(Loop& loop, const ExecutionOptions& options, HistoryWriter& history)
      : loop_(loop), options_(options), history_(history), world_(loop) {}

  // False when the loop has stalled, with `reason`.
  bool Run(const Script& script);
  bool Finish();
  const std::string& reason() const { return reason_; }
  // After the loop is gone.
  void CheckBuffers();

 private:
  static void OnComplete(Operation& operation) {
    static_cast<Executor*>(operation.context())->Complete(static_cast<ScriptOperation&>(operation));
  }

  bool RunStep(const Step& step);
  bool MustSettleBefore(const Step& step) const;
  bool EndsWhatIsSplicedInto(const Step& step) const;
  bool ConflictsWithPending(const Step& step, const std::vector<Touch>& touches) const;
  void DoOnEnd(const Step& step, End& end);
  void DoByPeer(const Step& step, End& end, End& peer);
  void Drop(End& end);
  bool CancelByName(int64_t name);
  bool Race(int64_t name);
  void FinishRace(ScriptOperation& operation);
  bool CanRace(const ScriptOperation& operation) const;

  void SubmitStep(const Step& step);
  Step WithinFeatures(Step step) const;
  void SubmitAgain(ScriptOperation& operation);
  void Complete(ScriptOperation& operation);
  void TakeDescriptor(ScriptOperation& operation, Completion& completion);

  bool Settle();
  bool Quiet();
  void ServePumps();
  const ScriptOperation* FirstAble() const;
  void EndPhase();
  ScriptOperation* FindOperation(int64_t name);

  Loop& loop_;
  const ExecutionOptions options_;
  HistoryWriter& history_;
  World world_;
  std::vector<std::unique_ptr<ScriptOperation>> operations_;
  // What was done since the loop last turned.
  std::vector<Touch> recent_;
  bool draining_ = false;
  uint64_t sequence_ = 0;
  uint64_t peer_writes_ = 0;
  int64_t phase_start_ns_ = 0;
  std::string reason_;
};

bool Executor::Run(const Script& script) {
  phase_start_ns_ = loop_.Now();
  for (const Step& step : script) {
    if (!RunStep(step)) return false;
  }
  return Settle();
}

bool Executor::RunStep(const Step& step) {
  if (step.verb == Verb::kSettle) return Settle();
  if (step.verb == Verb::kCancel) return CancelByName(step.arguments[0]);
  if (step.verb == Verb::kRace) return Race(step.arguments[0]);
  if (MustSettleBefore(step) && !Settle()) return false;
  // Not before: the settle may have changed what the step is about.
  if (IsLeftOut(step, world_)) return true;
  const std::vector<Touch> touches = TouchesOf(step, world_);
  if (ConflictsWithPending(step, touches)) return true;
  recent_.insert(recent_.end(), touches.begin(), touches.end());
  if (SpecOf(step.verb).is_operation()) {
    SubmitStep(step);
    return true;
  }
  if (step.verb == Verb::kOpen) {
    world_.Open(step.arguments[0], static_cast<EndKind>(step.arguments[1]));
    return true;
  }
  End* const end = world_.Find(step.arguments[step.verb == Verb::kAdoptPeer ? 1 : 0]);
  if (end != nullptr && !end->closed) DoOnEnd(step, *end);
  return true;
}

// Whether a step must not meet what was done since the loop last turned.
bool Executor::MustSettleBefore(const Step& step) const {
  for (const Touch& touch : TouchesOf(step, world_)) {
    for (const Touch& recent : recent_) {
      if (!Compatible(recent, touch)) return true;
    }
  }
  return false;
}

// One of kOmissions.
bool Executor::EndsWhatIsSplicedInto(const Step& step) const {
  const bool drops = step.verb == Verb::kDrop || step.verb == Verb::kClose;
  if (!drops && step.verb != Verb::kPeerClose) return false;
  const End* end = world_.Find(step.arguments[step.verb == Verb::kClose ? 1 : 0]);
  if (end != nullptr && !drops) end = end->peer;
  return end != nullptr && std::any_of(operations_.begin(), operations_.end(), [end](auto& each) {
           const bool splices = each->pending && each->verb() == Verb::kSplice;
           return splices && each->second() != nullptr && each->second()->peer == end;
         });
}

// Whether a step must not meet what is still pending.
bool Executor::ConflictsWithPending(const Step& step, const std::vector<Touch>& touches) const {
  if (EndsWhatIsSplicedInto(step)) return true;
  const bool ends = std::any_of(touches.begin(), touches.end(), [](const Touch& touch) {
    return touch.manner == Manner::kEnd || touch.manner == Manner::kRead;
  });
  // A Connect ends what its socket was, which nothing may be waiting on.
  if (ends && step.verb != Verb::kConnect) return false;
  for (const auto& operation : operations_) {
    if (!operation->pending) continue;
    for (const Touch& held : operation->touches()) {
      for (const Touch& touch : touches) {
        if (!Compatible(held, touch)) return true;
      }
    }
  }
  return false;
}

void Executor::DoOnEnd(const Step& step, End& end) {
  switch (step.verb) {
    case Verb::kDrop:
      return Drop(end);
    case Verb::kPeerConnect:
      if (end.kind == kListener) world_.ConnectTo(end);
      return;
    default:
      if (end.peer != nullptr && end.peer->plain.ok()) DoByPeer(step, end, *end.peer);
      return;
  }
}

void Executor::DoByPeer(const Step& step, End& end, End& peer) {
  const std::string who = absl::StrCat("peer of h", step.arguments[0]);
  switch (step.verb) {
    case Verb::kAdoptPeer:
      return world_.AdoptPlain(step.arguments[0], peer);
    case Verb::kPeerWrite: {
      const std::string bytes =
          Pattern(kPeerPattern + ++peer_writes_, static_cast<size_t>(step.arguments[1]));
      // A pipe's reading end, and a folder, take none.
      if (end.kind == kPipeOut) return;
      return history_.Observe(absl::StrCat(who, " wrote: ", world_.WritePlain(peer, bytes)));
    }
    case Verb::kPeerRead: {
      if (end.kind == kPipeIn) return;
      std::string ending;
      const std::string bytes = world_.ReadPlain(peer, &ending);
      return history_.Observe(
          absl::StrCat(who, " read ", BytesText(bytes), ending.empty() ? "" : ", then ", ending));
    }
    case Verb::kPeerShutdown:
      return world_.ShutdownPlain(peer);
    default:
      return world_.ClosePlain(peer);
  }
}

// Closes a handle of the loop, and everything pending on it.
void Executor::Drop(End& end) {
  loop_.Close(end.handle);
  for (const auto& operation : operations_) {
    const bool named = operation->end() == &end || operation->second() == &end;
    if (operation->pending && named) operation->cancelled = true;
  }
  end.closed = true;
  end.ended = true;
}

ScriptOperation* Executor::FindOperation(int64_t name) {
  for (const auto& operation : operations_) {
    if (operation->name() == name) return operation.get();
  }
  return nullptr;
}

bool Executor::CancelByName(int64_t name) {
  ScriptOperation* operation = FindOperation(name);
  if (operation == nullptr) return true;
  // One that the loop has not turned with cannot have begun. Otherwise it must not be able to
  // complete: that would be a race.
  if (!operation->recent && !recent_.empty() && !Settle()) return false;
  if (operation->verb() != Verb::kClose) operation->cancelled = true;
  if (!operation->recent) {
    for (const Touch& touch : operation->touches()) {
      recent_.push_back({touch.resource, Manner::kEnd});
    }
  }
  loop_.Cancel(*operation);
  return true;
}

// Whether exactly one operation waits for what the other end is about to send.
bool Executor::CanRace(const ScriptOperation& operation) const {
  const End* const end = operation.end();
  if (!operation.pending || end == nullptr || end->closed) return false;
  switch (operation.verb()) {
    case Verb::kAccept:
      if (end->kind != kListener) return false;
      break;
    case Verb::kRecv:
    case Verb::kRecvMsg:
    case Verb::kRead: {
      const End* const peer = end->peer;
      if (peer == nullptr || !peer->plain.ok() || peer->ended) return false;
      // What a peek takes is still there.
      if (operation.verb() != Verb::kRead && operation.step().arguments[3] != 0) return false;
      // A datagram is cut to the buffer.
      if (!end->is_stream() && end->kind != kPipeIn) return false;
      break;
    }
    default:
      return false;
  }
  return std::none_of(operations_.begin(), operations_.end(), [&](const auto& other) {
    return other.get() != &operation && other->pending &&
           (other->end() == end || other->second() == end);
  });
}

bool Executor::Race(int64_t name) {
  if (!recent_.empty() && !Settle()) return false;
  ScriptOperation* const operation = FindOperation(name);
  if (operation == nullptr || !CanRace(*operation)) return true;
  End& end = *operation->end();
  operation->raced = true;
  operation->delivered.clear();
  if (end.kind == kListener) {
    world_.ConnectTo(end);
  } else {
    world_.WritePlain(*end.peer, Pattern(kRacePattern + static_cast<uint64_t>(name), kRacedBytes));
  }
  operation->cancelled = true;
  loop_.Cancel(*operation);
  if (!Settle()) return false;
  FinishRace(*operation);
  return true;
}

// Whoever won, what was sent is in the operation or still there.
void Executor::FinishRace(ScriptOperation& operation) {
  End& end = *operation.end();
  if (end.kind == kListener) {
    UniqueFd left(
        ::accept4(world_.Descriptor(end), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    for (End* client : end.backlog) world_.ClosePlain(*client);
    end.backlog.clear();
    return;
  }
  std::string bytes = operation.delivered;
  if (operation.verb() == Verb::kRecvMsg) bytes = bytes.substr(0, bytes.find("/0/0"));
  bytes += world_.ReadRest(end);
  history_.Observe(
      absl::StrCat("raced o", operation.name(), ": in it and after it ", BytesText(bytes)));
}

Step Executor::WithinFeatures(Step step) const {
  if (step.verb == Verb::kAccept && !options_.multishot) step.arguments[3] = 0;
  if (step.verb == Verb::kRecv) {
    int64_t& mode = step.arguments[4];
    if (mode == kMultishot && !options_.multishot) mode = kPooled;
    if (mode == kPooled && !options_.provided_buffers) mode = kPlain;
    if (mode == kMultishot && !options_.provided_buffers) mode = kPlain;
  }
  return step;
}

void Executor::SubmitStep(const Step& step) {
  operations_.push_back(
      std::make_unique<ScriptOperation>(WithinFeatures(step), world_, &OnComplete, this));
  ScriptOperation& operation = *operations_.back();
  operation.Prepare(phase_start_ns_);
  operation.pending = true;
  operation.recent = true;
  operation.pumps = step.verb == Verb::kPump;
  operation.sequence = ++sequence_;
  loop_.Submit(operation);
  End* const end = operation.end();
  if (step.verb != Verb::kClose || end == nullptr) return;
  for (const auto& other : operations_) {
    if (other->pending && (other->end() == end || other->second() == end)) other->cancelled = true;
  }
  end->closed = true;
  end->ended = true;
}

void Executor::SubmitAgain(ScriptOperation& operation) {
  operation.Prepare(loop_.Now());
  operation.pending = true;
  operation.sequence = ++sequence_;
  loop_.Submit(operation);
}

void Executor::Complete(ScriptOperation& operation) {
  Completion completion = operation.Take(loop_);
  if (!operation.pending) {
    history_.Violation(absl::StrCat("after its final completion: ", CompletionText(completion)));
    return;
  }
  if (operation.recent) {
    history_.Violation(absl::StrCat("before the loop turned: ", CompletionText(completion)));
  }
  TakeDescriptor(operation, completion);
  if (!completion.more) {
    operation.pending = false;
    ++operation.finals;
    const bool goes_on = !draining_ && operation.GoesOn(completion.result);
    if (goes_on) SubmitAgain(operation);
    if (goes_on && operation.verb() == Verb::kPump) return;
  }
  history_.Add(completion);
}

// What Accept, OpenAt and Connect made.
void Executor::TakeDescriptor(ScriptOperation& operation, Completion& completion) {
  const auto& arguments = operation.step().arguments;
  if (completion.result < 0) {
    const bool refused = completion.result == -ECONNREFUSED || completion.result == -ECONNRESET;
    if (operation.verb() == Verb::kConnect && refused) operation.end()->unspecified = true;
    return;
  }
  const End* const to = operation.second();
  if (operation.verb() == Verb::kConnect && to != nullptr && to->kind == kListener) {
    return world_.NoteConnected(*operation.end(), *operation.second());
  }
  if (operation.verb() != Verb::kAccept && operation.verb() != Verb::kOpenAt) return;
  UniqueFd fd(completion.result);
  completion.content =
      (::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0 ? "close-on-exec" : "not close-on-exec";
  if (draining_) return;
  if (operation.verb() == Verb::kOpenAt) {
    return world_.AdoptOpened(arguments[4], std::move(fd));
  }
  if (operation.end() == nullptr) return;
  const int64_t name = arguments[3] != 0 ? 0 : arguments[2];
  world_.AdoptAccepted(
      name, std::move(fd), *operation.end(),
      absl::StrCat("connection ", ++operation.accepted, " of o", operation.name()));
}

// The first operation that is able to complete, and has not; null for none.
const ScriptOperation* Executor::FirstAble() const {
  std::vector<const ScriptOperation*> pending;
  for (const auto& operation : operations_) {
    if (operation->pending) pending.push_back(operation.get());
  }
  std::sort(pending.begin(), pending.end(),
            [](const auto* a, const auto* b) { return a->sequence < b->sequence; });
  std::set<std::string> lanes;
  for (const ScriptOperation* operation : pending) {
    const std::string lane = operation->Lane();
    const bool first = lane.empty() || lane == "timers" || lanes.insert(lane).second;
    if ((first || operation->cancelled) && AbleToComplete(*operation, world_)) return operation;
  }
  return nullptr;
}

// Reads what pumps have sent in this phase, so that there is room for more.
void Executor::ServePumps() {
  for (const auto& operation : operations_) {
    End* const end = operation->pumps ? operation->end() : nullptr;
    if (end == nullptr || end->peer == nullptr || !end->peer->plain.ok()) continue;
    std::string ending;
    operation->pumped += world_.ReadPlain(*end->peer, &ending);
  }
}

bool Executor::Quiet() { return FirstAble() == nullptr && !world_.InTransit(); }

bool Executor::Settle() {
  for (const auto& operation : operations_) operation->recent = false;
  int64_t give_up_ns = DeadlineAfter(loop_.Now(), options_.patience_ns);
  int quiet_turns = 0;
  bool wait = false;
  while (quiet_turns < kQuietTurns) {
    ServePumps();
    const uint64_t ran = loop_.RunOnce(wait ? DeadlineAfter(loop_.Now(), kLookAgainNs) : 0);
    const bool quiet = ran == 0 && Quiet();
    quiet_turns = quiet ? quiet_turns + 1 : 0;
    wait = ran == 0 && !quiet;
    if (ran > 0) give_up_ns = DeadlineAfter(loop_.Now(), options_.patience_ns);
    if (loop_.Now() < give_up_ns) continue;
    const ScriptOperation* const able = FirstAble();
    reason_ = able == nullptr ? "stalled: what was sent, or ended, does not arrive"
                              : absl::StrCat("stalled: ", StepText(able->step()),
                                             able->cancelled ? ", cancelled," : "",
                                             " is able to complete and does not");
    return false;
  }
  EndPhase();
  return true;
}

void Executor::EndPhase() {
  std::string pending;
  for (const auto& operation : operations_) {
    if (operation->pending) {
      absl::StrAppend(&pending, pending.empty() ? "" : " ", "o", operation->name());
    }
    if (std::exchange(operation->pumps, operation->pending && operation->pumps)) {
      history_.Observe(absl::StrCat("pumped by o", operation->name(), ": ",
                                    BytesText(std::exchange(operation->pumped, ""))));
    }
  }
  if (!pending.empty()) history_.Observe(absl::StrCat("pending: ", pending));
  history_.EndPhase();
  recent_.clear();
  phase_start_ns_ = loop_.Now();
}

bool Executor::Finish() {
  draining_ = true;
  for (const auto& operation : operations_) operation->recent = false;
  const absl::Status drained = loop_.Drain(DeadlineAfter(loop_.Now(), options_.patience_ns));
  if (!drained.ok()) {
    reason_ = absl::StrCat("stalled: ", drained.message());
    return false;
  }
  for (const auto& operation : operations_) {
    if (operation->pending) {
      history_.Violation(absl::StrCat("not completed by Drain: ", StepText(operation->step())));
    }
  }
  for (const auto& end : world_.ends()) {
    if (end->in_loop) end->closed = end->ended = true;
  }
  const int64_t give_up_ns = DeadlineAfter(loop_.Now(), options_.patience_ns);
  while (world_.InTransit() && loop_.Now() < give_up_ns) ::sched_yield();
  if (world_.InTransit()) history_.Violation("after Drain, an end does not learn of another's");
  // Ends of different listeners were made in any order.
  std::set<std::string> observations;
  for (const auto& end : world_.ends()) {
    if (!end->plain.ok() || end->kind == kPipeOut) continue;
    std::string ending;
    const std::string bytes = world_.ReadPlain(*end, &ending);
    observations.insert(absl::StrCat(end->label, " read ", BytesText(bytes), ", then ",
                                     ending.empty() ? "nothing yet" : ending));
  }
  for (const std::string& observation : observations) history_.Observe(observation);
  history_.EndPhase();
  return true;
}

void Executor::CheckBuffers() {
  for (const auto& operation : operations_) {
    const std::string damage = operation->BufferDamage();
    if (!damage.empty()) history_.Violation(damage);
  }
}

// With a loop of its own. What kept it from beginning, if anything.
std::string RunOnLoop(const Script& script, const LoopBackendFactory& factory,
                      const ExecutionOptions& options, Allocator& allocator,
                      HistoryWriter& history) {
  const LoopOptions loop_options = {.max_handles = 256, .queue_depth = 16};
  absl::StatusOr<Owned<Loop>> loop = Loop::Create(factory, loop_options, allocator);
  if (!loop.ok()) return absl::StrCat("no loop: ", loop.status().ToString());
  if (options.provided_buffers) {
    const absl::Status status = (*loop)->RegisterBuffers(kPoolBuffers, kPoolBufferSize);
    if (!status.ok()) return absl::StrCat("no buffers: ", status.ToString());
  }
  auto executor = std::make_unique<Executor>(**loop, options, history);
  if (!executor->Run(script) || !executor->Finish()) {
    // What is in flight cannot be taken down: this process ends, with everything in it.
    history.End(executor->reason());
    ::_exit(0);
  }
  const uint32_t lent = static_cast<uint32_t>((*loop)->Stats().buffers_lent);
  if (lent != 0) history.Violation(absl::StrCat(lent, " buffers did not come back"));
  loop->reset();
  executor->CheckBuffers();
  return "";
}

}  // namespace

void Execute(const Script& script, const LoopBackendFactory& factory,
             const ExecutionOptions& options, HistoryWriter& history) {
  TrackingAllocator allocator;
  Ledger ledger(&allocator);
  const std::string end = RunOnLoop(script, factory, options, allocator, history);
  if (end.empty()) {
    for (const std::string& difference : ledger.Differences()) {
      history.Violation(absl::StrCat("left behind: ", difference));
    }
  }
  history.End(end);
}

}  // namespace tenon::conformance::differential
