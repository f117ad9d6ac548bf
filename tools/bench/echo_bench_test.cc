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
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tenon/core/loop/unique_fd.h"
#include "tenon/tools/bench/echo_client.h"
#include "tenon/tools/bench/echo_subjects.h"
#include "tenon/tools/bench/report.h"
#include "tenon/tools/bench/server_process.h"
#include "tenon/tools/bench/subject.h"

namespace tenon::bench {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMillisecond = 1'000'000;

bool HasChildren() { return waitpid(-1, nullptr, WNOHANG) != -1 || errno != ECHILD; }

EchoPlan SmallPlan(std::vector<EchoSubject> subjects) {
  EchoPlan plan;
  plan.subjects = std::move(subjects);
  plan.connections = {1, 3};
  plan.run.rounds = 2;
  plan.run.count_system_calls = false;
  plan.warm_up_ns = kMillisecond;
  plan.window_ns = 20 * kMillisecond;
  return plan;
}

EchoSubject SubjectThat(Serve serve) {
  return {.subject = Handwritten("bad", "a server that does it wrong"), .serve = std::move(serve)};
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
    if (Probe(subject.subject).ok()) usable.push_back(subject);
  }
  return usable;
}

class EverySubject : public ::testing::TestWithParam<EchoSubject> {};

void ExpectMeasured(const Report& report, absl::string_view bench, const std::string& subject) {
  for (const char* case_name : {"conns=1", "conns=3"}) {
    for (const char* metric :
         {"cpu_per_op", "throughput", "latency_p50", "latency_p99", "latency_p99.9"}) {
      const Result* result = FindResult(report, bench, case_name, subject, metric);
      ASSERT_NE(result, nullptr) << case_name << " " << metric;
      EXPECT_GT(result->summary.min, 0);
      EXPECT_EQ(result->summary.rounds, 2u);
    }
  }
  EXPECT_FALSE(HasChildren());
}

TEST_P(EverySubject, EchoesAndIsMeasured) {
  absl::StatusOr<Report> report = RunEcho(SmallPlan({GetParam()}));
  ASSERT_TRUE(report.ok()) << report.status();
  ExpectMeasured(*report, "echo", GetParam().subject.name);
}

TEST_P(EverySubject, ServesConnectionsThatLiveForOneEcho) {
  EchoPlan plan = SmallPlan({GetParam()});
  plan.name = "accept";
  plan.after_echo = AfterEcho::kReconnect;
  absl::StatusOr<Report> report = RunEcho(plan);
  ASSERT_TRUE(report.ok()) << report.status();
  ExpectMeasured(*report, "accept", GetParam().subject.name);
}

// A message takes at least one system call, and with one connection never ten.
TEST_P(EverySubject, HasItsSystemCallsCounted) {
  EchoPlan plan = SmallPlan({GetParam()});
  plan.connections = {1};
  plan.run.rounds = 1;
  plan.run.count_system_calls = true;
  absl::StatusOr<Report> report = RunEcho(plan);
  ASSERT_TRUE(report.ok()) << report.status();
  const Result* calls =
      FindResult(*report, "echo", "conns=1", GetParam().subject.name, "syscalls_per_op");
  if (calls == nullptr) {
    ASSERT_EQ(report->notes.size(), 2u);
    EXPECT_THAT(report->notes[1], HasSubstr("system calls are not counted"));
    return;
  }
  EXPECT_GE(calls->summary.median, 0.9);
  EXPECT_LT(calls->summary.median, 10);
  EXPECT_FALSE(HasChildren());
}

// More than a socket's buffers hold, so that the server has to wait until it can write, and read
// again after.
TEST_P(EverySubject, EchoesMoreThanASocketHolds) {
  absl::StatusOr<std::unique_ptr<ServerProcess>> server =
      ServerProcess::Start(GetParam().serve, {});
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
      ServerProcess::Start(GetParam().serve, {});
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
                           return absl::StrReplaceAll(info.param.subject.name, {{"-", "_"}});
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
  plan.run.cancel_fd = ends[0];
  EXPECT_TRUE(absl::IsCancelled(RunEcho(plan).status()));
  EXPECT_FALSE(HasChildren());
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace tenon::bench
