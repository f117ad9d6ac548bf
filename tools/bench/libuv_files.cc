// File operations of libuv, which run on its thread pool.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "tenon/tools/bench/file_subjects.h"
#include "tenon/tools/bench/file_work.h"
#include "uv.h"

namespace tenon::bench {
namespace {

// One operation underway, again and again.
class Slot {
 public:
  void Begin(uv_loop_t& loop, FileWork& work, size_t number) {
    loop_ = &loop;
    work_ = &work;
    number_ = number;
    request_.data = this;
    BeginNext();
  }

 private:
  static void OnTransferred(uv_fs_t* request) {
    const auto result = static_cast<int64_t>(request->result);
    uv_fs_req_cleanup(request);
    static_cast<Slot*>(request->data)->Transferred(result);
  }
  static void OnSynced(uv_fs_t* request) {
    const auto result = static_cast<int64_t>(request->result);
    uv_fs_req_cleanup(request);
    static_cast<Slot*>(request->data)->Ended(result);
  }

  void BeginNext() {
    const std::optional<FileWork::Transfer> next = work_->Begin(number_);
    if (!next.has_value()) return;
    const uv_buf_t buffer = uv_buf_init(next->buffer.data(), kFileBlockSize);
    const int error =
        work_->writes()
            ? uv_fs_write(loop_, &request_, work_->fd(), &buffer, 1, next->offset, &OnTransferred)
            : uv_fs_read(loop_, &request_, work_->fd(), &buffer, 1, next->offset, &OnTransferred);
    if (error != 0) work_->End(number_, error, 0);
  }

  void Transferred(int64_t result) {
    result_ = result;
    if (!work_->syncs() || result < 0) return Ended(0);
    const int error = uv_fs_fsync(loop_, &request_, work_->fd(), &OnSynced);
    if (error != 0) Ended(error);
  }

  void Ended(int64_t synced) {
    work_->End(number_, result_, synced);
    BeginNext();
  }

  uv_fs_t request_;
  uv_loop_t* loop_ = nullptr;
  FileWork* work_ = nullptr;
  size_t number_ = 0;
  int64_t result_ = 0;
};

}  // namespace

absl::Status RunLibuvFiles(FileWork& work) {
  uv_loop_t loop;
  const int error = uv_loop_init(&loop);
  if (error != 0) return absl::InternalError(absl::StrCat("uv_loop_init: ", uv_strerror(error)));
  const std::unique_ptr<Slot[]> slots(new Slot[work.load().depth]);
  for (size_t i = 0; i < work.load().depth; ++i) slots[i].Begin(loop, work, i);
  uv_run(&loop, UV_RUN_DEFAULT);
  uv_loop_close(&loop);
  return absl::OkStatus();
}

}  // namespace tenon::bench
