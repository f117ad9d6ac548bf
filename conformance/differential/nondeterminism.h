// What two good backends may do differently with the same script: all of it, declared.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_NONDETERMINISM_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_NONDETERMINISM_H_

#include <array>
#include <string_view>

namespace tenon::conformance::differential {

struct Tolerance {
  std::string_view name;
  // What is not compared.
  std::string_view what;
  // Why no promise is broken by that.
  std::string_view why;
  // What is compared instead.
  std::string_view instead;
};

// Applied by Compare, and nothing else is. docs/conformance.md has this table; a test says when it
// has not.
inline constexpr std::array<Tolerance, 5> kTolerances = {{
    {.name = "descriptor-number",
     .what = "the number that an Accept or an OpenAt delivers",
     .why = "backends hold different numbers of descriptors of their own",
     .instead = "that it is one, and close-on-exec"},
    {.name = "order-between-lanes",
     .what = "which of two operations on different handles, or of different directions, completes "
             "first within one phase",
     .why =
         "only operations of one direction of one handle, and timers, are ordered (SUB-2, TIM-5)",
     .instead = "the order within each direction of each handle, and of timers"},
    {.name = "order-of-cancelled",
     .what = "when, within a phase, an operation completes with -ECANCELED",
     .why = "what is queued ends at once, what the kernel has when the kernel gives it up (CAN-1)",
     .instead = "that it completes, once, in the same phase"},
    {.name = "multishot-chunks",
     .what = "into how many completions a multishot Recv divides what it received in one phase",
     .why = "it depends on when the loop looks, and on the buffers that it has (CMP-9)",
     .instead = "the bytes, and the final completion"},
    {.name = "raced-cancel",
     .what = "whether a read that was cancelled as its bytes arrived has them",
     .why = "either is right (CAN-3)",
     .instead = "that the bytes are in it, or next in the stream: none lost, none twice"},
}};

struct Omission {
  std::string_view what;
  std::string_view why;
};

// Steps that the executor leaves out, and no others, since the kernel itself gives no determined
// result (IsLeftOut, touches.h). Documented and tested like kTolerances.
inline constexpr std::array<Omission, 9> kOmissions = {{
    {.what = "Shutdown of a datagram socket",
     .why = "poll(2) then reports input for good, while a receive that does not wait finds none"},
    {.what = "Shutdown of a listener",
     .why = "the kernel takes it down in steps, each of which a Poll may see"},
    {.what = "everything but Close on a socket whose Connect was refused",
     .why = "its state is unspecified (POSIX, connect), and io_uring's connect leaves another than "
            "connect(2)"},
    {.what = "a multishot Recv that peeks", .why = "what it takes stays, so that it never ends"},
    {.what = "Read and Write of no bytes",
     .why = "they may succeed without a look at the descriptor (POSIX, read), as with io_uring"},
    {.what = "Splice with an end that is no stream socket, pipe or file",
     .why = "poll(2) does not tell whether it would wait or fail"},
    {.what = "closing the end that a waiting Splice is to fill",
     .why = "it is noticed at once or when there is input, by where the kernel waits"},
    {.what = "Rename to an empty path",
     .why = "where the other path is wrong as well, either error may be reported"},
    {.what = "sending more than there is room for to an end that nobody reads",
     .why = "how much the kernel takes depends on when it looks"},
}};

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_NONDETERMINISM_H_
