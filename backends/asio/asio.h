// The Boost.Asio backend: loops over io_contexts of their own, or over one the application runs.

#ifndef TENON_BACKENDS_ASIO_ASIO_H_
#define TENON_BACKENDS_ASIO_ASIO_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "boost/asio/io_context.hpp"
#include "tenon/core/loop/backend_factory.h"

namespace tenon::asio {

// The factory of backend "asio": each loop has an io_context of its own, which nobody else sees.
// It needs four descriptors a loop: Asio's epoll(7) instance, timerfd and eventfd, and an eventfd
// of the backend.
const LoopBackendFactory& Factory();

// Makes loops over an io_context of the application, beside the application's own handlers. Two
// ways to run them, which may alternate:
//
// - The loop runs (Loop::Run). Its turns run the context; the application's handlers run inside of
//   them, also of those that Drain and the destructor make, and may do with the loop what its
//   callbacks may. An exception that leaves one of them ends the process: there is nobody to hand
//   it to. io_context::stop does not stop the loop.
// - The application runs (io_context::run), and a LoopDriver turns the loop from there. Exceptions
//   of the application's handlers leave run() as ever. A turn may then not wait for descriptors,
//   which is a CHECK: RunOnce, with a deadline ahead, inside a handler.
//
// Ownership: the context is the application's. It may be destroyed before its loops: everything in
//   flight on them then completes with -ECANCELED in the loop's next turn, and so does whatever is
//   submitted later; Adopt is FailedPrecondition. A loop may be destroyed before the context, also
//   inside one of the context's handlers; nothing of it is left behind in the context but memory
//   for reuse.
// Threads: the context is run on the thread of its loops only, which is a CHECK where an event
//   shows otherwise. A context that several threads run has no loops.
// Shutdown: in a forked child, io_context::notify_fork(fork_child) comes first, if the child is to
//   use the context at all.
//
// As long as an operation waits for a descriptor, or the loop has waited for anything once, the
// context has work, as it has for any object of Asio that waits.
//
//   boost::asio::io_context context;
//   absl::StatusOr<Owned<Loop>> loop =
//       Loop::Create(asio::ContextFactory(context), {}, allocator);
class ContextFactory final : public LoopBackendFactory {
 public:
  // The context outlives the factory, and need not outlive the loops.
  explicit ContextFactory(boost::asio::io_context& context) : context_(context) {}

  absl::string_view name() const noexcept override { return "asio"; }
  absl::Status Probe() const noexcept override;
  void Features(absl::FunctionRef<void(const BackendFeature&)> report) const override;
  // Allocates from `allocator`, save for what belongs to the context: memory for the handlers of a
  // loop's waits, which the context keeps for reuse until it is destroyed.
  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override;

 private:
  boost::asio::io_context& context_;
};

}  // namespace tenon::asio

#endif  // TENON_BACKENDS_ASIO_ASIO_H_
