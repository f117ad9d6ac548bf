// The loops of `bench wake`.

#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "boost/asio.hpp"
#include "tenon/core/loop/loop.h"
#include "tenon/core/loop/posted_task.h"
#include "tenon/core/memory/owned.h"
#include "tenon/runtime/open_loop.h"
#include "tenon/tools/bench/wake_subjects.h"
#include "uv.h"

namespace tenon::bench {
namespace {

// The messages are the tasks themselves.
class TenonMessageLoop : public MessageLoop {
 public:
  TenonMessageLoop(Owned<Loop> loop, size_t messages, MessageHandler& handler)
      : handler_(handler), tasks_(new Message[messages]), loop_(std::move(loop)) {
    for (size_t i = 0; i < messages; ++i) {
      tasks_[i].owner = this;
      tasks_[i].number = i;
    }
  }

  void Post(size_t message) override { loop_->Post(tasks_[message].task); }
  void Run() override { loop_->Run(RunUntil::kStopped); }
  void Stop() override { loop_->Stop(); }

 private:
  struct Message {
    PostedTask task{&OnTask, this};
    TenonMessageLoop* owner = nullptr;
    size_t number = 0;
  };

  static void OnTask(PostedTask& task) {
    const Message& message = *static_cast<Message*>(task.context());
    message.owner->handler_.OnMessage(message.number);
  }

  MessageHandler& handler_;
  const std::unique_ptr<Message[]> tasks_;
  // Destroyed first: it runs what is still posted.
  const Owned<Loop> loop_;
};

// uv_async_send says only that something is there, and may say it once for several: what is to be
// called has to be kept by the user, here in a queue under a mutex, which the loop takes as a
// whole. The functions are small enough for std::function to hold them without an allocation.
class LibuvMessageLoop : public MessageLoop {
 public:
  explicit LibuvMessageLoop(MessageHandler& handler) : handler_(handler) {}

  absl::Status Init(size_t messages) {
    int error = uv_loop_init(&loop_);
    if (error == 0) error = uv_async_init(&loop_, &async_, &OnAsync);
    if (error != 0) return absl::InternalError(absl::StrCat("libuv: ", uv_strerror(error)));
    async_.data = this;
    posted_.reserve(messages);
    taken_.reserve(messages);
    return absl::OkStatus();
  }

  ~LibuvMessageLoop() override {
    uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
    uv_run(&loop_, UV_RUN_DEFAULT);
    uv_loop_close(&loop_);
  }

  void Post(size_t message) override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      posted_.emplace_back([this, message] { handler_.OnMessage(message); });
    }
    uv_async_send(&async_);
  }

  void Run() override { uv_run(&loop_, UV_RUN_DEFAULT); }

  void Stop() override {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stopped_ = true;
    }
    uv_async_send(&async_);
  }

 private:
  static void OnAsync(uv_async_t* async) {
    auto& loop = *static_cast<LibuvMessageLoop*>(async->data);
    {
      std::lock_guard<std::mutex> lock(loop.mutex_);
      loop.taken_.swap(loop.posted_);
      if (loop.stopped_) uv_stop(&loop.loop_);
    }
    for (const std::function<void()>& call : loop.taken_) call();
    loop.taken_.clear();
  }

  MessageHandler& handler_;
  uv_loop_t loop_;
  uv_async_t async_;
  std::mutex mutex_;
  // Both under the mutex.
  std::vector<std::function<void()>> posted_;
  bool stopped_ = false;
  // The loop's thread.
  std::vector<std::function<void()>> taken_;
};

class AsioMessageLoop : public MessageLoop {
 public:
  explicit AsioMessageLoop(MessageHandler& handler) : handler_(handler) {}

  void Post(size_t message) override {
    boost::asio::post(context_, [this, message] { handler_.OnMessage(message); });
  }
  void Run() override { context_.run(); }
  void Stop() override { context_.stop(); }

 private:
  MessageHandler& handler_;
  // One thread runs it, others post.
  boost::asio::io_context context_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
      context_.get_executor()};
};

}  // namespace

absl::StatusOr<std::unique_ptr<MessageLoop>> MakeTenonMessageLoop(absl::string_view backend,
                                                                  size_t messages,
                                                                  MessageHandler& handler) {
  absl::StatusOr<Owned<Loop>> loop = runtime::OpenLoop({.backend = backend});
  if (!loop.ok()) return loop.status();
  return std::make_unique<TenonMessageLoop>(*std::move(loop), messages, handler);
}

absl::StatusOr<std::unique_ptr<MessageLoop>> MakeLibuvMessageLoop(size_t messages,
                                                                  MessageHandler& handler) {
  auto loop = std::make_unique<LibuvMessageLoop>(handler);
  absl::Status status = loop->Init(messages);
  if (!status.ok()) {
    // Not to be closed: it was not opened. The process ends.
    loop.release();
    return status;
  }
  return loop;
}

absl::StatusOr<std::unique_ptr<MessageLoop>> MakeAsioMessageLoop(size_t /*messages*/,
                                                                 MessageHandler& handler) {
  try {
    return std::make_unique<AsioMessageLoop>(handler);
  } catch (const std::exception& exception) {
    return absl::InternalError(exception.what());
  }
}

}  // namespace tenon::bench
