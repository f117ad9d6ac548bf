#include "tenon/tools/bench/heap/heap_patterns.h"

#include <latch>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/child_process.h"

namespace tenon::bench {

absl::Status RunThreads(int threads, int64_t operations, Stopwatch& stopwatch,
                        absl::FunctionRef<void(int thread)> body) {
  const absl::StatusOr<std::vector<int>> cpus = AllowedCpus();
  if (!cpus.ok()) return cpus.status();
  std::latch ready(threads);
  std::latch begun(1);
  std::atomic<bool> cancelled = false;
  std::vector<absl::Status> pinned(static_cast<size_t>(threads));
  const auto run = [&](int thread) {
    const auto index = static_cast<size_t>(thread);
    pinned[index] = PinToCpu((*cpus)[index % cpus->size()]);
    ready.count_down();
    begun.wait();
    if (!cancelled) body(thread);
  };

  absl::Status status;
  std::vector<std::thread> others;
  for (int thread = 1; thread < threads && status.ok(); ++thread) {
    try {
      others.emplace_back(run, thread);
    } catch (const std::system_error& error) {
      status = absl::UnavailableError(absl::StrCat("a thread: ", error.what()));
    }
  }
  if (status.ok()) {
    pinned[0] = PinToCpu((*cpus)[0]);
    ready.count_down();
    ready.wait();
    for (const absl::Status& each : pinned) status.Update(each);
  }
  cancelled = !status.ok();
  // The first thread measures itself and the others.
  if (status.ok()) stopwatch.Start();
  begun.count_down();
  if (status.ok()) body(0);
  for (std::thread& other : others) other.join();
  if (status.ok()) stopwatch.Stop(operations);
  return status;
}

}  // namespace tenon::bench
