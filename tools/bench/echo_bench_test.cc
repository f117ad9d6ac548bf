#include "tenon/tools/bench/echo_bench.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/echo_client.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/server_process.h"

namespace tenon::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int64_t kMillisecond = 1'000'000;

bool HasChildren() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

EchoPlan SmallPlan(std::vector<EchoSubject> subjects) {
  EchoPlan plan;
  plan.subjects = std::move(subjects);
  plan.connections = {1, 3};
  plan.rounds = 2;
  plan.warm_up_ns = kMillisecond;
  plan.window_ns = 20 * kMillisecond;
  return plan;
}

EchoSubject SubjectThat(absl::Status (*serve)(int listen_fd)) {
  return {.name = "bad", .description = "a server that does it wrong", .serve = serve};
}

// Accepts one connection and answers each message with `answer` of it.
absl::Status Answer(int listen_fd, void (*answer)(std::string& message)) {
  fcntl(listen_fd, F_SETFL, 0);
  const int socket = accept(listen_fd, nullptr, nullptr);
  std::string message(kMessageSize, '\0');
  while (recv(socket, message.data(), kMessageSize, MSG_WAITALL) > 0) {
    std::string text = message;
    answer(text);
    if (text.empty()) break;
    send(socket, text.data(), text.size(), 0);
  }
  return absl::InternalError("done");
}

// The subjects that can be measured with what is linked and what the kernel has.
std::vector<EchoSubject> UsableSubjects() {
  std::vector<EchoSubject> usable;
  for (const EchoSubject& subject : EchoSubjects()) {
    if (subject.probe == nullptr || subject.probe().ok()) usable.push_back(subject);
  }
  return usable;
}

class EverySubject : public ::testing::TestWithParam<EchoSubject> {};

TEST_P(EverySubject, EchoesAndIsMeasured) {
  absl::StatusOr<Report> report = RunEcho(SmallPlan({GetParam()}));
  ASSERT_TRUE(report.ok()) << report.status();
  for (const char* case_name : {"conns=1", "conns=3"}) {
    for (const char* metric : {"cpu_per_op", "throughput"}) {
      const Result* result = FindResult(*report, "echo", case_name, GetParam().name, metric);
      ASSERT_NE(result, nullptr) << case_name << " " << metric;
      EXPECT_GT(result->summary.min, 0);
      EXPECT_EQ(result->summary.rounds, 2u);
    }
  }
  EXPECT_FALSE(HasChildren());
}

// More than a socket's buffers hold, so that the server has to wait until it can write, and read
// again after.
TEST_P(EverySubject, EchoesMoreThanASocketHolds) {
  absl::StatusOr<std::unique_ptr<ServerProcess>> server =
      ServerProcess::Start(GetParam().serve, AllowedCpus()->front());
  ASSERT_TRUE(server.ok()) << server.status();
  absl::StatusOr<UniqueFd> socket = ConnectTo((*server)->port());
  ASSERT_TRUE(socket.ok()) << socket.status();

  std::string sent(size_t{32} << 20, '\0');
  for (size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7 + i / 4096);
  // Written to until nothing is taken any more: only then has the server been made to wait.
  size_t written = 0;
  std::string echoed;
  std::string buffer(size_t{1} << 16, '\0');
  bool has_blocked = false;
  while (echoed.size() < sent.size()) {
    const ssize_t taken = written == sent.size()
                              ? 0
                              : send(socket->get(), sent.data() + written, sent.size() - written,
                                     MSG_DONTWAIT | MSG_NOSIGNAL);
    if (taken > 0) {
      written += static_cast<size_t>(taken);
      continue;
    }
    ASSERT_TRUE(taken == 0 || errno == EAGAIN) << errno;
    has_blocked = has_blocked || taken < 0;
    const ssize_t count = recv(socket->get(), buffer.data(), buffer.size(), 0);
    ASSERT_GT(count, 0) << errno;
    echoed.append(buffer.data(), static_cast<size_t>(count));
  }
  EXPECT_TRUE(has_blocked);
  EXPECT_TRUE(echoed == sent);
}

