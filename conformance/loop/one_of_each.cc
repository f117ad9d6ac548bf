#include "tenon/conformance/loop/one_of_each.h"

#include <fcntl.h>
#include <poll.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace tenon::conformance {
namespace {

constexpr std::string_view kBytes = "seventeen letters";
constexpr int32_t kSize = static_cast<int32_t>(kBytes.size());
constexpr int32_t kWorkResult = 42;

void CreateFile(const char* path) {
  const UniqueFd file(::open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
  EXPECT_TRUE(file.ok()) << "open of " << path << ": " << std::strerror(errno);
}

}  // namespace

OneOfEach::OneOfEach(std::string directory) : directory_(std::move(directory)) {
  EXPECT_EQ(::mkdir(directory_.c_str(), 0700), 0)
      << "mkdir of " << directory_ << ": " << std::strerror(errno);
  // Nobody else takes what these two make.
  for (const Opcode opcode : {Opcode::kAccept, Opcode::kOpenAt}) {
    of(opcode).set_hook(
        [](RecordingOperation& operation) { UniqueFd(operation.result()).Reset(); });
  }
}

int32_t OneOfEach::ExpectedResult(Opcode opcode) {
  switch (opcode) {
    case Opcode::kPoll:
      return POLLIN;
    case Opcode::kRecv:
    case Opcode::kSend:
    case Opcode::kRecvMsg:
    case Opcode::kSendMsg:
    case Opcode::kRead:
    case Opcode::kWrite:
    case Opcode::kSplice:
      return kSize;
    case Opcode::kWork:
      return kWorkResult;
    default:
      return 0;
  }
}

void OneOfEach::Prepare(Loop& loop) {
  of(Opcode::kNop).PrepareNop();
  of(Opcode::kTimer).PrepareTimer(kMillisecondNs);
  of(Opcode::kWork).PrepareWork([](void*) { return kWorkResult; }, nullptr);
  PrepareStreams(loop);
  PrepareMessages(loop);
  PrepareConnections(loop);
  PreparePipes(loop);
  PreparePaths(loop);
}

void OneOfEach::PrepareStreams(Loop& loop) {
  DescriptorPair pair = MakeSocketPair();
  WriteAll(pair.theirs.get(), kBytes);
  of(Opcode::kRecv).PrepareRecv(Keep(loop, std::move(pair)), absl::MakeSpan(recv_buffer_), 0);

  pair = MakeSocketPair();
  WriteAll(pair.theirs.get(), kBytes);
  of(Opcode::kPoll).PreparePoll(Keep(loop, std::move(pair)), POLLIN);

  of(Opcode::kSend).PrepareSend(Keep(loop, MakeSocketPair()), kBytes, 0);
  of(Opcode::kShutdown).PrepareShutdown(Keep(loop, MakeSocketPair()), SHUT_WR);
  of(Opcode::kClose).PrepareClose(Keep(loop, MakeSocketPair()));
}

void OneOfEach::PrepareMessages(Loop& loop) {
  DescriptorPair pair = MakeSocketPair(SOCK_DGRAM);
  WriteAll(pair.theirs.get(), kBytes);
  recv_vector_ = {.iov_base = recvmsg_buffer_.data(), .iov_len = recvmsg_buffer_.size()};
  recv_message_.msg_iov = &recv_vector_;
  recv_message_.msg_iovlen = 1;
  of(Opcode::kRecvMsg).PrepareRecvMsg(Keep(loop, std::move(pair)), &recv_message_, 0);

  // sendmsg(2) only reads it.
  send_vector_ = {.iov_base = const_cast<char*>(kBytes.data()), .iov_len = kBytes.size()};
  send_message_.msg_iov = &send_vector_;
  send_message_.msg_iovlen = 1;
  of(Opcode::kSendMsg).PrepareSendMsg(Keep(loop, MakeSocketPair(SOCK_DGRAM)), &send_message_, 0);
}

void OneOfEach::PrepareConnections(Loop& loop) {
  theirs_.push_back(accepting_.Connect());
  of(Opcode::kAccept).PrepareAccept(AdoptOrFail(loop, accepting_.Take()));
  of(Opcode::kConnect)
      .PrepareConnect(AdoptOrFail(loop, MakeTcpSocket()), target_.address(),
                      target_.address_length());
}

void OneOfEach::PreparePipes(Loop& loop) {
  DescriptorPair pipe = MakePipeToRead();
  WriteAll(pipe.theirs.get(), kBytes);
  of(Opcode::kRead)
      .PrepareRead(Keep(loop, std::move(pipe)), absl::MakeSpan(read_buffer_), kCurrentOffset);

  of(Opcode::kWrite).PrepareWrite(Keep(loop, MakePipeToWrite()), kBytes, kCurrentOffset);

  pipe = MakePipeToRead();
  WriteAll(pipe.theirs.get(), kBytes);
  const Handle from = Keep(loop, std::move(pipe));
  const Handle to = Keep(loop, MakePipeToWrite());
  of(Opcode::kSplice).PrepareSplice(from, kCurrentOffset, to, kCurrentOffset, kBytes.size(), 0);
}

void OneOfEach::PreparePaths(Loop& loop) {
  const char* const synced = Path("synced");
  CreateFile(synced);
  const Handle file = AdoptOrFail(loop, UniqueFd(::open(synced, O_WRONLY | O_CLOEXEC)));
  of(Opcode::kFsync).PrepareFsync(file, false);
  of(Opcode::kOpenAt).PrepareOpenAt(kCurrentDirectory, Path("made"), O_CREAT | O_WRONLY, 0600);
  of(Opcode::kStatx)
      .PrepareStatx(kCurrentDirectory, directory_.c_str(), 0, STATX_BASIC_STATS, &statx_);
  const char* const renamed = Path("renamed");
  CreateFile(renamed);
  of(Opcode::kRename)
      .PrepareRename(kCurrentDirectory, renamed, kCurrentDirectory, Path("new name"), 0);
  const char* const unlinked = Path("unlinked");
  CreateFile(unlinked);
  of(Opcode::kUnlink).PrepareUnlink(kCurrentDirectory, unlinked, 0);
  of(Opcode::kMkdir).PrepareMkdir(kCurrentDirectory, Path("directory"), 0700);
}

Handle OneOfEach::Keep(Loop& loop, DescriptorPair pair) {
  theirs_.push_back(std::move(pair.theirs));
  return AdoptOrFail(loop, std::move(pair.ours));
}

const char* OneOfEach::Path(const char* name) {
  std::string& path = paths_.at(paths_used_++);
  path = absl::StrCat(directory_, "/", name);
  return path.c_str();
}

}  // namespace tenon::conformance
