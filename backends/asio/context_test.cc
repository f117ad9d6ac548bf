// Loops over an io_context of the application: the loop runs it, or the application does.

#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <stdexcept>
#include <thread>

#include "boost/asio/post.hpp"
#include "boost/asio/steady_timer.hpp"
#include "gtest/gtest.h"
#include "tenon/backends/asio/asio.h"
#include "tenon/backends/asio/context_fixture.h"
#include "tenon/backends/asio/loop_driver.h"
#include "tenon/backends/epoll/epoll.h"
#include "tenon/core/loop/loop.h"

namespace tenon::asio {
namespace {

using std::chrono::milliseconds;

// ---- The loop runs. ----

TEST_F(ContextTest, HandlersOfTheApplicationRunInsideTurns) {
  int posted = 0;
  int fired = 0;
  boost::asio::steady_timer timer(*context_, milliseconds(2));
  timer.async_wait([&](const boost::system::error_code& error) {
    EXPECT_FALSE(error) << error.message();
    EXPECT_TRUE(loop_->in_turn());
    ++fired;
    EXPECT_EQ(::write(peer_.get(), "x", 1), 1);
  });
  boost::asio::post(*context_, [&] { ++posted; });
  BeginRecv(recv_);
  loop_->Run();
  EXPECT_EQ(posted, 1);
  EXPECT_EQ(fired, 1);
  EXPECT_EQ(recv_.completions, 1);
  EXPECT_EQ(recv_.last_result, 1);
}

TEST_F(ContextTest, AHandlerInsideATurnMayDoWhatACallbackMay) {
  CountedOperation nop, cancelled;
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd other_peer(sockets[1]);
  UniqueFd other(sockets[0]);
  char byte = 0;
  Handle adopted;
  BeginRecv(recv_);
  loop_->Poll();
  ASSERT_EQ(recv_.state(), OperationState::kInFlight);
  boost::asio::post(*context_, [&] {
    loop_->Close(handle_);
    absl::StatusOr<Handle> handle = loop_->Adopt(std::move(other));
    ASSERT_TRUE(handle.ok()) << handle.status();
    adopted = *handle;
    cancelled.PrepareRecv(adopted, absl::MakeSpan(&byte, 1), 0);
    loop_->Submit(cancelled);
    nop.PrepareNop();
    loop_->Submit(nop);
  });
  // Ends although nothing but the handler's submissions gives it a reason to.
  while (nop.completions == 0) loop_->RunOnce();
  EXPECT_EQ(recv_.last_result, -ECANCELED);
  ASSERT_EQ(cancelled.state(), OperationState::kInFlight);
  boost::asio::post(*context_, [&] { loop_->Cancel(cancelled); });
  while (cancelled.completions == 0) loop_->RunOnce();
  EXPECT_EQ(cancelled.last_result, -ECANCELED);
}

TEST_F(ContextTest, AHandlerThatPostsItselfDoesNotKeepTheLoop) {
  bool over = false;
  uint64_t runs = 0;
  std::function<void()> again = [&] {
    ++runs;
    if (!over) boost::asio::post(*context_, again);
  };
  again();
  CountedOperation timer;
  timer.PrepareTimer(2 * kMillisecondNs);
  loop_->Submit(timer);
  loop_->Run();
  EXPECT_EQ(timer.completions, 1);
  EXPECT_GT(runs, 1u);
  over = true;
  context_->poll();
}

TEST_F(ContextTest, AContextThatWasStoppedIsRunAllTheSame) {
  // By its application, also in mid-turn, and by having had nothing to do.
  context_->run();
  ASSERT_TRUE(context_->stopped());
  BeginRecv(recv_);
  loop_->Poll();
  boost::asio::post(*context_, [&] {
    context_->stop();
    EXPECT_EQ(::write(peer_.get(), "x", 1), 1);
  });
  loop_->Run();
  EXPECT_EQ(recv_.last_result, 1);
}

// Dies in a process that has made its own loop: one that was forked would be refused the parent's.
class ContextDeathTest : public ContextTest {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    ContextTest::SetUp();
  }
};

TEST_F(ContextDeathTest, AnExceptionOfAHandlerInsideATurnEndsTheProcess) {
  const auto turn = [&] {
    boost::asio::post(*context_, [] { throw std::runtime_error("of a handler"); });
    loop_->RunOnce();
  };
  EXPECT_DEATH(turn(), "of a handler");
}

TEST_F(ContextDeathTest, AContextRunByAnotherThreadIsNoticed) {
  BeginRecv(recv_);
  loop_->Poll();
  ASSERT_EQ(::write(peer_.get(), "x", 1), 1);
  EXPECT_DEATH(std::thread([&] { context_->run_one(); }).join(), "SUB-6");
  while (recv_.completions == 0) loop_->RunOnce();
}

// ---- The application runs. ----

TEST_F(ContextTest, BothMakeProgressWhileTheApplicationRuns) {
  constexpr int kTicks = 5;
  Owned<LoopDriver> driver = MakeDriver(*loop_);
  // Tenon echoes what the application's timer writes; the application ends it.
  int ticks = 0;
  int echoes = 0;
  boost::asio::steady_timer timer(*context_);
  std::function<void()> tick = [&] {
    timer.expires_after(milliseconds(1));
    timer.async_wait([&](const boost::system::error_code& error) {
      ASSERT_FALSE(error) << error.message();
      EXPECT_FALSE(loop_->in_turn());
      char echoed = 0;
      while (::recv(peer_.get(), &echoed, 1, MSG_DONTWAIT) == 1) ++echoes;
      if (echoes == kTicks) return context_->stop();
      if (++ticks <= kTicks) {
        ASSERT_EQ(::write(peer_.get(), "x", 1), 1);
      }
      tick();
    });
  };
  tick();
  struct Echo {
    Echo(Loop& loop, Handle handle) : loop(loop), handle(handle) { Receive(); }
    void Receive() {
      recv.PrepareRecv(handle, absl::MakeSpan(&byte, 1), 0);
      loop.Submit(recv);
    }
    Loop& loop;
    Handle handle;
    char byte = 0;
    Operation recv{[](Operation& operation) {
                     auto& echo = *static_cast<Echo*>(operation.context());
                     if (operation.result() != 1) return;
                     echo.send.PrepareSend(echo.handle, absl::MakeConstSpan(&echo.byte, 1), 0);
                     echo.loop.Submit(echo.send);
                   },
                   this};
    Operation send{[](Operation& operation) { static_cast<Echo*>(operation.context())->Receive(); },
                   this};
  };
  Echo echo(*loop_, handle_);
  context_->run_for(std::chrono::seconds(10));
  EXPECT_GE(ticks, kTicks);
  EXPECT_EQ(echoes, kTicks);
  loop_.reset();
}

TEST_F(ContextTest, TimersPostsAndWorkReachALoopThatIsDriven) {
  Owned<LoopDriver> driver = MakeDriver(*loop_);
  CountedOperation timer, work;
  int posted = 0;
  PostedTask task([](PostedTask& own) { ++*static_cast<int*>(own.context()); }, &posted);
  timer.PrepareTimer(2 * kMillisecondNs);
  work.PrepareWork([](void*) { return 7; }, nullptr);
  loop_->Submit(timer);
  loop_->Submit(work);
  std::thread poster([&] { loop_->Post(task); });
  while (timer.completions == 0 || work.completions == 0 || posted == 0) {
    ASSERT_EQ(context_->run_one_for(std::chrono::seconds(10)), 1u) << "the context is silent";
  }
  poster.join();
  EXPECT_EQ(work.last_result, 7);
}

TEST_F(ContextTest, AnExceptionOfAHandlerLeavesTheApplicationsRun) {
  Owned<LoopDriver> driver = MakeDriver(*loop_);
  BeginRecv(recv_);
  boost::asio::post(*context_, [] { throw std::runtime_error("of a handler"); });
  bool caught = false;
  ASSERT_EQ(::write(peer_.get(), "x", 1), 1);
  for (int i = 0; i < 100 && recv_.completions == 0; ++i) {
    try {
      context_->run_one_for(std::chrono::seconds(10));
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "of a handler");
      caught = true;
    }
  }
  EXPECT_TRUE(caught);
  EXPECT_EQ(recv_.last_result, 1);
}

