#include "tenon/pool/engine/roster.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/log/check.h"
#include "tenon/core/memory/status_of.h"

namespace tenon::pool {
namespace {

// `retry_min_ns` doubled by each failure after the first, up to `retry_max_ns`.
int64_t RetryDelay(const PoolOptions& options, uint64_t failures) {
  int64_t delay_ns = options.retry_min_ns;
  for (uint64_t i = 1; i < failures && delay_ns < options.retry_max_ns; ++i) {
    if (delay_ns > options.retry_max_ns / 2) return options.retry_max_ns;
    delay_ns *= 2;
  }
  return delay_ns;
}

}  // namespace

Roster::Roster(RosterHost& host, const PoolOptions& options, SlotTable& slots)
    : host_(host),
      options_(options),
      slots_(slots),
      random_(options.seed),
      closed_error_(StatusOf(absl::StatusCode::kFailedPrecondition, "the pool is closed")) {}

Roster::~Roster() { empty_.Abandon(); }

void Roster::Start() noexcept {
  counts_[SlotState::kEmpty] = slots_.size();
  for (uint32_t i = 0; i < slots_.size(); ++i) empty_.PushBack(slots_[i]);
  Replenish();
}

// ---- Acquiring ----

Slot* Roster::TryAcquire(std::source_location site) noexcept {
  // What is closed has nothing idle.
  if (!waiters_.empty() || options_.check_on_acquire) return nullptr;
  Slot* const slot = PopIdle();
  if (slot == nullptr) return nullptr;
  ++stats_.acquires;
  Lend(*slot, site);
  return slot;
}

bool Roster::Acquire(AcquireNode& node) noexcept {
  if (Slot* const slot = TryAcquire(node.site())) {
    node.Answer(*slot);
    return true;
  }
  ++stats_.acquires;
  if (closed_) {
    ++stats_.refused;
    node.Answer(closed_error_);
    return true;
  }
  node.SetTicket(++last_ticket_);
  node.SetWaiting(true);
  waiters_.PushBack(node);
  ++stats_.waiting;
  ++acquirers_;
  // Also where enough is being validated: that might not end.
  if (options_.check_on_acquire) CheckIdle();
  Replenish();
  return false;
}

bool Roster::Withdraw(AcquireNode& node, WithdrawReason reason, AcquireDiagnosis& why) noexcept {
  if (!node.waiting()) return false;
  IntrusiveList<AcquireNode>::Remove(node);
  node.SetWaiting(false);
  --stats_.waiting;
  if (checking_ > 0) --checking_;
  if (making_ > 0) --making_;
  if (reason == WithdrawReason::kCancelled) {
    ++stats_.cancelled;
  } else {
    ++stats_.timeouts;
    Diagnose(why);
  }
  return true;
}

bool Roster::Take(AcquireNode& node) noexcept {
  node.SetWakePending(false);
  if (node.waiting()) return false;
  if (node.slot() != nullptr) Lend(*node.slot(), node.site());
  --acquirers_;
  if (drained()) host_.SchedulePump();
  return true;
}

void Roster::Lend(Slot& slot, std::source_location site) {
  Move(slot, SlotEvent::kLease);
  ++stats_.leases;
  slot.site = site;
  slot.leased_at_ns = host_.LeaseTime();
}

AcquireNode& Roster::PopWaiter() {
  AcquireNode& node = *waiters_.PopFront();
  node.SetWaiting(false);
  --stats_.waiting;
  return node;
}

void Roster::Requeue(AcquireNode& node) {
  IntrusiveList<AcquireNode> front;
  while (!waiters_.empty() && waiters_.front().ticket() < node.ticket()) {
    front.PushBack(*waiters_.PopFront());
  }
  front.PushBack(node);
  front.Append(waiters_);
  waiters_.Append(front);
  node.SetWaiting(true);
  ++stats_.waiting;
}

void Roster::Wake(AcquireNode& node) {
  if (node.wake_pending()) return;
  node.SetWakePending(true);
  host_.Wake(node);
}

void Roster::Revoke(Slot& slot) {
  AcquireNode& node = *slot.waiter;
  node.TakeBackAnswer();
  Discard(slot);
  if (closed_) {
    ++stats_.refused;
    node.Answer(closed_error_);
  } else {
    Requeue(node);
  }
}

Slot* Roster::PopIdle() {
  // What is over stays for Maintain, which does not end it before its time has come (POOL-17).
  IntrusiveList<Slot> over;
  Slot* slot = idle_.PopFront();
  while (slot != nullptr && LifetimeOver(*slot)) {
    over.PushBack(*slot);
    slot = idle_.PopFront();
  }
  idle_.Append(over);
  return slot;
}

// ---- Returning ----

void Roster::Return(Slot& slot) noexcept {
  ++stats_.returns;
  if (HasTime()) slot.idle_since_ns = host_.Now();
  if (closed_ || Stale(slot) || kept() > options_.max) {
    Discard(slot);
  } else if (options_.reset_on_return) {
    Pend(slot, SlotEvent::kReset);
  } else {
    PlaceReset(slot);
  }
  Replenish();
}

void Roster::PlaceReset(Slot& slot) {
  if (options_.check_on_return) {
    Pend(slot, SlotEvent::kValidate);
  } else {
    Place(slot, false);
  }
}

void Roster::Place(Slot& slot, bool checked) {
  if (closed_ || Stale(slot) || kept() > options_.max) {
    Discard(slot);
  } else if (waiters_.empty()) {
    Park(slot);
  } else if (LifetimeOver(slot)) {
    ++stats_.lifetime_expired;
    Discard(slot);
  } else if (options_.check_on_acquire && !checked) {
    Pend(slot, SlotEvent::kValidate);
    Expect(slot);
  } else {
    Move(slot, SlotEvent::kAssign);
    slot.waiter = &PopWaiter();
    slot.waiter->Answer(slot);
    Wake(*slot.waiter);
  }
}

void Roster::Park(Slot& slot) {
  Move(slot, SlotEvent::kPark);
  if (options_.idle_order == IdleOrder::kNewestFirst && !slot.was_idle) {
    idle_.PushFront(slot);
  } else {
    idle_.PushBack(slot);
  }
  if (!HasTime()) return;
  NoteDue(overdue_ && counts_.present() > options_.min ? host_.Now() : slot.expires_at_ns);
  NoteDue(DeadlineAfter(slot.idle_since_ns, options_.idle_ttl_ns));
  NoteDue(DeadlineAfter(std::max(slot.idle_since_ns, slot.checked_at_ns),
                        options_.check_idle_after_ns));
}

// ---- Tasks of the policy ----

Slot* Roster::NextToBegin() noexcept {
  while (Slot* const slot = pending_.PopFront()) {
    --pending_count_;
    switch (slot->state) {
      case SlotState::kReserved:
        if (closed_ || used() > options_.max) {
          Move(*slot, SlotEvent::kForgo);
          empty_.PushFront(*slot);
          continue;
        }
        Move(*slot, SlotEvent::kCreate);
        slot->generation = generation_;
        slot->broken = false;
        slot->was_idle = false;
        slot->site = {};
        return slot;
      case SlotState::kValidating:
      case SlotState::kResetting:
        if (closed_ || Stale(*slot)) Move(*slot, SlotEvent::kDestroy);
        return slot;
      default:
        return slot;
    }
  }
  return nullptr;
}

void Roster::TaskEnded(Slot& slot, absl::Status& status) noexcept {
  switch (slot.state) {
    case SlotState::kCreating:
      status.ok() ? Created(slot) : CreationFailed(slot, status);
      break;
    case SlotState::kValidating:
      if (HasTime()) slot.checked_at_ns = host_.Now();
      if (status.ok()) {
        Place(slot, true);
      } else {
        ++stats_.validate_failures;
        Discard(slot);
      }
      slot.was_idle = false;
      break;
    case SlotState::kResetting:
      if (status.ok()) {
        PlaceReset(slot);
      } else {
        ++stats_.reset_failures;
        Discard(slot);
      }
      break;
    default:
      if (!status.ok()) ++stats_.destroy_failures;
      Move(slot, SlotEvent::kDestroyed);
      empty_.PushFront(slot);
      // There is room for the replacement of the next.
      if (overdue_) NoteDue(host_.Now());
  }
  Replenish();
  if (drained()) host_.SchedulePump();
}

void Roster::Created(Slot& slot) {
  failures_in_a_row_ = 0;
  if (HasTime()) {
    const int64_t now_ns = host_.Now();
    slot.idle_since_ns = slot.checked_at_ns = now_ns;
    slot.expires_at_ns = DeadlineAfter(now_ns, options_.lifetime_ns);
    if (slot.expires_at_ns != kForeverNs) {
      slot.expires_at_ns -= RandomBelow(options_.lifetime_jitter_ns);
    }
    if (overdue_) NoteDue(now_ns);
  }
  Place(slot, true);
}

void Roster::CreationFailed(Slot& slot, absl::Status& status) {
  const bool counts = failures_in_a_row_ == 0 || &slot == retry_;
  Move(slot, SlotEvent::kFail);
  empty_.PushFront(slot);
  if (closed_) return;
  if (counts) {
    ++failures_in_a_row_;
    retry_at_ns_ = DeadlineAfter(host_.Now(), RetryDelay(options_, failures_in_a_row_));
  }
  if (overdue_) NoteDue(retry_at_ns_);
  std::swap(last_error_, status);
  const bool tell = options_.create_attempts != 0 && failures_in_a_row_ >= options_.create_attempts;
  if (!tell || waiters_.empty()) return;
  ++stats_.failed;
  AcquireNode& node = PopWaiter();
  node.Answer(last_error_);
  Wake(node);
}

void Roster::Replenish() {
  while (options_.check_on_acquire && stats_.waiting > checking_ && CheckIdle()) {
  }
  while (stats_.waiting > checking_ + making_ && (Reserve() || MakeRoom())) {
  }
  if (options_.fill != Fill::kEager) return;
  while (kept() < options_.min && Reserve()) {
  }
}

bool Roster::Reserve() {
  if (closed_ || used() >= options_.max) return false;
  const bool retry = failures_in_a_row_ > 0;
  if (retry) {
    if (retry_ != nullptr) return false;
    if (host_.Now() < retry_at_ns_) {
      NoteDue(retry_at_ns_);
      return false;
    }
  }
  Slot& slot = *empty_.PopFront();
  Pend(slot, SlotEvent::kReserve);
  Expect(slot);
  if (retry) retry_ = &slot;
  return true;
}

bool Roster::CheckIdle() {
  Slot* const slot = PopIdle();
  if (slot == nullptr) return false;
  Pend(*slot, SlotEvent::kValidate);
  Expect(*slot);
  return true;
}

bool Roster::MakeRoom() {
  if (used() < options_.max) return false;
  // Where somebody waits in vain, nothing that may be leased is idle.
  Slot* const slot = idle_.PopFront();
  if (slot == nullptr) return false;
  ++stats_.lifetime_expired;
  Discard(*slot);
  Expect(*slot);
  return true;
}

void Roster::Expect(Slot& slot) {
  slot.expected = true;
  ++ExpectedLike(slot);
}

void Roster::Unexpect(Slot& slot) {
  if (!slot.expected) return;
  slot.expected = false;
  uint32_t& count = ExpectedLike(slot);
  if (count > 0) --count;
}

// ---- Managing ----

void Roster::InvalidateAll() noexcept {
  ++generation_;
  while (Slot* const slot = idle_.PopFront()) Discard(*slot);
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (slot.state == SlotState::kAssigned) Revoke(slot);
    if (slot.state != SlotState::kCreating && slot.state != SlotState::kValidating) continue;
    // What comes of it is of no use to anybody.
    Unexpect(slot);
    if (&slot == retry_) retry_ = nullptr;
  }
  Replenish();
}

