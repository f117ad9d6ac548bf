#include "tenon/conformance/ledger/ledger.h"

#include <dirent.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace tenon::conformance {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

// What a process gets with its first thread, such as the thread sanitizer's own, is no difference.
void StartFirstThread() {
  [[maybe_unused]] static const bool started = [] {
    std::thread([] {}).join();
    return true;
  }();
}

struct CloseDirectory {
  void operator()(DIR* directory) const { closedir(directory); }
};

std::string KindName(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "file";
    case S_IFDIR:
      return "directory";
    case S_IFIFO:
      return "pipe";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return "character device";
    case S_IFBLK:
      return "block device";
    default:
      return "anonymous";
  }
}

// The numbers that name the entries of a /proc directory, without the descriptor that reads it.
std::vector<int> NumericEntries(const char* path) {
  std::vector<int> entries;
  const std::unique_ptr<DIR, CloseDirectory> directory(opendir(path));
  if (directory == nullptr) return entries;
  const int own = absl::StartsWith(path, "/proc/self/fd") ? dirfd(directory.get()) : -1;
  while (const dirent* entry = readdir(directory.get())) {
    int number = 0;
    if (absl::SimpleAtoi(entry->d_name, &number) && number != own) entries.push_back(number);
  }
  return entries;
}

std::map<int, std::string> ReadDescriptors() {
  std::map<int, std::string> descriptors;
  for (const int fd : NumericEntries("/proc/self/fd")) {
    char target[512];
    const std::string link = absl::StrCat("/proc/self/fd/", fd);
    const ssize_t length = readlink(link.c_str(), target, sizeof(target));
    struct stat status = {};
    if (length < 0 || fstat(fd, &status) != 0) continue;  // closed meanwhile by another thread
    descriptors[fd] = absl::StrFormat("%s (%s, device %d, inode %d)", std::string(target, length),
                                      KindName(status.st_mode), static_cast<int64_t>(status.st_dev),
                                      static_cast<int64_t>(status.st_ino));
  }
  return descriptors;
}

// Whether a line of /proc/<pid>/stat is that of a thread which counts (proc(5), fields 3 and 9).
// One on its way out does not: pthread_join returns before the kernel has removed it. Nor does one
// of the kernel's own for io_uring, which has its name, "iou-...", only some time after its start.
bool Counts(const std::string& stat) {
  constexpr uint64_t kExiting = 0x4;    // PF_EXITING of linux/sched.h
  constexpr uint64_t kIoWorker = 0x10;  // PF_IO_WORKER
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string state, parent, group, session, terminal, terminal_group;
  uint64_t flags = 0;
  fields >> state >> parent >> group >> session >> terminal >> terminal_group >> flags;
  return state != "Z" && state != "X" && (flags & (kExiting | kIoWorker)) == 0;
}

std::map<pid_t, std::string> ReadThreads() {
  std::map<pid_t, std::string> threads;
  for (const int id : NumericEntries("/proc/self/task")) {
    std::ifstream file(absl::StrCat("/proc/self/task/", id, "/stat"));
    std::string stat;
    if (!std::getline(file, stat) || !Counts(stat)) continue;
    // The name is in parentheses and may itself contain them.
    const size_t begin = stat.find('(') + 1;
    threads[id] = stat.substr(begin, stat.rfind(')') - begin);
  }
  return threads;
}

int AddLibrary(dl_phdr_info* info, size_t /*size*/, void* names) {
  if (info->dlpi_name == nullptr || info->dlpi_name[0] == '\0') return 0;
  // /proc/self/maps has the path without symbolic links.
  char* const resolved = realpath(info->dlpi_name, nullptr);
  static_cast<std::set<std::string>*>(names)->insert(resolved != nullptr ? resolved
                                                                         : info->dlpi_name);
  free(resolved);
  return 0;
}

// Names whose size says nothing: the program itself grows and shrinks there.
bool IsProgramMemory(const std::string& name) {
  return name == "[heap]" || absl::StartsWith(name, "[stack") || name == "[vdso]" ||
         name == "[vvar]" || absl::StartsWith(name, "[vvar_") || name == "[vsyscall]" ||
         absl::StartsWith(name, "[anon:absl") || absl::StartsWith(name, "[anon: glibc");
}

void AddAnonymous(LedgerSnapshot::Range range, std::vector<LedgerSnapshot::Range>& ranges) {
  if (!ranges.empty() && ranges.back().end == range.begin) {
    ranges.back().end = range.end;
  } else {
    ranges.push_back(range);
  }
}

void ReadMappings(LedgerSnapshot& snapshot) {
  std::set<std::string> libraries;
  dl_iterate_phdr(AddLibrary, &libraries);
  std::ifstream file("/proc/self/maps");
  for (std::string line; std::getline(file, line);) {
    std::istringstream fields(line);
    std::string range, permissions, offset, device, inode, name;
    fields >> range >> permissions >> offset >> device >> inode;
    std::getline(fields, name);
    name = std::string(absl::StripLeadingAsciiWhitespace(name));
    const size_t dash = range.find('-');
    const uintptr_t begin = std::strtoull(range.c_str(), nullptr, 16);
    const uintptr_t end = std::strtoull(range.c_str() + dash + 1, nullptr, 16);
    if (name.empty()) {
      if (!kSanitized) AddAnonymous({begin, end}, snapshot.anonymous);
    } else if (!IsProgramMemory(name) && !libraries.contains(name)) {
      snapshot.mappings[name] += end - begin;
    }
  }
}

