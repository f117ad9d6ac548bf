// Bytes before the end: CMP-3.

#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance::loop_rules {
namespace {

enum class Ending { kShutdown, kClose, kReset };
enum class Receiver { kRecv, kRecvMsg, kRead, kRecvPooled, kRecvMultishot };

// One way in which a stream ends, and one of reading it.
struct Case {
  bool tcp = false;
  Ending ending = Ending::kShutdown;
  Receiver receiver = Receiver::kRecv;
  // Whether a receive is in flight when the bytes and the end come.
  bool pending = false;
};

std::string Describe(const Case& the_case) {
  constexpr std::array<const char*, 3> kEndings = {"a shutdown", "a close", "a reset"};
  constexpr std::array<const char*, 5> kReceivers = {"Recv", "RecvMsg", "Read", "RecvPooled",
                                                     "RecvMultishot"};
  return absl::StrCat(kReceivers[static_cast<size_t>(the_case.receiver)], " of a ",
                      the_case.tcp ? "TCP" : "local", " stream that ends by ",
                      kEndings[static_cast<size_t>(the_case.ending)], ", ",
                      the_case.pending ? "pending before it" : "submitted after it");
}

constexpr uint32_t kPooledSize = 700;

// Receives a stream to its end.
class StreamReader {
 public:
  // `chunk_size` bytes at a time, where that is ours to say. `loop` is set before Start.
  StreamReader(Receiver receiver, size_t chunk_size)
      : receiver_(receiver), chunk_(chunk_size, '\0') {
    operation_.set_hook([this](RecordingOperation&) { OnComplete(); });
  }

  void Start(Loop& loop, Handle handle) {
    loop_ = &loop;
    handle_ = handle;
    Submit();
  }

  bool ended() const { return ended_; }
  // What came before the end, and what the end was: 0 or a negated errno.
  const std::string& bytes() const { return bytes_; }
  int32_t ending() const { return ending_; }
  const RecordingOperation& operation() const { return operation_; }

 private:
  void Submit() {
    switch (receiver_) {
      case Receiver::kRecv:
        operation_.PrepareRecv(handle_, absl::MakeSpan(chunk_), 0);
        break;
      case Receiver::kRecvMsg:
        vector_ = {.iov_base = chunk_.data(), .iov_len = chunk_.size()};
        message_.msg_iov = &vector_;
        message_.msg_iovlen = 1;
        operation_.PrepareRecvMsg(handle_, &message_, 0);
        break;
      case Receiver::kRead:
        operation_.PrepareRead(handle_, absl::MakeSpan(chunk_), kCurrentOffset);
        break;
      case Receiver::kRecvPooled:
        operation_.PrepareRecvPooled(handle_, 0);
        break;
      case Receiver::kRecvMultishot:
        operation_.PrepareRecvMultishot(handle_, 0);
        break;
    }
    loop_->Submit(operation_);
  }

  void OnComplete() {
    const int32_t result = operation_.result();
    if (result > 0) {
      const auto size = static_cast<size_t>(result);
      if (operation_.has_buffer()) {
        bytes_.append(loop_->Buffer(operation_.buffer_id()).data(), size);
        loop_->ReturnBuffer(operation_.buffer_id());
      } else {
        bytes_.append(chunk_, 0, size);
      }
    }
    if (operation_.has_more()) return;
    if (result > 0) return Submit();
    ended_ = true;
    ending_ = result;
  }

  const Receiver receiver_;
  std::string chunk_;
  iovec vector_ = {};
  msghdr message_ = {};
  RecordingOperation operation_;
  Loop* loop_ = nullptr;
  Handle handle_;
  std::string bytes_;
  bool ended_ = false;
  int32_t ending_ = 0;
};

void End(UniqueFd& peer, Ending ending) {
  switch (ending) {
    case Ending::kShutdown:
      EXPECT_EQ(::shutdown(peer.get(), SHUT_WR), 0) << "shutdown";
      break;
    case Ending::kClose:
      peer.Reset();
      break;
    case Ending::kReset:
      Reset(std::move(peer));
      break;
  }
}

size_t BytesWaiting(int fd) {
  int count = 0;
  EXPECT_EQ(::ioctl(fd, FIONREAD, &count), 0) << "ioctl(FIONREAD)";
  return static_cast<size_t>(count);
}

// Waits, outside the loop, until the kernel has received all of it.
void AwaitArrival(int fd, size_t size) {
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  // Readiness says when the first byte is there, not when the last is.
  while (BytesWaiting(fd) < size && absl::Now() < deadline) ::sched_yield();
  ASSERT_EQ(BytesWaiting(fd), size) << "the peer's bytes did not arrive";
}

void EndsAfterItsBytes(LoopRule& rule, const Case& the_case) {
  SCOPED_TRACE(Describe(the_case));
  const size_t size = 1 + rule.random()() % 20'000;
  std::string sent(size, '\0');
  for (char& byte : sent) byte = static_cast<char>(rule.random()());

  StreamReader reader(the_case.receiver, 1 + rule.random()() % 3'000);
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  if (the_case.receiver == Receiver::kRecvPooled || the_case.receiver == Receiver::kRecvMultishot) {
    const absl::Status registered = loop->RegisterBuffers(8, kPooledSize);
    ASSERT_TRUE(registered.ok()) << registered;
  }
  DescriptorPair pair = the_case.tcp ? MakeTcpPair() : MakeSocketPair();
  const Handle handle = AdoptOrFail(*loop, std::move(pair.ours));
  if (the_case.pending) {
    reader.Start(*loop, handle);
    Settle(*loop);
    ASSERT_EQ(reader.operation().state(), OperationState::kInFlight)
        << "the receive is not in flight before the bytes come";
  }
  WriteAll(pair.theirs.get(), sent);
  ASSERT_NO_FATAL_FAILURE(AwaitArrival(loop->Descriptor(handle), size));
  End(pair.theirs, the_case.ending);
  WaitFor(loop->Descriptor(handle), POLLRDHUP);
  if (!the_case.pending) reader.Start(*loop, handle);

  EXPECT_TRUE(TurnUntil(*loop, [&] { return reader.ended(); }))
      << "the end was not reported; " << reader.operation().Describe();
  EXPECT_EQ(reader.bytes().size(), size)
      << "bytes delivered before the end, of those received before it; "
      << reader.operation().Describe();
  EXPECT_TRUE(reader.bytes() == sent) << "other bytes were delivered than were sent";
  EXPECT_EQ(ResultText(reader.ending()),
            ResultText(the_case.ending == Ending::kReset ? -ECONNRESET : 0))
      << "how the stream ended";
}

}  // namespace

void CMP_3(LoopRule& rule) {
  std::vector<Receiver> receivers = {Receiver::kRecv, Receiver::kRecvMsg, Receiver::kRead};
  if (rule.Has("provided_buffers")) {
    receivers.push_back(Receiver::kRecvPooled);
    if (rule.Has("multishot")) receivers.push_back(Receiver::kRecvMultishot);
  }
  for (const Receiver receiver : receivers) {
    for (const bool pending : {false, true}) {
      for (const Ending ending : {Ending::kShutdown, Ending::kClose, Ending::kReset}) {
        for (const bool tcp : {false, true}) {
          if (ending == Ending::kReset && !tcp) continue;
          ASSERT_NO_FATAL_FAILURE(EndsAfterItsBytes(
              rule, {.tcp = tcp, .ending = ending, .receiver = receiver, .pending = pending}));
        }
      }
    }
  }
}

}  // namespace tenon::conformance::loop_rules