TEST_P(EverySubject, EndsAConnectionThatItsPeerHasEnded) {
  absl::StatusOr<std::unique_ptr<ServerProcess>> server =
      ServerProcess::Start(GetParam().serve, AllowedCpus()->front());
  ASSERT_TRUE(server.ok()) << server.status();
  absl::StatusOr<UniqueFd> socket = ConnectTo((*server)->port());
  ASSERT_TRUE(socket.ok()) << socket.status();
  // Message and end of file arrive together.
  ASSERT_EQ(send(socket->get(), "last", 4, MSG_MORE), 4);
  ASSERT_EQ(shutdown(socket->get(), SHUT_WR), 0);
  char echo[8];
  ASSERT_EQ(recv(socket->get(), echo, 4, MSG_WAITALL), 4);
  EXPECT_EQ(recv(socket->get(), echo, sizeof(echo), 0), 0);
}

INSTANTIATE_TEST_SUITE_P(All, EverySubject, ::testing::ValuesIn(UsableSubjects()),
                         [](const auto& info) {
                           return absl::StrReplaceAll(info.param.name, {{"-", "_"}});
                         });

TEST(RunEchoTest, SaysWhichServerEndedAndWhy) {
  absl::StatusOr<Report> report = RunEcho(SmallPlan({SubjectThat(
      [](int) { return absl::Status(absl::ResourceExhaustedError("no rings left")); })}));
  EXPECT_THAT(report.status().message(), HasSubstr("subject bad, conns=1"));
  EXPECT_THAT(report.status().message(), HasSubstr("no rings left"));
  EXPECT_FALSE(HasChildren());
}

TEST(RunEchoTest, RefusesAnEchoThatIsNotWhatWasSent) {
  absl::StatusOr<Report> report = RunEcho(SmallPlan({SubjectThat([](int listen_fd) {
    return Answer(listen_fd, [](std::string& message) { message.back() ^= 1; });
  })}));
  EXPECT_TRUE(absl::IsDataLoss(report.status())) << report.status();
  EXPECT_FALSE(HasChildren());
}

TEST(RunEchoTest, RefusesAnEchoThatIsTooLong) {
  absl::StatusOr<Report> report = RunEcho(SmallPlan({SubjectThat([](int listen_fd) {
    return Answer(listen_fd, [](std::string& message) { message += 'x'; });
  })}));
  EXPECT_TRUE(absl::IsDataLoss(report.status())) << report.status();
  EXPECT_FALSE(HasChildren());
}

TEST(RunEchoTest, RefusesAServerThatHangsUp) {
  absl::StatusOr<Report> report = RunEcho(SmallPlan({SubjectThat([](int listen_fd) {
    return Answer(listen_fd, [](std::string& message) { message.clear(); });
  })}));
  EXPECT_TRUE(absl::IsUnavailable(report.status())) << report.status();
  EXPECT_FALSE(HasChildren());
}

TEST(RunEchoTest, EndsAtOnceWhenCancelled) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_EQ(write(ends[1], "x", 1), 1);
  EchoPlan plan = SmallPlan({SubjectThat([](int) {
    pause();
    return absl::OkStatus();
  })});
  plan.cancel_fd = ends[0];
  EXPECT_TRUE(absl::IsCancelled(RunEcho(plan).status()));
  EXPECT_FALSE(HasChildren());
  close(ends[0]);
  close(ends[1]);
}

TEST(RunEchoTest, BeginsEachRoundWithAnotherSubject) {
  EchoSubject first = EchoSubjects()[0];
  EchoSubject second = first;
  first.name = "first";
  second.name = "second";
  EchoPlan plan = SmallPlan({first, second});
  plan.connections = {1};
  std::vector<std::string> order;
  plan.progress = [&](absl::string_view text) {
    order.push_back(absl::StrContains(text, "first") ? "first" : "second");
  };
  ASSERT_TRUE(RunEcho(plan).ok());
  EXPECT_THAT(order, ::testing::ElementsAre("first", "second", "second", "first"));
}

