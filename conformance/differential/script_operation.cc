#include "tenon/conformance/differential/script_operation.h"

#include <fcntl.h>
#include <linux/stat.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/time.h"

namespace tenon::conformance::differential {
namespace {

// Beyond a buffer's end, where nobody may write.
constexpr size_t kGuard = 32;
constexpr char kFill = '\xa5';

constexpr std::array<uint32_t, 5> kEventMasks = {POLLIN, POLLOUT, POLLIN | POLLOUT, 0, POLLPRI};
constexpr std::array<int, 5> kRecvMasks = {0, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_DONTWAIT};
constexpr std::array<int, 2> kSendMasks = {0, MSG_DONTWAIT};
constexpr std::array<int, 3> kHows = {SHUT_RD, SHUT_WR, SHUT_RDWR};
constexpr std::array<int64_t, 4> kOffsetValues = {kCurrentOffset, 0, 37, 5'000'000'000};
constexpr std::array<int, 6> kModes = {O_RDONLY,         O_RDWR,
                                       O_RDWR | O_CREAT, O_RDWR | O_CREAT | O_EXCL,
                                       O_RDWR | O_TRUNC, O_RDONLY | O_DIRECTORY};
constexpr std::array<int64_t, 4> kDelays = {0, 200 * kMicrosecondNs, kMillisecondNs,
                                            3'600 * kSecondNs};
constexpr uint32_t kNoReplace = 1;  // RENAME_NOREPLACE, which <linux/fs.h> has

const char* PathOf(int64_t choice) { return kPaths[static_cast<size_t>(choice)].data(); }

// An arbitrary function that a thread of the loop computes.
int32_t Compute(void* value) {
  int32_t& number = *static_cast<int32_t*>(value);
  number = number * 3 + 1;
  return number;
}

bool TakesBytes(Verb verb) {
  return verb == Verb::kRecv || verb == Verb::kRecvMsg || verb == Verb::kRead;
}

bool GivesBytes(Verb verb) {
  return verb == Verb::kSend || verb == Verb::kSendMsg || verb == Verb::kWrite ||
         verb == Verb::kPump;
}

// The argument that names the end of a step which is an operation: its second, if that is one.
int64_t EndName(const Step& step) {
  const auto& parameters = SpecOf(step.verb).parameters;
  return parameters.size() > 1 && parameters[1].type == ArgumentType::kHandle ? step.arguments[1]
                                                                              : 0;
}

int64_t SecondName(const Step& step) {
  return step.verb == Verb::kSplice || step.verb == Verb::kConnect ? step.arguments[2] : 0;
}

End* OpenEnd(const World& world, int64_t name) {
  End* const end = world.Find(name);
  return end == nullptr || end->closed ? nullptr : end;
}

}  // namespace

ScriptOperation::ScriptOperation(const Step& step, World& world, Callback callback, void* context)
    : Operation(callback, context),
      step_(step),
      world_(world),
      end_(OpenEnd(world, EndName(step))),
      second_(OpenEnd(world, SecondName(step))),
      handle_(world.HandleOf(EndName(step))),
      second_handle_(world.HandleOf(SecondName(step))),
      touches_(TouchesOf(step, world)) {
  const auto& arguments = step.arguments;
  switch (step.verb) {
    case Verb::kNop:
      again_ = arguments[1];
      break;
    case Verb::kTimer:
      again_ = arguments[1] == kNever ? 0 : arguments[2];
      break;
    case Verb::kRecv:
      again_ = arguments[4] == kMultishot ? 0 : arguments[5];
      break;
    case Verb::kRead:
      again_ = arguments[4];
      break;
    case Verb::kAccept:
      if (end_ != nullptr) address_ = end_->address;
      break;
    case Verb::kConnect:
      address_ = second_ != nullptr && second_->kind == kListener ? second_->address
                                                                  : world.dead_address();
      break;
    case Verb::kWork:
      work_result_ = static_cast<int32_t>(arguments[1]);
      break;
    default:
      break;
  }
  if (TakesBytes(step.verb)) {
    buffer_.assign(static_cast<size_t>(arguments[2]) + kGuard, kFill);
  } else if (GivesBytes(step.verb)) {
    const std::string bytes =
        Pattern(static_cast<uint64_t>(name()), static_cast<size_t>(arguments[2]));
    buffer_.assign(bytes.begin(), bytes.end());
    buffer_.resize(buffer_.size() + kGuard, kFill);
  }
  after_completion_ = buffer_;
}

std::string ScriptOperation::Lane() const {
  if (verb() == Verb::kTimer) return step_.arguments[2] == 0 ? "timers" : "";
  const Direction direction = DirectionOf(opcode());
  if (direction == Direction::kNone || end_ == nullptr) return "";
  if (end_->is_file() && step_.arguments[3] != kAtCurrent) return "";
  return absl::StrCat("h", step_.arguments[1], direction == Direction::kRead ? "<" : ">");
}

void ScriptOperation::Prepare(int64_t now_ns) {
  switch (verb()) {
    case Verb::kNop:
      return PrepareNop();
    case Verb::kTimer:
      return PrepareTimerAt(
          DeadlineAfter(now_ns, kDelays[static_cast<size_t>(step_.arguments[1])]));
    case Verb::kWork:
      return PrepareWork(&Compute, &work_result_);
    case Verb::kOpenAt:
    case Verb::kStatx:
    case Verb::kRename:
    case Verb::kUnlink:
    case Verb::kMkdir:
      return PreparePath();
    case Verb::kRecvMsg:
    case Verb::kSendMsg:
      return PrepareMessage();
    default:
      return PrepareOnHandle();
  }
}

void ScriptOperation::PrepareOnHandle() {
  const auto& arguments = step_.arguments;
  const size_t room = buffer_.size() - std::min(buffer_.size(), kGuard);
  const absl::Span<char> bytes(buffer_.data(), room);
  switch (verb()) {
    case Verb::kPoll:
      return PreparePoll(handle_, kEventMasks[static_cast<size_t>(arguments[2])]);
    case Verb::kAccept:
      return arguments[3] != 0 ? PrepareAcceptMultishot(handle_) : PrepareAccept(handle_);
    case Verb::kConnect:
      return PrepareConnect(handle_, reinterpret_cast<const sockaddr*>(&address_),
                            sizeof(address_));
    case Verb::kRecv: {
      const int flags = kRecvMasks[static_cast<size_t>(arguments[3])];
      if (arguments[4] == kPooled) return PrepareRecvPooled(handle_, flags);
      if (arguments[4] == kMultishot) return PrepareRecvMultishot(handle_, flags);
      return PrepareRecv(handle_, bytes, flags);
    }
    case Verb::kSend:
      return PrepareSend(handle_, bytes, kSendMasks[static_cast<size_t>(arguments[3])]);
    case Verb::kPump: {
      const absl::Span<char> rest = bytes.subspan(moved_);
      const bool pipe = end_ != nullptr && end_->is_pipe();
      return pipe ? PrepareWrite(handle_, rest, kCurrentOffset) : PrepareSend(handle_, rest, 0);
    }
    case Verb::kShutdown:
      return PrepareShutdown(handle_, kHows[static_cast<size_t>(arguments[2])]);
    case Verb::kRead:
      return PrepareRead(handle_, bytes, kOffsetValues[static_cast<size_t>(arguments[3])]);
    case Verb::kWrite:
      return PrepareWrite(handle_, bytes, kOffsetValues[static_cast<size_t>(arguments[3])]);
    case Verb::kFsync:
      return PrepareFsync(handle_, arguments[2] != 0);
    case Verb::kSplice:
      return PrepareSplice(handle_, kCurrentOffset, second_handle_, kCurrentOffset,
                           static_cast<size_t>(arguments[3]), 0);
    default:
      return PrepareClose(handle_);
  }
}

void ScriptOperation::PreparePath() {
  const auto& arguments = step_.arguments;
  const char* const path = PathOf(arguments[2]);
  constexpr uint32_t kRights = 0700;
  switch (verb()) {
    case Verb::kOpenAt:
      return PrepareOpenAt(handle_, path, kModes[static_cast<size_t>(arguments[3])], kRights);
    case Verb::kStatx:
      return PrepareStatx(handle_, path, 0, STATX_TYPE | STATX_MODE | STATX_SIZE, &status_);
    case Verb::kRename:
      return PrepareRename(handle_, path, handle_, PathOf(arguments[3]),
                           arguments[4] != 0 ? 0 : kNoReplace);
    case Verb::kUnlink:
      return PrepareUnlink(handle_, path, arguments[3] != 0 ? AT_REMOVEDIR : 0);
    default:
      return PrepareMkdir(handle_, path, kRights);
  }
}

void ScriptOperation::PrepareMessage() {
  part_ = {.iov_base = buffer_.data(), .iov_len = buffer_.size() - kGuard};
  message_ = {};
  message_.msg_iov = &part_;
  message_.msg_iovlen = 1;
  if (verb() == Verb::kSendMsg) return PrepareSendMsg(handle_, &message_, 0);
  PrepareRecvMsg(handle_, &message_, kRecvMasks[static_cast<size_t>(step_.arguments[3])]);
}

Completion ScriptOperation::Take(Loop& loop) {
  Completion completion = {.operation = name(),
                           .verb = verb(),
                           .result = result(),
                           .more = has_more(),
                           .raced = raced,
                           .lane = Lane(),
                           .content = ""};
  if (has_buffer()) {
    const absl::Span<char> bytes = loop.Buffer(buffer_id());
    // With MSG_TRUNC the count may be more than there was room for.
    const size_t size = std::min(static_cast<size_t>(std::max(result(), 0)), bytes.size());
    completion.content.assign(bytes.data(), size);
    loop.ReturnBuffer(buffer_id());
  } else {
    completion.content = Content();
  }
  // TCP throws away what is received so (tcp(7)).
  const bool receives = verb() == Verb::kRecv || verb() == Verb::kRecvMsg;
  if (receives && step_.arguments[3] == kTruncate && end_ != nullptr && end_->kind == kTcp) {
    completion.content.clear();
  }
  if (TakesBytes(verb())) delivered += completion.content;
  Count(result());
  after_completion_ = buffer_;
  return completion;
}

std::string ScriptOperation::Content() {
  if (result() < 0) return "";
  if (verb() == Verb::kStatx) return StatusText();
  if (verb() == Verb::kPump) return absl::StrCat(moved_ + static_cast<uint64_t>(result()), " sent");
  if (!TakesBytes(verb()) || buffer_.size() < kGuard) return "";
  // With MSG_TRUNC the count may be more than there was room for.
  const size_t size = std::min(static_cast<size_t>(result()), buffer_.size() - kGuard);
  std::string content(buffer_.data(), size);
  if (verb() == Verb::kRecvMsg) {
    constexpr int kShown = MSG_TRUNC | MSG_CTRUNC | MSG_EOR;
    absl::StrAppend(&content, "/", message_.msg_flags & kShown, "/", message_.msg_controllen);
  }
  return content;
}

std::string ScriptOperation::StatusText() const {
  const bool regular = S_ISREG(status_.stx_mode);
  return absl::StrCat(regular ? "file" : "folder", " of mode ", status_.stx_mode & 0777,
                      regular ? absl::StrCat(", ", status_.stx_size, " bytes") : "");
}

// Notes in the ends what this completion moved, for World::InTransit.
void ScriptOperation::Count(int32_t result) {
  if (result < 0 || end_ == nullptr) return;
  const auto count = static_cast<uint64_t>(result);
  if (TakesBytes(verb())) {
    const bool peeks = verb() != Verb::kRead && step_.arguments[3] == kPeek;
    if (!peeks) end_->received += count;
  } else if (GivesBytes(verb())) {
    end_->sent += count;
    if (verb() == Verb::kPump) moved_ += count;
  } else if (verb() == Verb::kSplice) {
    end_->received += count;
    if (second_ != nullptr) second_->sent += count;
  } else if (verb() == Verb::kShutdown) {
    if (step_.arguments[2] != 0) end_->ended = true;
  }
}

bool ScriptOperation::GoesOn(int32_t result) {
  if (cancelled || result < 0) return false;
  if (verb() == Verb::kPump) return result > 0 && moved_ + kGuard < buffer_.size();
  if (again_ == 0 || (TakesBytes(verb()) && result == 0)) return false;
  --again_;
  return true;
}

std::string ScriptOperation::BufferDamage() const {
  if (finals == 0 || buffer_.empty()) return "";
  for (size_t i = 0; i < kGuard; ++i) {
    if (buffer_[buffer_.size() - 1 - i] != kFill) {
      return absl::StrCat("o", name(), " wrote beyond the end of its buffer");
    }
  }
  if (buffer_ == after_completion_) return "";
  return absl::StrCat("the buffer of o", name(), " changed after its final completion");
}

namespace {

bool FailsAtOnce(Verb verb, const End& end) {
  switch (verb) {
    case Verb::kAccept:
      return end.kind != kListener;
    case Verb::kRecv:
    case Verb::kRecvMsg:
    case Verb::kSend:
    case Verb::kSendMsg:
      return !end.is_socket() || end.kind == kListener;
    case Verb::kRead:
      return end.kind == kPipeOut || end.kind == kListener;
    case Verb::kWrite:
      return end.kind == kPipeIn || end.kind == kListener;
    case Verb::kPump:
      return end.kind == kPipeIn || end.kind == kListener;
    default:
      return false;
  }
}

bool AbleToSplice(const ScriptOperation& operation, const World& world) {
  const End& from = *operation.end();
  if (operation.second() == nullptr) return true;
  const End& to = *operation.second();
  // Errors, and what has nothing to wait for.
  const bool wrong =
      from.kind == kPipeOut || from.kind == kDirectory || to.kind == kPipeIn || to.read_only;
  const bool through_pipe = from.is_pipe() || to.is_pipe();
  const bool same = from.is_pipe() && from.peer == &to;
  if (wrong || same || !through_pipe || operation.step().arguments[3] == 0) return true;
  // A pipe that nobody reads is found out before there is any input, but of another pipe.
  if (!from.is_pipe() && (world.Ready(to, POLLOUT) & POLLERR) != 0) return true;
  const bool input = from.is_file() || world.Ready(from, POLLIN) != 0;
  const bool room = to.is_file() || world.Ready(to, POLLOUT) != 0;
  return input && room;
}

}  // namespace

bool AbleToComplete(const ScriptOperation& operation, const World& world) {
  if (operation.cancelled) return true;
  if (operation.verb() == Verb::kTimer) return operation.step().arguments[1] != kNever;
  const End* const end = operation.end();
  // Without a descriptor, with a stale one, or one that is closing.
  if (end == nullptr || end->closed || end->is_file()) return true;
  if (FailsAtOnce(operation.verb(), *end)) return true;
  switch (operation.verb()) {
    case Verb::kPoll: {
      const uint32_t events = kEventMasks[static_cast<size_t>(operation.step().arguments[2])];
      return world.Ready(*end, static_cast<short>(events)) != 0;
    }
    case Verb::kAccept:
    case Verb::kRecv:
    case Verb::kRecvMsg:
    case Verb::kRead:
      return world.Ready(*end, POLLIN | POLLRDHUP) != 0;
    case Verb::kSend:
    case Verb::kSendMsg:
    case Verb::kWrite:
    case Verb::kPump:
    case Verb::kConnect:
      return world.Ready(*end, POLLOUT) != 0;
    case Verb::kSplice:
      return AbleToSplice(operation, world);
    default:
      return true;
  }
}

}  // namespace tenon::conformance::differential
