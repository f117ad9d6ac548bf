#include "tenon/conformance/differential/generate.h"

#include <algorithm>
#include <array>
#include <functional>
#include <initializer_list>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/log/check.h"

namespace tenon::conformance::differential {
namespace {

// Numbers that are the same everywhere, which the distributions of <random> do not promise.
class Random {
 public:
  // Neighbouring seeds must not give the same numbers one place on.
  explicit Random(uint64_t seed) : state_(seed) { state_ = Next() ^ (seed << 32); }

  // From 0 to `count` - 1. REQUIRES: count > 0.
  int64_t Below(int64_t count) {
    return static_cast<int64_t>(Next() % static_cast<uint64_t>(count));
  }
  bool OneIn(int64_t count) { return Below(count) == 0; }

  template <typename T>
  const T& Of(const std::vector<T>& values) {
    return values[static_cast<size_t>(Below(static_cast<int64_t>(values.size())))];
  }
  int64_t Of(std::initializer_list<int64_t> values) {
    return values.begin()[Below(static_cast<int64_t>(values.size()))];
  }

 private:
  // SplitMix64.
  uint64_t Next() {
    uint64_t value = state_ += 0x9e3779b97f4a7c15;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9;
    value = (value ^ (value >> 27)) * 0x94d049bb133111eb;
    return value ^ (value >> 31);
  }

  uint64_t state_;
};

// What the generator believes of a handle.
struct Known {
  int64_t name = 0;
  EndKind kind = kTcp;
  bool closed = false;
};

using Kinds = std::vector<EndKind>;

class Generator {
 public:
  Generator(uint64_t seed, int steps) : random_(seed), steps_(static_cast<size_t>(steps)) {}

  Script Run() {
    const int64_t ends = 2 + random_.Below(4);
    for (int64_t i = 0; i < ends; ++i) Open();
    while (script_.size() < steps_) {
      AddStep();
      if (random_.OneIn(6)) Add(Verb::kSettle);
    }
    script_.resize(steps_);
    return std::move(script_);
  }

 private:
  void Add(Verb verb, std::initializer_list<int64_t> arguments = {}) {
    Step step = {.verb = verb};
    absl::c_copy(arguments, step.arguments.begin());
    script_.push_back(step);
  }

  int64_t NewHandle(EndKind kind) {
    handles_.push_back({.name = ++last_handle_, .kind = kind, .closed = false});
    return last_handle_;
  }
  int64_t NewOperation() { return ++last_operation_; }
  // Of one that takes what arrives, which may then still be waiting for it.
  int64_t NewTaker() {
    takers_.push_back(NewOperation());
    return takers_.back();
  }
  // One of the last few, mostly; now and then any, and one that there is not.
  int64_t AnOperation() {
    const int64_t last = last_operation_ + 1;
    return random_.OneIn(3) ? 1 + random_.Below(last)
                            : std::max<int64_t>(last - random_.Below(6), 1);
  }
  int64_t ATaker() {
    if (takers_.empty()) return AnOperation();
    const auto count = static_cast<int64_t>(takers_.size());
    return takers_[static_cast<size_t>(count - 1 - random_.Below(std::min<int64_t>(count, 4)))];
  }

  void Open() {
    const auto kind = static_cast<EndKind>(random_.Below(kEndKinds.size()));
    Add(Verb::kOpen, {NewHandle(kind), kind});
  }

  // A handle of one of these kinds, mostly; now and then any, closed ones and h0 among them.
  int64_t Pick(const Kinds& kinds) {
    if (random_.OneIn(12)) return random_.Below(last_handle_ + 1);
    std::vector<int64_t> fitting;
    for (const Known& known : handles_) {
      if (!known.closed && absl::c_linear_search(kinds, known.kind)) fitting.push_back(known.name);
    }
    return fitting.empty() ? random_.Below(last_handle_ + 1) : random_.Of(fitting);
  }

  int64_t Directory() { return random_.OneIn(3) ? Pick({kDirectory}) : 0; }

