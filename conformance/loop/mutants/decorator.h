// Good backends and factories, passed through, for mutants to change one thing of.
//
//   class IgnoresCancel final : public BackendDecorator {
//    public:
//     using BackendDecorator::BackendDecorator;
//     void Cancel(Operation&, CompletionSink&) noexcept override {}
//   };
//   ... .wrap = &Wrap<IgnoresCancel> ...

#ifndef TENON_CONFORMANCE_LOOP_MUTANTS_DECORATOR_H_
#define TENON_CONFORMANCE_LOOP_MUTANTS_DECORATOR_H_

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tenon/core/loop/backend_factory.h"
#include "tenon/core/loop/completion_sink.h"
#include "tenon/core/loop/loop_backend.h"
#include "tenon/core/loop/loop_options.h"
#include "tenon/core/loop/operation.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/memory/allocator.h"
#include "tenon/core/memory/owned.h"

namespace tenon::conformance {

// Forwards everything to the backend that it owns.
class BackendDecorator : public LoopBackend {
 public:
  explicit BackendDecorator(Owned<LoopBackend> good) : good_(std::move(good)) {}

  BackendCapabilities capabilities() const noexcept override { return good_->capabilities(); }
  absl::Status Attach(uint32_t slot, int fd, DescriptorKind kind) noexcept override {
    return good_->Attach(slot, fd, kind);
  }
  void Detach(uint32_t slot, int fd) noexcept override { good_->Detach(slot, fd); }
  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override {
    return good_->Start(batch, sink);
  }
  void Cancel(Operation& operation, CompletionSink& sink) noexcept override {
    good_->Cancel(operation, sink);
  }
  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    good_->Wait(deadline_ns, sink);
  }
  int64_t Flush() noexcept override { return good_->Flush(); }
  void Wake() noexcept override { good_->Wake(); }
  absl::StatusOr<int> PollFd() noexcept override { return good_->PollFd(); }
  int64_t Now() const noexcept override { return good_->Now(); }
  absl::Status RegisterBuffers(BufferPool& pool) noexcept override {
    return good_->RegisterBuffers(pool);
  }
  void ReturnBuffer(uint16_t id) noexcept override { good_->ReturnBuffer(id); }

 protected:
  LoopBackend& good() { return *good_; }

 private:
  const Owned<LoopBackend> good_;
};

// Forwards everything to `good`, which outlives it.
class FactoryDecorator : public LoopBackendFactory {
 public:
  explicit FactoryDecorator(const LoopBackendFactory& good) : good_(good) {}

  absl::string_view name() const noexcept override { return good_.name(); }
  absl::Status Probe() const noexcept override { return good_.Probe(); }
  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    return good_.Create(options, allocator);
  }

 protected:
  ~FactoryDecorator() = default;

  const LoopBackendFactory& good() const { return good_; }

 private:
  const LoopBackendFactory& good_;
};

// Makes backends of type Decorator, a BackendDecorator, over those of a good factory.
template <typename Decorator>
class DecoratingFactory final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  absl::StatusOr<Owned<LoopBackend>> Create(const LoopOptions& options,
                                            Allocator& allocator) const noexcept override {
    absl::StatusOr<Owned<LoopBackend>> backend = good().Create(options, allocator);
    if (!backend.ok()) return backend;
    Owned<Decorator> decorator = MakeOwned<Decorator>(allocator, *std::move(backend));
    if (decorator == nullptr) return OutOfMemory();
    return Owned<LoopBackend>(std::move(decorator));
  }
};

// For LoopMutant::wrap: factories of type Factory, which is made from the good one.
template <typename Factory>
const LoopBackendFactory* WrapFactory(const LoopBackendFactory& good) {
  static const Factory factory(good);
  return &factory;
}

// For LoopMutant::wrap: backends of type Decorator.
template <typename Decorator>
const LoopBackendFactory* Wrap(const LoopBackendFactory& good) {
  return WrapFactory<DecoratingFactory<Decorator>>(good);
}

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LOOP_MUTANTS_DECORATOR_H_
