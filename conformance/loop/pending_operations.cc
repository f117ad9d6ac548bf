#include "tenon/conformance/loop/pending_operations.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

constexpr int64_t kFarNs = 3'600 * kSecondNs;
// What the blocked Work returns when it is let go.
constexpr int32_t kWorkResult = 17;

bool IsFileOperation(Opcode opcode) {
  switch (opcode) {
    case Opcode::kFsync:
    case Opcode::kOpenAt:
    case Opcode::kStatx:
    case Opcode::kRename:
    case Opcode::kUnlink:
    case Opcode::kMkdir:
      return true;
    default:
      return false;
  }
}

int32_t NeverRuns(void* /*argument*/) { return 0; }

}  // namespace

PendingOperations::PendingOperations(LoopRule& rule)
    : rule_(rule), busy_(MakePipeToRead()), release_(MakePipeToRead()) {
  release_timer_.set_hook([this](RecordingOperation&) { WriteAll(release_.theirs.get(), "x"); });
}

PendingOperations::~PendingOperations() = default;

LoopOptions PendingOperations::Options() {
  LoopOptions options;
  options.work_threads = 1;
  return options;
}

std::vector<Opcode> PendingOperations::EveryOpcode() {
  std::vector<Opcode> opcodes;
  for (size_t i = 0; i < kOpcodeCount; ++i) opcodes.push_back(static_cast<Opcode>(i));
  return opcodes;
}

void PendingOperations::Submit(Loop& loop, absl::Span<const Opcode> opcodes) {
  for (const Opcode opcode : opcodes) {
    if (StageOf(opcode) == Stage::kEarly) Start(loop, opcode);
  }
  Settle(loop);
  for (const Opcode opcode : opcodes) {
    if (StageOf(opcode) != Stage::kAtWork) continue;
    KeepThreadBusy(loop);
    Start(loop, opcode);
  }
  Settle(loop);
  for (const Stage stage : {Stage::kClose, Stage::kLast}) {
    for (const Opcode opcode : opcodes) {
      if (StageOf(opcode) == stage) Start(loop, opcode);
    }
  }
  ExpectAllPending();
}

void PendingOperations::ExpectAllPending() const {
  for (const auto& pending : operations_) {
    EXPECT_FALSE(pending->operation.idle() || pending->operation.done())
        << pending->name << " was to wait, but completed: " << pending->operation.Describe();
  }
}

void PendingOperations::GiveUp(Loop& loop) {
  WriteAll(release_.theirs.get(), "x");
  loop.Cancel(release_timer_);
  for (const auto& pending : operations_) loop.Cancel(pending->operation);
  TurnUntil(loop, [this] {
    for (const auto& pending : operations_) {
      if (!pending->operation.idle()) return false;
    }
    return release_timer_.idle();
  });
}

PendingOperations::Stage PendingOperations::StageOf(Opcode opcode) const {
  if (opcode == Opcode::kNop) return Stage::kLast;
  if (opcode == Opcode::kClose) return Stage::kClose;
  if (opcode == Opcode::kWork) return Stage::kAtWork;
  if (!IsFileOperation(opcode)) return Stage::kEarly;
  return rule_.Has("native_files") ? Stage::kLast : Stage::kAtWork;
}

PendingOperation& PendingOperations::New(std::string name) {
  operations_.push_back(std::make_unique<PendingOperation>());
  operations_.back()->name = std::move(name);
  return *operations_.back();
}

Handle PendingOperations::Adopt(Loop& loop, PendingOperation& pending, DescriptorPair pair) {
  if (pair.theirs.ok()) pending.others.push_back(std::move(pair.theirs));
  pending.handle = AdoptOrFail(loop, std::move(pair.ours));
  return pending.handle;
}