  int64_t Choose(size_t count) { return random_.Below(static_cast<int64_t>(count)); }
  // Mostly the first.
  int64_t Rarely(size_t count) { return random_.OneIn(4) ? Choose(count) : 0; }
  int64_t Size() { return random_.Of({0, 1, 7, 16, 30, 64, 64, 100, 500, 1'024}); }
  int64_t Again() { return random_.OneIn(4) ? random_.Below(4) : 0; }
  // What cannot seek has no offset.
  int64_t SeldomAtStart() { return random_.OneIn(10) ? kAtStart : kAtCurrent; }
  int64_t Path() { return Choose(kPaths.size()); }

  void AddStep();
  void AddPeerStep();
  void AddControl();
  void AddStreamOperation();
  void AddOtherOperation();
  void AddFileOperation();
  void AddPathOperation();

  Random random_;
  const size_t steps_;
  Script script_;
  std::vector<Known> handles_;
  int64_t last_handle_ = 0;
  int64_t last_operation_ = 0;
  std::vector<int64_t> takers_;
};

void Generator::AddStep() {
  const int64_t choice = random_.Below(100);
  if (choice < 5) return Open();
  if (choice < 30) return AddPeerStep();
  if (choice < 42) return AddControl();
  if (choice < 72) return AddStreamOperation();
  if (choice < 82) return AddOtherOperation();
  if (choice < 91) return AddFileOperation();
  AddPathOperation();
}

void Generator::AddPeerStep() {
  const Kinds connected = {kTcp, kUnix, kDatagram, kSeqpacket, kPipeIn, kPipeOut};
  const int64_t choice = random_.Below(20);
  if (choice < 9) {
    Add(Verb::kPeerWrite, {Pick({kTcp, kUnix, kDatagram, kSeqpacket, kPipeIn}), Size()});
  } else if (choice < 13) {
    Add(Verb::kPeerRead, {Pick(connected)});
  } else if (choice < 16) {
    Add(Verb::kPeerConnect, {Pick({kListener})});
  } else if (choice < 18) {
    Add(Verb::kPeerShutdown, {Pick(connected)});
  } else if (choice < 19) {
    Add(Verb::kPeerClose, {Pick(connected)});
  } else {
    const int64_t of = Pick({kTcp, kUnix, kDatagram, kSeqpacket, kPipeIn, kPipeOut});
    const auto known = absl::c_find_if(handles_, [of](const Known& k) { return k.name == of; });
    EndKind kind = known == handles_.end() ? kTcp : known->kind;
    if (kind == kPipeIn || kind == kPipeOut) kind = kind == kPipeIn ? kPipeOut : kPipeIn;
    Add(Verb::kAdoptPeer, {NewHandle(kind), of});
  }
}

void Generator::AddControl() {
  const int64_t choice = random_.Below(10);
  if (choice < 4) {
    Add(Verb::kCancel, {AnOperation()});
  } else if (choice < 7) {
    Add(Verb::kRace, {ATaker()});
  } else {
    const int64_t handle =
        Pick({kTcp, kUnix, kDatagram, kSeqpacket, kPipeIn, kPipeOut, kListener, kSocket, kFile});
    for (Known& known : handles_) {
      if (known.name == handle) known.closed = true;
    }
    if (random_.OneIn(2)) {
      Add(Verb::kDrop, {handle});
    } else {
      Add(Verb::kClose, {NewOperation(), handle});
    }
  }
}

void Generator::AddStreamOperation() {
  const Kinds sockets = {kTcp, kUnix, kDatagram, kSeqpacket, kSocket};
  const int64_t choice = random_.Below(13);
  const bool takes = choice < 3 || choice == 5 || choice == 8 || choice == 9;
  const int64_t operation = takes ? NewTaker() : NewOperation();
  switch (choice) {
    case 0:
    case 1:
    case 2: {
      const int64_t mode = Rarely(kRecvModes.size());
      Add(Verb::kRecv,
          {operation, Pick(sockets), Size(), Rarely(kRecvFlags.size()), mode, Again()});
      return;
    }
    case 3:
    case 4:
      return Add(Verb::kSend, {operation, Pick(sockets), Size(), Rarely(kSendFlags.size())});
    case 5:
      return Add(Verb::kRecvMsg, {operation, Pick(sockets), Size(), Rarely(kRecvFlags.size())});
    case 6:
      return Add(Verb::kSendMsg, {operation, Pick(sockets), Size()});
    case 7:
      return Add(Verb::kShutdown,
                 {operation, Pick({kTcp, kUnix, kSeqpacket}), Choose(kShutdownHows.size())});
    case 8:
    case 9:
      return Add(Verb::kRead,
                 {operation, Pick({kPipeIn, kTcp, kUnix}), Size(), SeldomAtStart(), Again()});
    case 10:
      return Add(Verb::kWrite, {operation, Pick({kPipeOut, kTcp, kUnix}), Size(), SeldomAtStart()});
    case 11:
      return Add(Verb::kPump,
                 {operation, Pick({kPipeOut, kTcp, kUnix}), random_.Of({5'000, 300'000, 800'000})});
    default:
      return Add(Verb::kSplice, {operation, Pick({kPipeIn, kTcp, kUnix, kFile}),
                                 Pick({kPipeOut, kTcp, kFile}), Size()});
  }
}

void Generator::AddOtherOperation() {
  const int64_t operation = NewOperation();
  switch (random_.Below(10)) {
    case 0:
      return Add(Verb::kNop, {operation, Again()});
    case 1:
    case 2:
      return Add(Verb::kTimer, {operation, Choose(kTimerDelays.size()), Again()});
    case 3:
    case 4:
    case 5:
      return Add(
          Verb::kPoll,
          {operation, Pick({kTcp, kUnix, kDatagram, kPipeIn, kPipeOut, kListener, kSocket, kFile}),
           Choose(kPollEvents.size())});
    case 6:
    case 7: {
      const int64_t as = random_.OneIn(2) ? NewHandle(kTcp) : 0;
      const int64_t multishot = as == 0 && random_.OneIn(2) ? 1 : 0;
      takers_.push_back(operation);
      return Add(Verb::kAccept, {operation, Pick({kListener}), as, multishot});
    }
    case 8:
      return Add(Verb::kConnect,
                 {operation, Pick({kSocket}), random_.OneIn(4) ? 0 : Pick({kListener})});
    default:
      return Add(Verb::kWork, {operation, random_.Below(100)});
  }
}

void Generator::AddFileOperation() {
  const int64_t operation = NewOperation();
  const int64_t offset = Choose(kOffsets.size());
  switch (random_.Below(7)) {
    case 0:
    case 1:
    case 2:
      return Add(Verb::kRead, {operation, Pick({kFile, kDirectory}), Size(), offset, Again()});
    case 3:
    case 4:
    case 5:
      return Add(Verb::kWrite, {operation, Pick({kFile}), Size(), offset});
    default:
      return Add(Verb::kFsync, {operation, Pick({kFile, kDirectory, kPipeIn, kTcp}), Choose(2)});
  }
}

void Generator::AddPathOperation() {
  const int64_t operation = NewOperation();
  switch (random_.Below(8)) {
    case 0:
    case 1:
    case 2: {
      const int64_t directory = Directory();
      const int64_t as = random_.OneIn(2) ? NewHandle(kFile) : 0;
      return Add(Verb::kOpenAt, {operation, directory, Path(), Choose(kOpenModes.size()), as});
    }
    case 3:
    case 4:
      return Add(Verb::kStatx, {operation, Directory(), Path()});
    case 5:
      return Add(Verb::kRename, {operation, Directory(), Path(), Path(), Choose(2)});
    case 6:
      return Add(Verb::kUnlink, {operation, Directory(), Path(), Choose(2)});
    default:
      return Add(Verb::kMkdir, {operation, Directory(), Path()});
  }
}

}  // namespace

Script Generate(uint64_t seed, int steps) {
  CHECK(steps >= 1 && steps <= kMaxSteps) << steps;
  return Generator(seed, steps).Run();
}

}  // namespace tenon::conformance::differential