void CompareDescriptors(const LedgerSnapshot& before, const LedgerSnapshot& after,
                        std::vector<std::string>& differences) {
  for (const auto& [fd, identity] : after.descriptors) {
    const auto old = before.descriptors.find(fd);
    if (old == before.descriptors.end()) {
      differences.push_back(
          absl::StrFormat("descriptor %d -> %s was not there before", fd, identity));
    } else if (old->second != identity) {
      differences.push_back(
          absl::StrFormat("descriptor %d -> %s was %s before", fd, identity, old->second));
    }
  }
  for (const auto& [fd, identity] : before.descriptors) {
    if (!after.descriptors.contains(fd)) {
      differences.push_back(
          absl::StrFormat("descriptor %d -> %s is no longer there", fd, identity));
    }
  }
}

void CompareThreads(const LedgerSnapshot& before, const LedgerSnapshot& after,
                    std::vector<std::string>& differences) {
  for (const auto& [id, name] : after.threads) {
    if (!before.threads.contains(id)) {
      differences.push_back(absl::StrFormat("thread %d (%s) was not there before", id, name));
    }
  }
  for (const auto& [id, name] : before.threads) {
    if (!after.threads.contains(id)) {
      differences.push_back(absl::StrFormat("thread %d (%s) is no longer there", id, name));
    }
  }
}

void CompareMappings(const LedgerSnapshot& before, const LedgerSnapshot& after,
                     std::vector<std::string>& differences) {
  for (const auto& [name, bytes] : after.mappings) {
    const auto old = before.mappings.find(name);
    const uint64_t was = old == before.mappings.end() ? 0 : old->second;
    if (bytes == was) continue;
    differences.push_back(
        was == 0 ? absl::StrFormat("mapping %s (%d bytes) was not there before", name, bytes)
                 : absl::StrFormat("mapping %s has %d bytes, had %d before", name, bytes, was));
  }
  for (const auto& [name, bytes] : before.mappings) {
    if (!after.mappings.contains(name)) {
      differences.push_back(
          absl::StrFormat("mapping %s (%d bytes) is no longer there", name, bytes));
    }
  }
}

void CompareAllocator(const LedgerSnapshot& before, const LedgerSnapshot& after,
                      const TrackingAllocator& allocator, std::vector<std::string>& differences) {
  constexpr size_t kBlocksNamed = 4;
  const int64_t blocks = static_cast<int64_t>(after.allocator.live_blocks) -
                         static_cast<int64_t>(before.allocator.live_blocks);
  const int64_t bytes = static_cast<int64_t>(after.allocator.live_bytes) -
                        static_cast<int64_t>(before.allocator.live_bytes);
  if (blocks > 0 || bytes > 0) {
    differences.push_back(absl::StrFormat(
        "%d blocks (%d bytes) of the rule's allocator are live that were not before: %s", blocks,
        bytes,
        absl::StrJoin(allocator.LiveSince(before.allocator.total_blocks, kBlocksNamed), ", ")));
  } else if (blocks < 0 || bytes < 0) {
    differences.push_back(absl::StrFormat(
        "%d blocks (%d bytes) of the rule's allocator were freed that were live before", -blocks,
        -bytes));
  }
  const std::vector<std::string> misuses = allocator.Misuses();
  for (size_t i = before.allocator_misuses; i < misuses.size(); ++i) {
    differences.push_back(absl::StrCat("allocator misused: ", misuses[i]));
  }
}

// The parts of `range` that are in none of `ranges`, which are in order.
std::vector<LedgerSnapshot::Range> Subtract(LedgerSnapshot::Range range,
                                            const std::vector<LedgerSnapshot::Range>& ranges) {
  std::vector<LedgerSnapshot::Range> rest;
  for (const LedgerSnapshot::Range& old : ranges) {
    if (old.end <= range.begin || range.end <= old.begin) continue;
    if (range.begin < old.begin) rest.push_back({range.begin, old.begin});
    range.begin = std::min(old.end, range.end);
  }
  if (range.begin < range.end) rest.push_back(range);
  return rest;
}

}  // namespace

LedgerSnapshot TakeSnapshot(const TrackingAllocator* allocator) {
  LedgerSnapshot snapshot;
  snapshot.descriptors = ReadDescriptors();
  snapshot.threads = ReadThreads();
  ReadMappings(snapshot);
  if (allocator != nullptr) {
    snapshot.allocator = allocator->Stats();
    snapshot.allocator_misuses = allocator->Misuses().size();
  }
  return snapshot;
}

std::string LedgerTunables() {
  return "glibc.malloc.arena_max=1:glibc.malloc.mmap_max=0:glibc.pthread.stack_cache_size=0";
}

Ledger::Ledger(const TrackingAllocator* allocator) : allocator_(allocator) { Mark(); }

void Ledger::Mark() {
  StartFirstThread();
  mark_ = TakeSnapshot(allocator_);
}

std::vector<std::string> Ledger::Differences() const {
  const LedgerSnapshot now = TakeSnapshot(allocator_);
  std::vector<std::string> differences;
  CompareDescriptors(mark_, now, differences);
  CompareThreads(mark_, now, differences);
  CompareMappings(mark_, now, differences);
  if (allocator_ != nullptr) CompareAllocator(mark_, now, *allocator_, differences);
  return differences;
}

std::vector<std::string> Ledger::NewAnonymousMemory() const {
  std::vector<std::string> sentences;
  for (const LedgerSnapshot::Range& range : TakeSnapshot(nullptr).anonymous) {
    for (const LedgerSnapshot::Range& part : Subtract(range, mark_.anonymous)) {
      sentences.push_back(
          absl::StrFormat("%d bytes of anonymous memory at %#x were not mapped before",
                          part.end - part.begin, part.begin));
    }
  }
  return sentences;
}

}  // namespace tenon::conformance