void Roster::Resize(uint32_t min, uint32_t max) noexcept {
  options_.min = min;
  options_.max = max;
  while (kept() > options_.max) {
    Slot* const slot = idle_.PopFront();
    if (slot == nullptr) break;
    Discard(*slot);
  }
  if (HasTime()) NoteDue(host_.Now());
  Replenish();
}

void Roster::Close() noexcept {
  if (closed_) return;
  closed_ = true;
  while (!waiters_.empty()) {
    AcquireNode& node = PopWaiter();
    ++stats_.refused;
    node.Answer(closed_error_);
    Wake(node);
  }
  while (Slot* const slot = idle_.PopFront()) Discard(*slot);
  host_.SchedulePump();
}

// ---- Time ----

bool Roster::HasTime() const {
  return options_.idle_ttl_ns != kForeverNs || options_.lifetime_ns != kForeverNs ||
         options_.check_idle_after_ns != kForeverNs;
}

void Roster::NoteDue(int64_t due_ns) {
  if (due_ns >= next_due_ns_) return;
  next_due_ns_ = due_ns;
  host_.SchedulePump();
}

void Roster::Maintain() noexcept {
  next_due_ns_ = kForeverNs;
  overdue_ = false;
  if (closed_) return;
  const int64_t now_ns = host_.Now();
  bool replace = false;
  idle_.ForEach([&](Slot& slot) { MaintainIdle(slot, now_ns, &replace); });
  if (replace && counts_.arriving() == 0) Reserve();
  Replenish();
}

