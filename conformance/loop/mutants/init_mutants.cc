// Backends that are made wrongly: INIT-1 … INIT-9.

#include <sys/eventfd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "tenon/conformance/loop/mutants/decorator.h"
#include "tenon/conformance/rules/loop_mutant.h"
#include "tenon/core/loop/os_error.h"
#include "tenon/core/loop/unique_fd.h"

namespace tenon::conformance::loop_mutants {
namespace {

using CreateResult = absl::StatusOr<Owned<LoopBackend>>;

class AbortsWithoutMemory final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  CreateResult Create(const LoopOptions& options, Allocator& allocator) const noexcept override {
    CreateResult backend = good().Create(options, allocator);
    if (backend.status() == OutOfMemory()) std::abort();
    return backend;
  }
};

class KeepsDescriptor final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  CreateResult Create(const LoopOptions& options, Allocator& allocator) const noexcept override {
    UniqueFd opened(::eventfd(0, EFD_CLOEXEC));
    CreateResult backend = good().Create(options, allocator);
    if (!backend.ok()) [[maybe_unused]]
      const int forgotten = opened.Release();
    return backend;
  }
};

class NamesNoResource final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  CreateResult Create(const LoopOptions& options, Allocator& allocator) const noexcept override {
    CreateResult backend = good().Create(options, allocator);
    const bool refused = absl::StrContains(backend.status().message(), "EMFILE") ||
                         absl::StrContains(backend.status().message(), "ENFILE");
    if (refused) return absl::InternalError("EMFILE");
    return backend;
  }
};

class NamesNoCause final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  CreateResult Create(const LoopOptions& options, Allocator& allocator) const noexcept override {
    CreateResult backend = good().Create(options, allocator);
    // "resource: errno (its text): cause", of which the first two remain.
    const absl::string_view message = backend.status().message();
    const size_t end = message.find("): ");
    if (end == absl::string_view::npos) return backend;
    return absl::Status(backend.status().code(), message.substr(0, end + 1));
  }
};

class ProbeLeaks final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  absl::Status Probe() const noexcept override {
    [[maybe_unused]] const int forgotten = ::eventfd(0, EFD_CLOEXEC);
    return good().Probe();
  }
};

class RemembersFailure final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  CreateResult Create(const LoopOptions& options, Allocator& allocator) const noexcept override {
    if (failed_) return absl::FailedPreconditionError("Create: failed before");
    CreateResult backend = good().Create(options, allocator);
    if (!backend.ok()) failed_ = true;
    return backend;
  }

 private:
  mutable std::atomic<bool> failed_{false};
};

class LeaksNowAndThen final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  CreateResult Create(const LoopOptions& options, Allocator& allocator) const noexcept override {
    constexpr int kCycle = 100;
    if (++created_ % kCycle == 0) {
      [[maybe_unused]] const int forgotten = ::eventfd(0, EFD_CLOEXEC);
    }
    return good().Create(options, allocator);
  }

 private:
  mutable std::atomic<int> created_{0};
};

class Inheritable final : public BackendDecorator {
 public:
  using BackendDecorator::BackendDecorator;

 private:
  const UniqueFd inherited_{::eventfd(0, 0)};
};

class AllocatesToStart final : public BackendDecorator {
 public:
  AllocatesToStart(Owned<LoopBackend> good, Allocator& allocator)
      : BackendDecorator(std::move(good)), allocator_(allocator) {}

  bool Start(SubmissionBatch& batch, CompletionSink& sink) noexcept override {
    constexpr Layout kNote = {.size = 64};
    allocator_.Deallocate(allocator_.Allocate(kNote).ptr, kNote);
    return good().Start(batch, sink);
  }

 private:
  Allocator& allocator_;
};

class AllocatesToStartFactory final : public FactoryDecorator {
 public:
  using FactoryDecorator::FactoryDecorator;

  CreateResult Create(const LoopOptions& options, Allocator& allocator) const noexcept override {
    CreateResult backend = good().Create(options, allocator);
    if (!backend.ok()) return backend;
    auto wrapped = MakeOwned<AllocatesToStart>(allocator, *std::move(backend), allocator);
    if (wrapped == nullptr) return OutOfMemory();
    return Owned<LoopBackend>(std::move(wrapped));
  }
};

}  // namespace

LoopMutant INIT_1() {
  return {.name = "Create aborts when an allocation fails",
          .rule = "INIT-1",
          .expected_reason = "SIGABRT",
          .wrap = &WrapFactory<AbortsWithoutMemory>};
}

LoopMutant INIT_2() {
  return {.name = "a failed Create keeps a descriptor",
          .rule = "INIT-2",
          .expected_reason = "was not there before",
          .wrap = &WrapFactory<KeepsDescriptor>};
}

LoopMutant INIT_3() {
  return {.name = "a refused descriptor is an internal error without a name",
          .rule = "INIT-3",
          .expected_reason = "a refused descriptor is reported as INTERNAL",
          .wrap = &WrapFactory<NamesNoResource>};
}

LoopMutant INIT_4() {
  return {.name = "a refused instance is reported as a bare errno",
          .rule = "INIT-4",
          .expected_reason = "Create names no likely cause of",
          .wrap = &WrapFactory<NamesNoCause>};
}

LoopMutant INIT_5() {
  return {.name = "the probe leaves the descriptor it tried",
          .rule = "INIT-5",
          .expected_reason = "left behind by a probe",
          .wrap = &WrapFactory<ProbeLeaks>};
}

LoopMutant INIT_6() {
  return {.name = "Create remembers that it once failed",
          .rule = "INIT-6",
          .expected_reason = "after a Create that failed for want of",
          .wrap = &WrapFactory<RemembersFailure>};
}

LoopMutant INIT_7() {
  return {.name = "a descriptor of the loop lacks close-on-exec",
          .rule = "INIT-7",
          .expected_reason = "is not close-on-exec",
          .wrap = &Wrap<Inheritable>};
}

LoopMutant INIT_8() {
  return {.name = "one cycle in a hundred keeps a descriptor",
          .rule = "INIT-8",
          .expected_reason = "cycles of create and destroy",
          .wrap = &WrapFactory<LeaksNowAndThen>};
}

LoopMutant INIT_9() {
  return {.name = "starting an operation allocates",
          .rule = "INIT-9",
          .expected_reason = "asked the loop's allocator for memory",
          .wrap = &WrapFactory<AllocatesToStartFactory>};
}

}  // namespace tenon::conformance::loop_mutants
