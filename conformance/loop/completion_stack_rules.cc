// The stack under chains of completions: CMP-7.

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance::loop_rules {
namespace {

// A chain of operations, each submitted from the callback of the one before, and the extent of the
// stack that their callbacks saw.
class Chain {
 public:
  using Prepare = std::function<void(Operation& operation)>;

  static constexpr int kLength = 1'000;

  explicit Chain(Prepare prepare) : prepare_(std::move(prepare)) {
    operation_.set_hook([this](RecordingOperation&) { OnComplete(); });
  }

  void Start(Loop& loop) {
    loop_ = &loop;
    Submit();
  }
  // Cancels each operation right after it was submitted.
  void set_cancels(bool cancels) { cancels_ = cancels; }

  // Ends a chain that did not finish, so that it can be destroyed.
  void Stop() {
    stopped_ = true;
    loop_->Cancel(operation_);
    TurnUntil(*loop_, [this] { return operation_.idle(); });
  }

  bool finished() const { return operation_.finals() == kLength; }
  int length() const { return operation_.finals(); }
  size_t stack_bytes() const { return highest_ - lowest_; }
  // The first result that differs from `expected`, or `expected`.
  int32_t OddResult(int32_t expected) const {
    const auto& results = operation_.results();
    const auto odd = std::find_if(results.begin(), results.end(),
                                  [expected](int32_t result) { return result != expected; });
    return odd == results.end() ? expected : *odd;
  }

 private:
  void Submit() {
    prepare_(operation_);
    loop_->Submit(operation_);
    if (cancels_) loop_->Cancel(operation_);
  }

  void OnComplete() {
    const auto frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
    lowest_ = std::min(lowest_, frame);
    highest_ = std::max(highest_, frame);
    if (!finished() && !stopped_) Submit();
  }

  const Prepare prepare_;
  RecordingOperation operation_;
  Loop* loop_ = nullptr;
  bool cancels_ = false;
  bool stopped_ = false;
  uintptr_t lowest_ = UINTPTR_MAX;
  uintptr_t highest_ = 0;
};

// What each operation of a chain completes with, and whether it is cancelled when submitted.
struct ChainOutcome {
  int32_t result;
  bool cancels = false;
};

void ChainKeepsTheStack(Loop& loop, const char* what, ChainOutcome expected,
                        Chain::Prepare prepare) {
  SCOPED_TRACE(what);
  // The ways on which completions come may differ by a few frames; a thousand nested ones take more
  // than this at the least.
  constexpr size_t kFewFrames = 16 << 10;
  Chain chain(std::move(prepare));
  chain.set_cancels(expected.cancels);
  chain.Start(loop);
  const bool finished = TurnUntil(loop, [&] { return chain.finished(); });
  if (!finished) chain.Stop();
  EXPECT_LT(chain.stack_bytes(), kFewFrames)
      << "the stack grows with a chain of completions: bytes of it that callbacks of "
      << chain.length() << " operations in a row used";
  ASSERT_TRUE(finished) << "the chain broke off after " << chain.length() << " operations";
  EXPECT_EQ(ResultText(chain.OddResult(expected.result)), ResultText(expected.result));
}

}  // namespace

void CMP_7(LoopRule& rule) {
  constexpr char kByte[] = {'x'};
  std::array<char, 1> buffer = {};
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  DescriptorPair full = MakeSocketPair();
  WriteAll(full.theirs.get(), std::string(Chain::kLength + 1, 'x'));
  DescriptorPair peer = MakeSocketPair();
  DescriptorPair pipe = MakePipeToWrite();
  const Handle readable = AdoptOrFail(*loop, std::move(full.ours));
  const Handle writable = AdoptOrFail(*loop, std::move(peer.ours));
  const Handle pipe_end = AdoptOrFail(*loop, std::move(pipe.ours));
  ChainKeepsTheStack(*loop, "Nop", {.result = 0}, [](Operation& op) { op.PrepareNop(); });
  ChainKeepsTheStack(*loop, "Timer of zero", {.result = 0},
                     [](Operation& op) { op.PrepareTimer(0); });
  ChainKeepsTheStack(*loop, "Poll of a readable socket", {.result = POLLIN},
                     [&](Operation& op) { op.PreparePoll(readable, POLLIN); });
  ChainKeepsTheStack(*loop, "Recv of bytes that are there", {.result = 1},
                     [&](Operation& op) { op.PrepareRecv(readable, absl::MakeSpan(buffer), 0); });
  // A local stream charges a whole socket buffer for a byte: make room as it goes.
  ChainKeepsTheStack(*loop, "Send", {.result = 1}, [&](Operation& op) {
    ReadAvailable(peer.theirs.get());
    op.PrepareSend(writable, kByte, 0);
  });
  ChainKeepsTheStack(*loop, "Write to a pipe", {.result = 1},
                     [&](Operation& op) { op.PrepareWrite(pipe_end, kByte, kCurrentOffset); });
  ChainKeepsTheStack(*loop, "Recv on a stale handle", {.result = -EBADF},
                     [&](Operation& op) { op.PrepareRecv(Handle{}, absl::MakeSpan(buffer), 0); });
  ChainKeepsTheStack(*loop, "Timer that is cancelled at once",
                     {.result = -ECANCELED, .cancels = true},
                     [](Operation& op) { op.PrepareTimer(kSecondNs); });
  ChainKeepsTheStack(*loop, "Poll that is cancelled at once",
                     {.result = -ECANCELED, .cancels = true},
                     [&](Operation& op) { op.PreparePoll(writable, POLLIN); });
}

}  // namespace tenon::conformance::loop_rules
