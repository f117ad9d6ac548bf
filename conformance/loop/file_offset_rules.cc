// FIL-1: operations on files and paths do what the system calls do.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/conformance/rules/loop_rule.h"

namespace tenon::conformance {
namespace {

constexpr int64_t kFourGiB = int64_t{1} << 32;

// Submits an operation that `prepare` prepared, and returns its result.
int32_t Perform(Loop& loop, const std::function<void(Operation&)>& prepare) {
  RecordingOperation operation;
  const GiveUpAtExit give_up_at_exit(loop, {&operation});
  prepare(operation);
  loop.Submit(operation);
  EXPECT_TRUE(TurnUntilDone(loop, {&operation}))
      << "a file operation never completed: " << operation.Describe();
  return operation.done() ? operation.final_result() : -ETIMEDOUT;
}

// The same file twice: through the loop, and through system calls.
class TwoFaced {
 public:
  TwoFaced(Loop& loop, std::string path) : loop_(loop), path_(std::move(path)) {
    UniqueFd ours(::open(path_.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    EXPECT_TRUE(ours.ok()) << "open of " << path_ << ": " << std::strerror(errno);
    theirs_ = UniqueFd(::open(path_.c_str(), O_RDWR | O_CLOEXEC));
    handle_ = AdoptOrFail(loop, std::move(ours));
  }
  ~TwoFaced() { loop_.Close(handle_); }
  TwoFaced(const TwoFaced&) = delete;
  TwoFaced& operator=(const TwoFaced&) = delete;

  const std::string& path() const { return path_; }
  Handle handle() const { return handle_; }
  int theirs() const { return theirs_.get(); }

  int32_t Write(std::string_view bytes, int64_t offset) {
    return Perform(loop_, [&](Operation& operation) {
      operation.PrepareWrite(handle_, absl::MakeConstSpan(bytes.data(), bytes.size()), offset);
    });
  }

  // What the loop reads, and the result in `*result`.
  std::string Read(size_t size, int64_t offset, int32_t* result) {
    std::string bytes(size, '?');
    *result = Perform(loop_, [&](Operation& operation) {
      operation.PrepareRead(handle_, absl::MakeSpan(bytes.data(), bytes.size()), offset);
    });
    bytes.resize(*result > 0 ? static_cast<size_t>(*result) : 0);
    return bytes;
  }

  // What the system reads.
  std::string SystemRead(size_t size, int64_t offset) const {
    std::string bytes(size, '?');
    const ssize_t count = ::pread64(theirs(), bytes.data(), size, offset);
    bytes.resize(count > 0 ? static_cast<size_t>(count) : 0);
    return bytes;
  }

  int64_t SystemSize() const {
    struct stat status = {};
    EXPECT_EQ(::fstat(theirs(), &status), 0);
    return status.st_size;
  }

 private:
  Loop& loop_;
  const std::string path_;
  UniqueFd theirs_;
  Handle handle_;
};

void ExpectStatAgrees(Loop& loop, const TwoFaced& file) {
  struct statx of_path = {};
  struct statx of_handle = {};
  EXPECT_EQ(Perform(loop,
                    [&](Operation& operation) {
                      operation.PrepareStatx(kCurrentDirectory, file.path().c_str(), 0,
                                             STATX_BASIC_STATS, &of_path);
                    }),
            0);
  EXPECT_EQ(Perform(loop,
                    [&](Operation& operation) {
                      operation.PrepareStatx(file.handle(), "", AT_EMPTY_PATH, STATX_BASIC_STATS,
                                             &of_handle);
                    }),
            0);
  struct stat expected = {};
  ASSERT_EQ(::fstat(file.theirs(), &expected), 0);
  for (const struct statx* status : {&of_path, &of_handle}) {
    EXPECT_EQ(static_cast<int64_t>(status->stx_size), expected.st_size) << "size by Statx";
    EXPECT_EQ(status->stx_ino, expected.st_ino) << "inode by Statx";
    EXPECT_EQ(status->stx_mode, expected.st_mode) << "mode by Statx";
  }
}

// Offsets on both sides of where 32 bits end, and whose lower halves are another's.
void UseFarOffsets(LoopRule& rule, Loop& loop, TwoFaced& file) {
  const int64_t far[] = {kFourGiB - 3,      kFourGiB,         kFourGiB + 1,    kFourGiB + 4096,
                         2 * kFourGiB + 77, kFourGiB / 2 - 2, kFourGiB / 2 + 9};
  for (const int64_t offset : far) {
    SCOPED_TRACE(absl::StrCat("offset ", offset));
    const std::string bytes = absl::StrCat("bytes ", rule.random()());
    const int64_t alias = offset & (kFourGiB - 1);
    const std::string at_alias = alias == offset ? "" : file.SystemRead(bytes.size(), alias);
    ASSERT_EQ(file.Write(bytes, offset), static_cast<int32_t>(bytes.size()))
        << "result of a Write at " << offset;
    ASSERT_EQ(file.SystemRead(bytes.size(), offset), bytes)
        << "a Write at " << offset << " is not where pread finds it";
    if (alias != offset) {
      EXPECT_EQ(file.SystemRead(bytes.size(), alias), at_alias)
          << "a Write at " << offset << " changed what stands at " << alias;
    }
    ExpectStatAgrees(loop, file);

    const std::string others = absl::StrCat("others ", rule.random()());
    ASSERT_EQ(::pwrite64(file.theirs(), others.data(), others.size(), offset),
              static_cast<ssize_t>(others.size()));
    int32_t result = 0;
    ASSERT_EQ(file.Read(others.size(), offset, &result), others)
        << "a Read at " << offset << " returned " << ResultText(result)
        << " and not what pwrite put there";
  }
}

void MeetTheEnd(TwoFaced& file) {
  const int64_t end = file.SystemSize();
  int32_t result = -1;
  EXPECT_EQ(file.Read(16, end, &result), "");
  EXPECT_EQ(result, 0) << "a Read at the end of the file";
  EXPECT_EQ(file.Read(16, end + kFourGiB, &result), "");
  EXPECT_EQ(result, 0) << "a Read behind the end of the file";
  EXPECT_EQ(file.Read(16, end - 5, &result), file.SystemRead(5, end - 5));
  EXPECT_EQ(result, 5) << "a Read across the end of the file";
  EXPECT_EQ(file.Read(0, 0, &result), "");
  EXPECT_EQ(result, 0) << "a Read of nothing";
  EXPECT_EQ(file.Read(1, -2, &result), "");
  EXPECT_EQ(result, -EINVAL) << "a Read at a negative offset";
  EXPECT_EQ(file.Write("x", -2), -EINVAL) << "a Write at a negative offset";
  EXPECT_EQ(file.SystemSize(), end);
}

// kCurrentOffset moves the descriptor's position, also one beyond 4 GiB; an offset does not.
void UsePosition(Loop& loop, TwoFaced& file) {
  const int fd = loop.Descriptor(file.handle());
  const int64_t start = kFourGiB + 1'000;
  ASSERT_EQ(::lseek64(fd, start, SEEK_SET), start);
  EXPECT_EQ(file.Write("first", kCurrentOffset), 5);
  EXPECT_EQ(file.Write("second", kCurrentOffset), 6);
  EXPECT_EQ(file.Write("elsewhere", 10), 9);
  EXPECT_EQ(::lseek64(fd, 0, SEEK_CUR), start + 11) << "the position after two Writes of 11 bytes";
  EXPECT_EQ(file.SystemRead(11, start), "firstsecond");
  ASSERT_EQ(::lseek64(fd, start, SEEK_SET), start);
  int32_t result = 0;
  EXPECT_EQ(file.Read(5, kCurrentOffset, &result), "first");
  EXPECT_EQ(file.Read(6, kCurrentOffset, &result), "second");
}

void ExpectSynced(Loop& loop, const TwoFaced& file) {
  for (const bool data_only : {false, true}) {
    EXPECT_EQ(Perform(loop, [&](Operation& op) { op.PrepareFsync(file.handle(), data_only); }), 0)
        << "Fsync of a file";
  }
}

// One round of each operation on paths, relative to a directory's handle where that is possible.
void UsePaths(LoopRule& rule, Loop& loop) {
  const std::string root = absl::StrCat(rule.temporary_directory(), "/paths");
  const Handle cwd = kCurrentDirectory;
  EXPECT_EQ(Perform(loop, [&](Operation& op) { op.PrepareMkdir(cwd, root.c_str(), 0700); }), 0);
  EXPECT_EQ(Perform(loop, [&](Operation& op) { op.PrepareMkdir(cwd, root.c_str(), 0700); }),
            -EEXIST);
  const Handle directory =
      AdoptOrFail(loop, UniqueFd(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
  const auto open = [&](const char* name, int flags) {
    return UniqueFd(
        Perform(loop, [&](Operation& op) { op.PrepareOpenAt(directory, name, flags, 0640); }));
  };
  const UniqueFd made = open("a", O_RDWR | O_CREAT | O_EXCL);
  ASSERT_TRUE(made.ok()) << "OpenAt with O_CREAT";
  EXPECT_NE(::fcntl(made.get(), F_GETFD) & FD_CLOEXEC, 0)
      << "a descriptor of OpenAt is not close-on-exec";
  EXPECT_EQ(::access((root + "/a").c_str(), F_OK), 0) << "OpenAt made no file";
  EXPECT_EQ(Perform(loop, [&](Operation& op) { op.PrepareOpenAt(directory, "none", O_RDONLY, 0); }),
            -ENOENT);
  EXPECT_EQ(
      Perform(loop, [&](Operation& op) { op.PrepareRename(directory, "a", directory, "b", 0); }),
      0);
  EXPECT_NE(::access((root + "/a").c_str(), F_OK), 0) << "Rename left the old name";
  EXPECT_EQ(::access((root + "/b").c_str(), F_OK), 0) << "Rename made no new name";
  const std::string elsewhere = root + "/c";
  EXPECT_EQ(
      Perform(loop,
              [&](Operation& op) { op.PrepareRename(directory, "a", cwd, elsewhere.c_str(), 0); }),
      -ENOENT);
  EXPECT_EQ(Perform(loop, [&](Operation& op) { op.PrepareUnlink(directory, "b", 0); }), 0);
  EXPECT_NE(::access((root + "/b").c_str(), F_OK), 0) << "Unlink left the name";
  EXPECT_EQ(Perform(loop, [&](Operation& op) { op.PrepareUnlink(directory, "b", 0); }), -ENOENT);
  EXPECT_EQ(
      Perform(loop, [&](Operation& op) { op.PrepareUnlink(cwd, root.c_str(), AT_REMOVEDIR); }), 0);
  EXPECT_NE(::access(root.c_str(), F_OK), 0) << "Unlink with AT_REMOVEDIR left the directory";
  loop.Close(directory);
}

// Errors are those of the system calls.
void MeetErrors(LoopRule& rule, Loop& loop, const TwoFaced& file) {
  char byte = 'x';
  struct statx status = {};
  const Handle read_only =
      AdoptOrFail(loop, UniqueFd(::open(file.path().c_str(), O_RDONLY | O_CLOEXEC)));
  EXPECT_EQ(
      Perform(loop,
              [&](Operation& op) { op.PrepareWrite(read_only, absl::MakeConstSpan(&byte, 1), 0); }),
      -EBADF)
      << "a Write on a descriptor opened to read";
  const Handle directory =
      AdoptOrFail(loop, UniqueFd(::open(rule.temporary_directory().c_str(), O_RDONLY | O_CLOEXEC)));
  EXPECT_EQ(
      Perform(loop, [&](Operation& op) { op.PrepareRead(directory, absl::MakeSpan(&byte, 1), 0); }),
      -EISDIR)
      << "a Read on a directory";
  EXPECT_EQ(
      Perform(loop,
              [&](Operation& op) { op.PrepareStatx(directory, "none", 0, STATX_SIZE, &status); }),
      -ENOENT)
      << "Statx of a name that is not there";
  loop.Close(read_only);
  loop.Close(directory);
}

}  // namespace

namespace loop_rules {

void FIL_1(LoopRule& rule) {
  const Owned<Loop> loop = MakeLoop(rule);
  ASSERT_NE(loop, nullptr);
  TwoFaced file(*loop, absl::StrCat(rule.temporary_directory(), "/far"));
  ASSERT_FALSE(testing::Test::HasFailure());
  // Sparse: it takes a few blocks.
  if (::ftruncate64(file.theirs(), 2 * kFourGiB + 4096) != 0) {
    return rule.Inconclusive(absl::StrCat("no file beyond 4 GiB in ", rule.temporary_directory(),
                                          ": ", std::strerror(errno)));
  }
  ASSERT_NO_FATAL_FAILURE(UseFarOffsets(rule, *loop, file));
  MeetTheEnd(file);
  ASSERT_NO_FATAL_FAILURE(UsePosition(*loop, file));
  ExpectSynced(*loop, file);
  ASSERT_NO_FATAL_FAILURE(UsePaths(rule, *loop));
  MeetErrors(rule, *loop, file);
}

}  // namespace loop_rules
}  // namespace tenon::conformance
