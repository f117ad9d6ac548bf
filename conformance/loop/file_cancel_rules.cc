// FIL-2: what a cancelled file operation says is what happened to the file.

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance {
namespace {

// Looks until the system shows the effect of an operation that nobody has reaped yet.
bool EffectAppears(absl::FunctionRef<bool()> effect) {
  constexpr int kLooks = 2'000'000;
  for (int look = 0; look < kLooks; ++look) {
    if (effect()) return true;
    ::sched_yield();
  }
  return false;
}

bool Exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

int64_t SizeOf(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_size : -1;
}

std::string ContentsOf(const std::string& path) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string bytes(SizeOf(path), '?');
  const ssize_t count = ::pread(file.get(), bytes.data(), bytes.size(), 0);
  bytes.resize(std::max<ssize_t>(count, 0));
  return bytes;
}

// Counts which of the situations that matter a rule has met.
struct Met {
  int cancelled = 0;
  int finished = 0;
  int cancelled_after_effect = 0;
};

// When, after Submit, a cancel comes.
enum class Moment {
  kBeforeTurn,   // the loop has it still
  kAfterTurn,    // somebody has begun, or is about to
  kAfterMoment,  // somewhere in the middle, or at the end
  kAfterEffect,  // the effect is there, the completion is not
};

constexpr Moment kMoments[] = {Moment::kBeforeTurn, Moment::kAfterTurn, Moment::kAfterMoment,
                               Moment::kAfterEffect};

// Submits `operation`, cancels it at `moment`, and turns until it has completed. `effect` tells
// whether the system shows it.
void SubmitAndCancel(LoopRule& rule, Loop& loop, RecordingOperation& operation, Moment moment,
                     absl::FunctionRef<bool()> effect, Met& met) {
  loop.Submit(operation);
  if (moment != Moment::kBeforeTurn) loop.Poll();
  if (moment == Moment::kAfterMoment) {
    const uint64_t delay = rule.random()() % 20'000;
    for (std::atomic<uint64_t> spun = 0; spun < delay; ++spun) {
    }
  }
  if (moment == Moment::kAfterEffect) {
    ASSERT_TRUE(EffectAppears(effect)) << OpcodeName(operation.opcode()) << " has no effect";
    if (!operation.done()) ++met.cancelled_after_effect;
  }
  loop.Cancel(operation);
  ASSERT_TRUE(TurnUntilDone(loop, {&operation})) << operation.Describe();
  ASSERT_EQ(operation.finals(), 1) << operation.Describe();
  ++(operation.final_result() == -ECANCELED ? met.cancelled : met.finished);
}

// A write of `bytes` at the end of a file of `before` bytes.
void CancelWrite(LoopRule& rule, Loop& loop, size_t size, Moment moment, bool at_position,
                 Met& met) {
  const std::string path = absl::StrCat(rule.temporary_directory(), "/written");
  constexpr size_t kBefore = 1'000;
  const std::string before(kBefore, 'b');
  std::string bytes(size, 'n');
  RecordingOperation write;
  const GiveUpAtExit give_up_at_exit(loop, {&write});
  UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  ASSERT_EQ(::write(file.get(), before.data(), before.size()), static_cast<ssize_t>(kBefore));
  // Shares the position that the loop's descriptor has.
  const UniqueFd duplicate(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  const Handle handle = AdoptOrFail(loop, std::move(file));
  write.PrepareWrite(handle, absl::MakeConstSpan(bytes), at_position ? kCurrentOffset : kBefore);
  const int64_t whole = kBefore + size;
  ASSERT_NO_FATAL_FAILURE(SubmitAndCancel(
      rule, loop, write, moment, [&] { return SizeOf(path) == whole; }, met));

  const int32_t result = write.final_result();
  const std::string contents = ContentsOf(path);
  const size_t written = contents.size() - std::min(contents.size(), kBefore);
  if (result == -ECANCELED) {
    EXPECT_EQ(written, 0u) << "a Write that took effect reports -ECANCELED: of " << size
                           << " bytes the file has " << written;
    EXPECT_EQ(::lseek(duplicate.get(), 0, SEEK_CUR), static_cast<off_t>(kBefore))
        << "a Write that reports -ECANCELED moved the position";
  } else {
    ASSERT_GE(result, 0) << "a cancelled Write reports " << ResultText(result);
    EXPECT_EQ(written, static_cast<size_t>(result))
        << "a cancelled Write of " << size << " bytes reports " << result << "; the file has "
        << written;
    EXPECT_TRUE(contents == before + bytes.substr(0, result)) << "the file holds something else";
    const off_t position = kBefore + (at_position ? result : 0);
    EXPECT_EQ(::lseek(duplicate.get(), 0, SEEK_CUR), position) << "the position after a Write";
  }
  loop.Close(handle);
}

void CancelRead(LoopRule& rule, Loop& loop, const std::string& path, Moment moment, Met& met) {
  const std::string contents = ContentsOf(path);
  std::string bytes(contents.size(), '?');
  RecordingOperation read;
  const GiveUpAtExit give_up_at_exit(loop, {&read});
  const Handle handle = AdoptOrFail(loop, UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)));
  read.PrepareRead(handle, absl::MakeSpan(bytes.data(), bytes.size()), 0);
  // The system does not show that a file was read.
  if (moment == Moment::kAfterEffect) moment = Moment::kAfterMoment;
  const auto effect = [] { return false; };
  ASSERT_NO_FATAL_FAILURE(SubmitAndCancel(rule, loop, read, moment, effect, met));
  const int32_t result = read.final_result();
  if (result != -ECANCELED) {
    ASSERT_GE(result, 0) << "a cancelled Read reports " << ResultText(result);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.begin() + result, contents.begin()))
        << "a cancelled Read reports " << result << " bytes that it did not read";
  }
  loop.Close(handle);
}

