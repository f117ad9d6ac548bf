#include "tenon/conformance/differential/touches.h"

namespace tenon::conformance::differential {
namespace {

// Everything that has a name in the folder, and the files that were opened by one.
constexpr uint64_t kNamespace = 0;

// What arrives at an end, or a file that was opened without a path of kPaths.
uint64_t Into(const End& end) { return end.by_path ? kNamespace : end.number; }

Manner Producing(const End& receiver) {
  return receiver.in_loop ? Manner::kProduceInLoop : Manner::kProduce;
}

std::vector<Touch> Ending(const End& end) {
  std::vector<Touch> touches = {{Into(end), Manner::kEnd}};
  if (end.peer != nullptr) touches.push_back({Into(*end.peer), Manner::kEnd});
  return touches;
}

std::vector<Touch> Sending(const End& end) {
  if (end.peer == nullptr) return {};
  return {{Into(*end.peer), Producing(*end.peer)}};
}

std::vector<Touch> Watching(const End& end) {
  std::vector<Touch> touches = {{Into(end), Manner::kObserve}};
  // Whether there is room there.
  if (end.peer != nullptr) touches.push_back({Into(*end.peer), Manner::kObserve});
  return touches;
}

std::vector<Touch> Shutting(const End& end, int64_t how) {
  std::vector<Touch> touches;
  // To a receive that has not begun it is another socket afterwards. If both directions end, a Poll
  // sees that.
  touches.push_back({Into(end), how == 1 ? Manner::kConsume : Manner::kEnd});
  if (how != 0 && end.peer != nullptr) {
    touches.push_back({Into(*end.peer), Producing(*end.peer)});
  }
  return touches;
}

std::vector<Touch> Reading(const End& end) {
  return {{Into(end), end.is_file() ? Manner::kFileRead : Manner::kConsume}};
}

std::vector<Touch> Writing(const End& end, int64_t offset) {
  if (!end.is_file()) return Sending(end);
  return {{Into(end), offset == kAtCurrent ? Manner::kFileAppend : Manner::kFileWrite}};
}

std::vector<Touch> Splicing(const End* from, const End* to) {
  if (from == nullptr || to == nullptr) return {};
  std::vector<Touch> touches = {
      {Into(*from), from->is_file() ? Manner::kFileWrite : Manner::kMove}};
  if (to->is_file()) {
    touches.push_back({Into(*to), Manner::kFileWrite});
  } else if (to->peer != nullptr) {
    touches.push_back({Into(*to->peer), Manner::kProduceInLoop});
  }
  return touches;
}

std::vector<Touch> Connecting(const End& end, const End* listener) {
  std::vector<Touch> touches = Ending(end);
  if (listener != nullptr) touches.push_back({Into(*listener), Manner::kProduceInLoop});
  return touches;
}

std::vector<Touch> Pumping(const End& end) {
  if (end.peer == nullptr) return {};
  return {{Into(*end.peer), Manner::kPump}};
}

// Of an operation, or another step, on the end that it names.
std::vector<Touch> TouchesOfEnd(const Step& step, const End& end, const World& world) {
  const auto& arguments = step.arguments;
  switch (step.verb) {
    case Verb::kPeerWrite:
    case Verb::kPeerShutdown:
    case Verb::kPeerConnect:
      return {{Into(end), Manner::kWrite}};
    case Verb::kPeerRead:
      if (end.peer == nullptr) return {};
      return {{Into(*end.peer), Manner::kRead}};
    case Verb::kAdoptPeer:
    case Verb::kPeerClose:
    case Verb::kDrop:
    case Verb::kClose:
      return Ending(end);
    case Verb::kPoll:
      return Watching(end);
    case Verb::kAccept:
    case Verb::kRecv:
    case Verb::kRecvMsg:
      return {{Into(end), Manner::kConsume}};
    case Verb::kConnect:
      return Connecting(end, world.Find(arguments[2]));
    case Verb::kSend:
    case Verb::kSendMsg:
      return Sending(end);
    case Verb::kShutdown:
      return Shutting(end, arguments[2]);
    case Verb::kRead:
      return Reading(end);
    case Verb::kWrite:
      return Writing(end, arguments[3]);
    case Verb::kPump:
      return Pumping(end);
    case Verb::kSplice:
      return Splicing(&end, world.Find(arguments[2]));
    default:
      return {};
  }
}

// The number of the end that a step is about.
int64_t EndNamedBy(const Step& step) {
  if (step.verb == Verb::kAdoptPeer) return step.arguments[1];
  return SpecOf(step.verb).is_operation() ? step.arguments[1] : step.arguments[0];
}

bool CanSplice(const End* end) {
  return end == nullptr || end->is_stream() || end->is_pipe() || end->is_file();
}

bool IsPair(Manner first, Manner second, Manner a, Manner b) {
  return (first == a && second == b) || (first == b && second == a);
}

}  // namespace

bool Compatible(const Touch& first, const Touch& second) {
  if (first.resource != second.resource) return true;
  const Manner a = first.manner;
  const Manner b = second.manner;
  if (a == b) {
    return a == Manner::kConsume || a == Manner::kObserve || a == Manner::kProduce ||
           a == Manner::kFileRead || a == Manner::kFileAppend;
  }
  for (const Manner taker : {Manner::kConsume, Manner::kObserve, Manner::kMove}) {
    if (IsPair(a, b, taker, Manner::kProduceInLoop)) return true;
    if (IsPair(a, b, taker, Manner::kWrite)) return true;
  }
  return IsPair(a, b, Manner::kObserve, Manner::kProduce);
}

std::vector<Touch> TouchesOf(const Step& step, const World& world) {
  switch (step.verb) {
    case Verb::kOpenAt: {
      const bool only_looks = step.arguments[3] == 0 || step.arguments[3] == 5;
      return {{kNamespace, only_looks ? Manner::kFileRead : Manner::kFileWrite}};
    }
    case Verb::kStatx:
      return {{kNamespace, Manner::kFileRead}};
    case Verb::kRename:
    case Verb::kUnlink:
    case Verb::kMkdir:
      return {{kNamespace, Manner::kFileWrite}};
    case Verb::kCancel:
    case Verb::kRace:
    case Verb::kNop:
    case Verb::kTimer:
    case Verb::kWork:
    case Verb::kFsync:
      return {};
    default:
      break;
  }
  const End* const end = world.Find(EndNamedBy(step));
  if (end == nullptr || end->closed) return {};
  return TouchesOfEnd(step, *end, world);
}

bool IsLeftOut(const Step& step, const World& world) {
  const auto& arguments = step.arguments;
  if (step.verb == Verb::kRename) return kPaths[static_cast<size_t>(arguments[3])].empty();
  const End* const end = SpecOf(step.verb).is_operation() ? world.Find(arguments[1]) : nullptr;
  if (end == nullptr || end->closed) return false;
  if (end->unspecified) return step.verb != Verb::kClose;
  switch (step.verb) {
    case Verb::kShutdown:
      return end->kind == kDatagram || end->kind == kListener;
    case Verb::kRecv:
      return arguments[3] == kPeek && arguments[4] == kMultishot;
    case Verb::kRead:
    case Verb::kWrite:
      return arguments[2] == 0;
    case Verb::kSplice:
      return !CanSplice(end) || !CanSplice(world.Find(arguments[2]));
    case Verb::kPump:
      if (!end->is_stream() && end->kind != kPipeOut) return false;
      return end->peer == nullptr || (!end->peer->plain.ok() && !end->peer->closed);
    default:
      return false;
  }
}

}  // namespace tenon::conformance::differential
