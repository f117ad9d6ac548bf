// File operations of a loop.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/memory/owned.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/tools/bench/file_subjects.h"
#include "tenon/tools/bench/file_work.h"

namespace tenon::bench {
namespace {

// One operation underway, again and again.
class Slot {
 public:
  void Begin(Loop& loop, Handle file, FileWork& work, size_t number) {
    loop_ = &loop;
    file_ = file;
    work_ = &work;
    number_ = number;
    BeginNext();
  }

 private:
  static void OnTransferred(Operation& operation) {
    static_cast<Slot*>(operation.context())->Transferred(operation.result());
  }
  static void OnSynced(Operation& operation) {
    static_cast<Slot*>(operation.context())->Ended(operation.result());
  }

  // Inlined into its callers, GCC 12 takes `next` to be used after its end.
  ABSL_ATTRIBUTE_NOINLINE void BeginNext() {
    const std::optional<FileWork::Transfer> next = work_->Begin(number_);
    if (!next.has_value()) return;
    if (work_->writes()) {
      transfer_.PrepareWrite(file_, next->buffer, next->offset);
    } else {
      transfer_.PrepareRead(file_, next->buffer, next->offset);
    }
    loop_->Submit(transfer_);
  }

  void Transferred(int32_t result) {
    result_ = result;
    if (!work_->syncs() || result < 0) return Ended(0);
    sync_.PrepareFsync(file_, false);
    loop_->Submit(sync_);
  }

  void Ended(int32_t synced) {
    work_->End(number_, result_, synced);
    BeginNext();
  }

  Operation transfer_{&OnTransferred, this};
  Operation sync_{&OnSynced, this};
  Loop* loop_ = nullptr;
  Handle file_;
  FileWork* work_ = nullptr;
  size_t number_ = 0;
  int32_t result_ = 0;
};

}  // namespace

absl::Status RunTenonFiles(absl::string_view backend, FileWork& work) {
  absl::StatusOr<Owned<Loop>> loop =
      runtime::OpenLoop({.backend = backend, .options = {.work_threads = kFileThreads}});
  if (!loop.ok()) return loop.status();
  absl::StatusOr<Handle> file = (*loop)->Adopt(work.TakeFile());
  if (!file.ok()) return file.status();
  const std::unique_ptr<Slot[]> slots(new Slot[work.load().depth]);
  for (size_t i = 0; i < work.load().depth; ++i) slots[i].Begin(**loop, *file, work, i);
  (*loop)->Run();
  return (*loop)->Drain();
}

}  // namespace tenon::bench