void Roster::MaintainIdle(Slot& slot, int64_t now_ns, bool* replace) {
  const bool spare = counts_.present() > options_.min;
  // With no room for its replacement, one goes before that comes; the next when it has come.
  const bool full =
      used() >= options_.max && counts_.arriving() + counts_[SlotState::kDestroying] == 0;
  const int64_t ttl_due_ns = DeadlineAfter(slot.idle_since_ns, options_.idle_ttl_ns);
  const int64_t check_due_ns =
      DeadlineAfter(std::max(slot.idle_since_ns, slot.checked_at_ns), options_.check_idle_after_ns);
  if (slot.expires_at_ns <= now_ns && (spare || full)) {
    IntrusiveList<Slot>::Remove(slot);
    ++stats_.lifetime_expired;
    Discard(slot);
  } else if (ttl_due_ns <= now_ns && spare) {
    IntrusiveList<Slot>::Remove(slot);
    ++stats_.ttl_expired;
    Discard(slot);
  } else if (check_due_ns <= now_ns) {
    IntrusiveList<Slot>::Remove(slot);
    slot.was_idle = true;
    Pend(slot, SlotEvent::kValidate);
  } else {
    *replace |= slot.expires_at_ns <= now_ns;
    overdue_ |= slot.expires_at_ns <= now_ns || ttl_due_ns <= now_ns;
    if (slot.expires_at_ns > now_ns) NoteDue(slot.expires_at_ns);
    if (ttl_due_ns > now_ns) NoteDue(ttl_due_ns);
    NoteDue(check_due_ns);
  }
}

