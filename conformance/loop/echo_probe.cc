#include "tenon/conformance/loop/echo_probe.h"

#include <string>
#include <utility>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/sockets.h"

namespace tenon::conformance {
namespace {

constexpr std::string_view kPing = "ping of the probe";
constexpr std::string_view kPong = "pong";

}  // namespace

void EchoProbe::Adopt(Loop& loop) {
  const absl::Status status = TryAdopt(loop);
  EXPECT_TRUE(status.ok()) << "a socket was not adopted: " << status;
}

absl::Status EchoProbe::TryAdopt(Loop& loop) {
  DescriptorPair pair = MakeSocketPair();
  ours_ = pair.ours.get();
  theirs_ = std::move(pair.theirs);
  const absl::StatusOr<Handle> handle = loop.Adopt(std::move(pair.ours));
  if (handle.ok()) handle_ = *handle;
  return handle.status();
}

void EchoProbe::BeginRecv(Loop& loop) {
  recv_.Forget();
  recv_.PrepareRecv(handle_, absl::MakeSpan(buffer_), 0);
  loop.Submit(recv_);
}

void EchoProbe::ExpectWorks(Loop& loop, std::string_view when) {
  if (recv_.idle()) BeginRecv(loop);
  Settle(loop);
  ASSERT_FALSE(recv_.done()) << when
                             << " a Recv completed before anything was sent: " << recv_.Describe();
  WriteAll(theirs_.get(), kPing);
  ASSERT_TRUE(TurnUntilDone(loop, {&recv_}))
      << when << " a Recv did not complete though its bytes had come";
  ASSERT_EQ(recv_.final_result(), static_cast<int32_t>(kPing.size()))
      << when << " a Recv of bytes that had come: " << recv_.Describe();
  ASSERT_EQ(std::string_view(buffer_.data(), kPing.size()), kPing) << when << " wrong bytes came";
  send_.Forget();
  send_.PrepareSend(handle_, kPong, 0);
  loop.Submit(send_);
  ASSERT_TRUE(TurnUntilDone(loop, {&send_})) << when << " a Send with room did not complete";
  ASSERT_EQ(ReadExactly(theirs_.get(), kPong.size()), kPong) << when << " a Send sent nothing";
}

}  // namespace tenon::conformance