EchoSeries Series(absl::string_view subject, bool ours, double cpu_ns, double busy,
                  double displaced = 0) {
  return {.subject = std::string(subject),
          .ours = ours,
          .samples = std::vector<EchoSample>(5, {.cpu_ns = cpu_ns,
                                                 .user_ticks = 1,
                                                 .system_ticks = 3,
                                                 .requests_per_second = 1e9 / cpu_ns,
                                                 .server_busy = busy,
                                                 .server_displaced = displaced})};
}

TEST(AddEchoCaseTest, ComparesOursWithEachPeer) {
  Report report;
  ASSERT_TRUE(AddEchoCase(64,
                          {Series("epoll", true, 3000, 1), Series("libuv", false, 4000, 1),
                           Series("raw-asio", false, 6000, 1)},
                          true, report)
                  .ok());
  EXPECT_EQ(report.results.size(), 12u);
  ASSERT_EQ(report.ratios.size(), 4u);
  EXPECT_EQ(report.ratios[0].peer, "libuv");
  EXPECT_EQ(report.ratios[0].ratio, 0.75);
  EXPECT_EQ(report.ratios[2].peer, "raw-asio");
  EXPECT_EQ(report.ratios[2].ratio, 0.5);
  EXPECT_THAT(report.notes, IsEmpty());
}

TEST(AddEchoCaseTest, DividesCpuTimeByTheShareOfTicksOfAllRounds) {
  EchoSeries series = Series("epoll", true, 4000, 1);
  series.samples[0].user_ticks = 6;  // 10 of 25 are user ticks now.
  Report report;
  ASSERT_TRUE(AddEchoCase(64, {series}, true, report).ok());
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "cpu_per_op")->summary.median, 4000);
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "user_cpu_per_op")->summary.median,
            1600);
  EXPECT_EQ(FindResult(report, "echo", "conns=64", "epoll", "sys_cpu_per_op")->summary.median,
            2400);
}

TEST(AddEchoCaseTest, NoThroughputRatioWhereTheServerWasIdle) {
  Report report;
  ASSERT_TRUE(AddEchoCase(64, {Series("epoll", true, 3000, 0.8), Series("libuv", false, 4000, 1)},
                          true, report)
                  .ok());
  ASSERT_EQ(report.ratios.size(), 1u);
  EXPECT_EQ(report.ratios[0].metric, "cpu_per_op");
  ASSERT_EQ(report.notes.size(), 1u);
  EXPECT_THAT(report.notes[0], HasSubstr("epoll 80 %"));
  EXPECT_THAT(report.notes[0], HasSubstr("client was the bottleneck"));
}

TEST(AddEchoCaseTest, SaysWhatOtherProcessesTook) {
  Report report;
  ASSERT_TRUE(AddEchoCase(64, {Series("epoll", true, 3000, 0.5, 0.5)}, true, report).ok());
  ASSERT_EQ(report.notes.size(), 2u);
  EXPECT_THAT(report.notes[0], HasSubstr("other processes took"));
}

TEST(AddEchoCaseTest, NoThroughputRatioOnOneProcessor) {
  Report report;
  ASSERT_TRUE(AddEchoCase(64, {Series("epoll", true, 3000, 1), Series("libuv", false, 4000, 1)},
                          false, report)
                  .ok());
  ASSERT_EQ(report.ratios.size(), 1u);
  EXPECT_EQ(report.ratios[0].metric, "cpu_per_op");
}

TEST(AddEchoCaseTest, RefusesASeriesWithoutSamples) {
  Report report;
  EXPECT_TRUE(absl::IsInvalidArgument(AddEchoCase(64, {EchoSeries()}, true, report)));
}

}  // namespace
}  // namespace tenon::bench