TEST_F(ContextTest, DrivesLoopsOfOtherBackends) {
  absl::StatusOr<Owned<Loop>> guest = Loop::Create(epoll::Factory(), {}, allocator_);
  ASSERT_TRUE(guest.ok()) << guest.status();
  int sockets[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
  const UniqueFd peer(sockets[1]);
  const absl::StatusOr<Handle> handle = (*guest)->Adopt(UniqueFd(sockets[0]));
  ASSERT_TRUE(handle.ok()) << handle.status();
  Owned<LoopDriver> driver = MakeDriver(**guest);
  char byte = 0;
  CountedOperation recv;
  recv.PrepareRecv(*handle, absl::MakeSpan(&byte, 1), 0);
  (*guest)->Submit(recv);
  boost::asio::steady_timer timer(*context_, milliseconds(2));
  timer.async_wait([&](const boost::system::error_code&) {
    EXPECT_EQ(recv.state(), OperationState::kInFlight);
    EXPECT_EQ(::write(peer.get(), "x", 1), 1);
  });
  while (recv.completions == 0) {
    ASSERT_EQ(context_->run_one_for(std::chrono::seconds(10)), 1u) << "the context is silent";
  }
  EXPECT_EQ(recv.last_result, 1);
  driver.reset();
}

TEST_F(ContextTest, ADriverMayEndInACallbackOfItsLoop) {
  Owned<LoopDriver> driver = MakeDriver(*loop_);
  PostedTask task([](PostedTask& own) { static_cast<Owned<LoopDriver>*>(own.context())->reset(); },
                  &driver);
  loop_->Post(task);
  // Nothing is left that could keep it from returning.
  EXPECT_GT(context_->run_for(std::chrono::seconds(10)), 0u);
  EXPECT_TRUE(context_->stopped());
  EXPECT_EQ(driver, nullptr);
}

TEST_F(ContextTest, ALoopWithADriverMayRunByItself) {
  Owned<LoopDriver> driver = MakeDriver(*loop_);
  CountedOperation timer;
  for (int round = 0; round < 3; ++round) {
    BeginRecv(recv_);
    timer.PrepareTimer(2 * kMillisecondNs);
    loop_->Submit(timer);
    ASSERT_EQ(::write(peer_.get(), "x", 1), 1);
    if (round % 2 == 0) {
      loop_->Run();
    } else {
      while (timer.completions <= round || recv_.completions <= round) {
        ASSERT_EQ(context_->run_one_for(std::chrono::seconds(10)), 1u) << "the context is silent";
      }
    }
    EXPECT_EQ(timer.completions, round + 1);
    EXPECT_EQ(recv_.completions, round + 1);
  }
  EXPECT_TRUE(loop_->Drain().ok());
}

TEST_F(ContextTest, ADriverNeedsALoopThatCanBeWatched) {
  absl::StatusOr<Owned<Loop>> own = Loop::Create(Factory(), {}, allocator_);
  ASSERT_TRUE(own.ok()) << own.status();
  EXPECT_EQ(LoopDriver::Create(*context_, **own).status().code(), absl::StatusCode::kUnimplemented);
}

TEST_F(ContextDeathTest, ATurnInsideAHandlerCannotWait) {
  BeginRecv(recv_);
  const auto turn_inside = [&] {
    boost::asio::post(*context_, [&] { loop_->RunOnce(); });
    context_->run_one();
  };
  EXPECT_DEATH(turn_inside(), "LoopDriver");
}

TEST_F(ContextTest, ATurnInsideAHandlerTakesWhatIsThere) {
  BeginRecv(recv_);
  loop_->Poll();
  ASSERT_EQ(::write(peer_.get(), "x", 1), 1);
  // The loop's wait ends first; the handler that turns the loop comes after it.
  context_->run_one();
  EXPECT_EQ(recv_.completions, 0) << "a callback ran outside of a turn";
  boost::asio::post(*context_, [&] { loop_->Poll(); });
  while (recv_.completions == 0) {
    ASSERT_EQ(context_->run_one_for(std::chrono::seconds(10)), 1u);
  }
  EXPECT_EQ(recv_.last_result, 1);
}

}  // namespace
}  // namespace tenon::asio