int64_t Roster::RandomBelow(int64_t bound) {
  if (bound <= 0) return 0;
  // SplitMix64.
  uint64_t bits = random_ += 0x9e3779b97f4a7c15;
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111eb;
  return static_cast<int64_t>((bits ^ (bits >> 31)) % static_cast<uint64_t>(bound));
}

// ---- Books ----

void Roster::Move(Slot& slot, SlotEvent event) {
  const SlotTransition* const transition = NextSlotState(slot.state, event);
  CHECK(transition != nullptr) << "a slot cannot " << SlotEventName(event) << " while it is "
                               << SlotStateName(slot.state);
  if (event != SlotEvent::kCreate) {
    Unexpect(slot);
    if (&slot == retry_) retry_ = nullptr;
  }
  --counts_[slot.state];
  ++counts_[transition->next];
  slot.state = transition->next;
  switch (transition->effect) {
    case SlotEffect::kNone:
      break;
    case SlotEffect::kCreated:
      ++stats_.created;
      break;
    case SlotEffect::kCreationFailed:
      ++stats_.create_failures;
      break;
    case SlotEffect::kDestroyed:
      ++stats_.destroyed;
      break;
  }
}

void Roster::Pend(Slot& slot, SlotEvent event) {
  Move(slot, event);
  pending_.PushBack(slot);
  ++pending_count_;
  host_.SchedulePump();
}

PoolStats Roster::Stats() const noexcept {
  PoolStats stats = stats_;
  stats.slots = counts_;
  return stats;
}

void Roster::VisitUsed(absl::FunctionRef<void(const Slot&)> visit) const {
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    if (slots_[i].state != SlotState::kEmpty) visit(slots_[i]);
  }
}

void Roster::Diagnose(AcquireDiagnosis& why) const {
  why.max = options_.max;
  why.slots = counts_;
  why.waiting = stats_.waiting;
  why.failures_in_a_row = failures_in_a_row_;
  why.last_error = last_error_;
  const int64_t now_ns = host_.Now();
  VisitUsed([&](const Slot& slot) {
    if (slot.state != SlotState::kLeased) return;
    AcquireDiagnosis::Holder holder{.site = slot.site, .held_ns = now_ns - slot.leased_at_ns};
    for (size_t i = 0; i < AcquireDiagnosis::kMaxHolders; ++i) {
      if (i == why.holder_count) {
        why.holders[why.holder_count++] = holder;
        return;
      }
      if (holder.held_ns > why.holders[i].held_ns) std::swap(holder, why.holders[i]);
    }
  });
}

}  // namespace tenon::pool
