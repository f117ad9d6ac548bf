// The operations that every loop performs.

#ifndef TENON_CORE_LOOP_OPCODE_H_
#define TENON_CORE_LOOP_OPCODE_H_

#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"

namespace tenon {

// What an operation does. Everything else composes: signals over signalfd(2), child processes over
// pidfd_open(2), file events over inotify(7), name resolution over Work.
enum class Opcode : uint8_t {
  kNop,
  kTimer,
  kPoll,
  kAccept,
  kConnect,
  kRecv,
  kSend,
  kRecvMsg,
  kSendMsg,
  kShutdown,
  kRead,
  kWrite,
  kFsync,
  kOpenAt,
  kStatx,
  kRename,
  kUnlink,
  kMkdir,
  kSplice,
  kClose,
  kWork,
};

inline constexpr size_t kOpcodeCount = static_cast<size_t>(Opcode::kWork) + 1;

// The opcode's name as in the enumeration, without the k: "Accept".
absl::string_view OpcodeName(Opcode opcode);

// Which way an operation moves data on its handle. Operations of one direction on one socket or
// pipe are performed one after the other, in the order of submission (SUB-2, SUB-4).
enum class Direction : uint8_t {
  kNone,   // not ordered
  kRead,   // Accept, Recv, RecvMsg, Read
  kWrite,  // Connect, Send, SendMsg, Shutdown, Write
};

Direction DirectionOf(Opcode opcode);

}  // namespace tenon

#endif  // TENON_CORE_LOOP_OPCODE_H_
