// A backend that goes on writing where it no longer may.

#ifndef TENON_CONFORMANCE_LOOP_MUTANTS_LATE_WRITER_H_
#define TENON_CONFORMANCE_LOOP_MUTANTS_LATE_WRITER_H_

#include <cerrno>
#include <cstdint>
#include <utility>

#include "tenon/conformance/loop/mutants/intercepting_backend.h"

namespace tenon::conformance {

// Which Recv's buffer is written to.
enum class LateWhen {
  kReceived,   // that of one which received something
  kCancelled,  // that of one which was cancelled in flight
};

// Writes one more byte into a Recv's buffer, in the turn after its final callback.
template <LateWhen kWhen>
class LateWriter final : public InterceptingBackend {
 public:
  using InterceptingBackend::InterceptingBackend;

  void Wait(int64_t deadline_ns, CompletionSink& sink) noexcept override {
    // By the second Wait after the completion its callback has run.
    char* const late = std::exchange(second_, std::exchange(first_, nullptr));
    if (late != nullptr) *late ^= 0x55;
    InterceptingBackend::Wait(deadline_ns, sink);
  }

 protected:
  void OnFinal(const Operation& operation) noexcept override {
    if (operation.opcode() != Opcode::kRecv || operation.pooled_buffer()) return;
    const bool is_it =
        kWhen == LateWhen::kReceived ? operation.result() > 0 : operation.result() == -ECANCELED;
    if (is_it) first_ = operation.parameters().buffer.data;
  }

 private:
  char* first_ = nullptr;
  char* second_ = nullptr;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LOOP_MUTANTS_LATE_WRITER_H_