// Operations on names happen or do not.
void CancelOnPath(LoopRule& rule, Loop& loop, Opcode opcode, Moment moment, Met& met) {
  const std::string path = absl::StrCat(rule.temporary_directory(), "/name");
  const std::string to = path + ".to";
  const bool makes = opcode == Opcode::kMkdir || opcode == Opcode::kOpenAt;
  if (!makes) UniqueFd(::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)).Reset();
  ASSERT_EQ(Exists(path), !makes);
  RecordingOperation operation;
  const GiveUpAtExit give_up_at_exit(loop, {&operation});
  const Handle cwd = kCurrentDirectory;
  if (opcode == Opcode::kMkdir) operation.PrepareMkdir(cwd, path.c_str(), 0700);
  if (opcode == Opcode::kOpenAt) {
    operation.PrepareOpenAt(cwd, path.c_str(), O_WRONLY | O_CREAT, 0600);
  }
  if (opcode == Opcode::kUnlink) operation.PrepareUnlink(cwd, path.c_str(), 0);
  if (opcode == Opcode::kRename) operation.PrepareRename(cwd, path.c_str(), cwd, to.c_str(), 0);
  const auto effect = [&] {
    return opcode == Opcode::kRename ? Exists(to) && !Exists(path) : Exists(path) == makes;
  };
  const Met met_before = met;
  ASSERT_NO_FATAL_FAILURE(SubmitAndCancel(rule, loop, operation, moment, effect, met));
  const int32_t result = operation.final_result();
  if (opcode == Opcode::kOpenAt) {
    // Its result is the descriptor, which a cancel takes back: the file is no contradiction.
    if (result >= 0) UniqueFd(result).Reset();
    EXPECT_TRUE(result >= 0 || result == -ECANCELED) << ResultText(result);
    EXPECT_TRUE(result < 0 || Exists(path)) << "OpenAt succeeded and made no file";
    if (met.cancelled_after_effect > met_before.cancelled_after_effect) {
      EXPECT_EQ(result, -ECANCELED) << "an OpenAt cancelled before its callback";
    }
  } else {
    EXPECT_TRUE(result == 0 || result == -ECANCELED) << ResultText(result);
    EXPECT_EQ(result == 0, effect())
        << "a cancelled " << OpcodeName(opcode) << " reports " << ResultText(result) << ", and "
        << (effect() ? "took effect" : "took none");
  }
  ::unlink(path.c_str());
  ::rmdir(path.c_str());
  ::unlink(to.c_str());
}

}  // namespace

namespace loop_rules {

void FIL_2(LoopRule& rule) {
  constexpr int kRounds = 12;
  constexpr size_t kSizes[] = {1, 4'096, 1 << 20, 6 << 20};
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  Met met;
  for (int round = 0; round < kRounds; ++round) {
    const size_t size = kSizes[round % std::size(kSizes)];
    for (const Moment moment : kMoments) {
      SCOPED_TRACE(
          absl::StrCat("round ", round, ", cancelled at moment ", static_cast<int>(moment)));
      ASSERT_NO_FATAL_FAILURE(CancelWrite(rule, *loop, size, moment, round % 3 == 2, met));
      ASSERT_NO_FATAL_FAILURE(CancelRead(
          rule, *loop, absl::StrCat(rule.temporary_directory(), "/written"), moment, met));
      for (const Opcode opcode :
           {Opcode::kMkdir, Opcode::kOpenAt, Opcode::kRename, Opcode::kUnlink}) {
        ASSERT_NO_FATAL_FAILURE(CancelOnPath(rule, *loop, opcode, moment, met));
      }
      ASSERT_FALSE(testing::Test::HasFailure());
    }
  }
  EXPECT_GT(met.cancelled, 0) << "no file operation was ever cancelled, not even before a turn";
  if (met.cancelled_after_effect == 0 && !rule.Has("native_files")) {
    rule.Inconclusive("no operation was cancelled between its effect and its completion");
  }
}

}  // namespace loop_rules
}  // namespace tenon::conformance