Handle PendingOperations::AdoptFile(Loop& loop, PendingOperation& pending) {
  pending.path = absl::StrCat(rule_.temporary_directory(), "/pending", files_++);
  UniqueFd file(::open(pending.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  EXPECT_TRUE(file.ok()) << "open of " << pending.path << ": " << std::strerror(errno);
  pending.handle = AdoptOrFail(loop, std::move(file));
  return pending.handle;
}

void PendingOperations::Start(Loop& loop, Opcode opcode) {
  switch (opcode) {
    case Opcode::kNop: {
      PendingOperation& pending = New("Nop");
      pending.may_finish = true;
      pending.operation.PrepareNop();
      return loop.Submit(pending.operation);
    }
    case Opcode::kTimer: {
      PendingOperation& pending = New("Timer");
      pending.operation.PrepareTimer(kFarNs);
      return loop.Submit(pending.operation);
    }
    case Opcode::kPoll:
    case Opcode::kAccept:
    case Opcode::kRecv:
    case Opcode::kSend:
      StartOnSocket(loop, opcode);
      return StartMultishot(loop, opcode);
    case Opcode::kConnect:
      return StartConnect(loop);
    case Opcode::kRecvMsg:
    case Opcode::kSendMsg:
      return StartMessage(loop, opcode);
    case Opcode::kShutdown:
      return StartShutdown(loop);
    case Opcode::kRead:
    case Opcode::kWrite:
    case Opcode::kSplice:
      return StartOnPipe(loop, opcode);
    case Opcode::kFsync:
      return StartOnFile(loop, opcode);
    case Opcode::kOpenAt:
    case Opcode::kStatx:
    case Opcode::kRename:
    case Opcode::kUnlink:
    case Opcode::kMkdir:
      return StartOnPath(loop, opcode);
    case Opcode::kClose:
      return StartClose(loop);
    case Opcode::kWork:
      return StartWork(loop);
  }
}

void PendingOperations::StartOnSocket(Loop& loop, Opcode opcode) {
  PendingOperation& pending = New(std::string(OpcodeName(opcode)));
  if (opcode == Opcode::kAccept) {
    pending.operation.PrepareAccept(Adopt(loop, pending, {Listener().Take(), UniqueFd()}));
    return loop.Submit(pending.operation);
  }
  DescriptorPair pair = MakeSocketPair();
  if (opcode == Opcode::kSend) FillUntilFull(pair.ours.get());
  const Handle handle = Adopt(loop, pending, std::move(pair));
  if (opcode == Opcode::kPoll) pending.operation.PreparePoll(handle, POLLIN);
  if (opcode == Opcode::kRecv) {
    pending.operation.PrepareRecv(handle, absl::MakeSpan(pending.buffer), 0);
  }
  if (opcode == Opcode::kSend) {
    pending.operation.PrepareSend(handle, absl::MakeConstSpan(pending.buffer), 0);
  }
  loop.Submit(pending.operation);
}

// Accept and Recv in the forms that a backend may declare.
void PendingOperations::StartMultishot(Loop& loop, Opcode opcode) {
  if (opcode == Opcode::kAccept && rule_.Has("multishot")) {
    PendingOperation& pending = New("Accept, multishot");
    pending.operation.PrepareAcceptMultishot(Adopt(loop, pending, {Listener().Take(), UniqueFd()}));
    loop.Submit(pending.operation);
  }
  if (opcode != Opcode::kRecv || !rule_.Has("provided_buffers")) return;
  if (!std::exchange(buffers_registered_, true)) {
    const absl::Status registered = loop.RegisterBuffers(4, 4096);
    EXPECT_TRUE(registered.ok()) << registered;
  }
  PendingOperation& pooled = New("Recv, pooled");
  pooled.operation.PrepareRecvPooled(Adopt(loop, pooled, MakeSocketPair()), 0);
  loop.Submit(pooled.operation);
  if (!rule_.Has("multishot")) return;
  PendingOperation& multishot = New("Recv, multishot");
  multishot.operation.PrepareRecvMultishot(Adopt(loop, multishot, MakeSocketPair()), 0);
  loop.Submit(multishot.operation);
}

// A backlog of zero holds one connection; the kernel ignores who else comes.
void PendingOperations::StartConnect(Loop& loop) {
  static constexpr int kBacklog = 0;
  PendingOperation& pending = New("Connect");
  pending.listener = std::make_unique<Listener>(kBacklog);
  const Listener& full = *pending.listener;
  pending.others.push_back(full.Connect());
  const Handle handle = Adopt(loop, pending, {MakeTcpSocket(), UniqueFd()});
  pending.operation.PrepareConnect(handle, full.address(), full.address_length());
  loop.Submit(pending.operation);
}

void PendingOperations::StartMessage(Loop& loop, Opcode opcode) {
  PendingOperation& pending = New(std::string(OpcodeName(opcode)));
  DescriptorPair pair = MakeSocketPair();
  if (opcode == Opcode::kSendMsg) FillUntilFull(pair.ours.get());
  pending.vector = {.iov_base = pending.buffer.data(), .iov_len = pending.buffer.size()};
  pending.message.msg_iov = &pending.vector;
  pending.message.msg_iovlen = 1;
  const Handle handle = Adopt(loop, pending, std::move(pair));
  if (opcode == Opcode::kRecvMsg) {
    pending.operation.PrepareRecvMsg(handle, &pending.message, 0);
  } else {
    pending.operation.PrepareSendMsg(handle, &pending.message, 0);
  }
  loop.Submit(pending.operation);
}

// A Shutdown waits for the sends before it.
void PendingOperations::StartShutdown(Loop& loop) {
  StartOnSocket(loop, Opcode::kSend);
  PendingOperation& send = *operations_.back();
  send.name = "Send, before a Shutdown";
  PendingOperation& pending = New("Shutdown");
  pending.handle = send.handle;
  pending.operation.PrepareShutdown(send.handle, SHUT_WR);
  loop.Submit(pending.operation);
}

void PendingOperations::StartOnPipe(Loop& loop, Opcode opcode) {
  PendingOperation& pending = New(absl::StrCat(OpcodeName(opcode), " on a pipe"));
  if (opcode == Opcode::kWrite) {
    DescriptorPair pipe = MakePipeToWrite();
    FillUntilFull(pipe.ours.get());
    const Handle handle = Adopt(loop, pending, std::move(pipe));
    pending.operation.PrepareWrite(handle, absl::MakeConstSpan(pending.buffer), kCurrentOffset);
  } else if (opcode == Opcode::kRead) {
    const Handle handle = Adopt(loop, pending, MakePipeToRead());
    pending.operation.PrepareRead(handle, absl::MakeSpan(pending.buffer), kCurrentOffset);
  } else {
    const Handle to = Adopt(loop, pending, MakePipeToWrite());
    const Handle from = Adopt(loop, pending, MakePipeToRead());
    pending.operation.PrepareSplice(from, kCurrentOffset, to, kCurrentOffset, pending.buffer.size(),
                                    0);
  }
  loop.Submit(pending.operation);
}

void PendingOperations::StartOnFile(Loop& loop, Opcode opcode) {
  const bool native = rule_.Has("native_files");
  PendingOperation& sync = New(std::string(OpcodeName(opcode)));
  sync.may_finish = native;
  sync.operation.PrepareFsync(AdoptFile(loop, sync), false);
  loop.Submit(sync.operation);

  PendingOperation& write = New("Write on a file");
  write.may_finish = native;
  write.finished_result = static_cast<int32_t>(write.buffer.size());
  write.operation.PrepareWrite(AdoptFile(loop, write), absl::MakeConstSpan(write.buffer), 0);
  loop.Submit(write.operation);

  PendingOperation& read = New("Read on a file");
  read.may_finish = native;
  read.operation.PrepareRead(AdoptFile(loop, read), absl::MakeSpan(read.buffer), kCurrentOffset);
  loop.Submit(read.operation);
}

void PendingOperations::StartOnPath(Loop& loop, Opcode opcode) {
  PendingOperation& pending = New(std::string(OpcodeName(opcode)));
  pending.may_finish = rule_.Has("native_files");
  AdoptFile(loop, pending);
  pending.to_path = absl::StrCat(pending.path, ".new");
  const char* const path = pending.path.c_str();
  const char* const to_path = pending.to_path.c_str();
  switch (opcode) {
    case Opcode::kOpenAt:
      // Cancelled before its completion, it is so whatever it did (CAN-5).
      pending.may_finish = false;
      pending.operation.PrepareOpenAt(kCurrentDirectory, path, O_RDONLY, 0);
      break;
    case Opcode::kStatx:
      pending.operation.PrepareStatx(kCurrentDirectory, path, 0, STATX_SIZE, &pending.status);
      break;
    case Opcode::kRename:
      pending.operation.PrepareRename(kCurrentDirectory, path, kCurrentDirectory, to_path, 0);
      break;
    case Opcode::kUnlink:
      pending.operation.PrepareUnlink(kCurrentDirectory, path, 0);
      break;
    default:
      pending.operation.PrepareMkdir(kCurrentDirectory, to_path, 0700);
      break;
  }
  loop.Submit(pending.operation);
}

// A Close waits for what is pending on its handle.
void PendingOperations::StartClose(Loop& loop) {
  StartOnSocket(loop, Opcode::kRecv);
  Settle(loop);
  operations_.back()->name = "Recv, before a Close";
  const Handle handle = operations_.back()->handle;
  PendingOperation& pending = New("Close");
  pending.may_finish = true;
  pending.operation.PrepareClose(handle);
  loop.Submit(pending.operation);
}

// Behind the Work that keeps the thread busy, another that never begins.
void PendingOperations::StartWork(Loop& loop) {
  PendingOperation& pending = New("Work, not begun");
  pending.operation.PrepareWork(&NeverRuns, nullptr);
  loop.Submit(pending.operation);
}

void PendingOperations::KeepThreadBusy(Loop& loop) {
  if (!release_timer_.idle()) return;
  release_timer_.PrepareTimer(kFarNs);
  loop.Submit(release_timer_);
  PendingOperation& pending = New("Work, begun");
  pending.may_finish = true;
  pending.finished_result = kWorkResult;
  pending.operation.PrepareWork(&BlockUntilReleased, this);
  loop.Submit(pending.operation);
  Settle(loop);
  EXPECT_NE(WaitFor(busy_.ours.get(), POLLIN), 0) << "a Work never began";
}

int32_t PendingOperations::BlockUntilReleased(void* pending) {
  const PendingOperations& self = *static_cast<PendingOperations*>(pending);
  char byte = 'x';
  if (::write(self.busy_.theirs.get(), &byte, 1) != 1) return -EIO;
  while (::read(self.release_.ours.get(), &byte, 1) < 0 && errno == EINTR) {
  }
  return kWorkResult;
}

}  // namespace tenon::conformance
