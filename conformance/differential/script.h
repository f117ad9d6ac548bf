// Scripts of the differential test: what is done to a loop and to the other ends of its
// descriptors, step by step. A value, made from a seed or from text.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_SCRIPT_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_SCRIPT_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace tenon::conformance::differential {

// What a step does. Ends are named h1, h2, … by the step that opens them, operations o1, o2, … by
// the step that submits them; h0 is a handle that was never open, and the current directory where
// a directory is wanted. Names stay when other steps are removed. A step that names what is not
// there does nothing, save that an operation on a closed handle is submitted with it, stale.
enum class Verb : uint8_t {
  // Of the executor, by plain system calls.
  kSettle,        // turns the loop until nothing more happens by itself
  kOpen,          // makes a descriptor of a kind, and its other end; the loop adopts it
  kAdoptPeer,     // the loop adopts the other end, too
  kPeerWrite,     // the other end writes
  kPeerRead,      // the other end reads whatever is there
  kPeerShutdown,  // the other end ends its direction
  kPeerClose,     // the other end closes
  kPeerConnect,   // a client connects to a listener
  // Of the loop, on what is there.
  kCancel,  // Loop::Cancel
  kRace,    // Loop::Cancel just as the operation becomes able to complete
  kDrop,    // Loop::Close
  // Operations.
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
  kPump,  // Sends, each for what the former left over, until all is sent
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

inline constexpr size_t kVerbCount = static_cast<size_t>(Verb::kWork) + 1;

// What an argument of a step means.
enum class ArgumentType : uint8_t {
  kHandle,     // "h3"
  kOperation,  // "o7"
  kNumber,     // "size=64", from 0 to `limit`
  kChoice,     // "kind=tcp", an index into `choices`
};

struct Parameter {
  ArgumentType type;
  std::string_view name;
  int64_t limit = 0;
  absl::Span<const std::string_view> choices = {};
};

struct VerbSpec {
  Verb verb;
  std::string_view name;
  std::vector<Parameter> parameters;

  bool is_operation() const { return verb >= Verb::kNop; }
};

// In the order of Verb. Constant.
const std::vector<VerbSpec>& VerbSpecs();
const VerbSpec& SpecOf(Verb verb);

inline constexpr size_t kMaxArguments = 6;
// The highest number of a handle or an operation.
inline constexpr int64_t kMaxName = 9'999;

struct Step {
  Verb verb = Verb::kSettle;
  // As many as the verb has parameters; the others are 0.
  std::array<int64_t, kMaxArguments> arguments = {};

  friend bool operator==(const Step&, const Step&) = default;
};

using Script = std::vector<Step>;

// "recv o7 h3 size=64 flags=none mode=plain again=0"
std::string StepText(const Step& step);

// One step a line.
std::string ScriptText(const Script& script);

// Reads ScriptText. Empty lines are skipped, and what follows a '#'. InvalidArgument, naming the
// line, for anything else, for an operation submitted twice, and for a handle opened twice.
absl::StatusOr<Script> ParseScript(std::string_view text);

// ---- The choices that arguments index. ----

enum EndKind : int64_t {
  kTcp,
  kUnix,
  kDatagram,
  kSeqpacket,
  kPipeIn,   // the loop has the reading end
  kPipeOut,  // the loop has the writing end
  kListener,
  kSocket,  // TCP, not connected
  kFile,
  kDirectory,
};
inline constexpr std::array<std::string_view, 10> kEndKinds = {
    "tcp",      "unix",     "datagram", "seqpacket", "pipe_in",
    "pipe_out", "listener", "socket",   "file",      "directory"};

inline constexpr std::array<std::string_view, 5> kPollEvents = {"in", "out", "in_out", "nothing",
                                                                "urgent"};
inline constexpr std::array<std::string_view, 3> kShutdownHows = {"read", "write", "both"};

enum RecvMode : int64_t { kPlain, kPooled, kMultishot };
inline constexpr std::array<std::string_view, 3> kRecvModes = {"plain", "pooled", "multishot"};

enum RecvFlag : int64_t { kNoFlag, kPeek, kTruncate, kWaitAll, kDontWait };
inline constexpr std::array<std::string_view, 5> kRecvFlags = {"none", "peek", "truncate",
                                                               "waitall", "dontwait"};
inline constexpr std::array<std::string_view, 2> kSendFlags = {"none", "dontwait"};

enum Offset : int64_t { kAtCurrent, kAtStart, kInside, kFarOut };
inline constexpr std::array<std::string_view, 4> kOffsets = {"current", "start", "inside", "far"};

// Names in the temporary directory.
inline constexpr std::array<std::string_view, 7> kPaths = {"a",        "b",         "c", "folder",
                                                           "folder/x", "missing/x", ""};

inline constexpr std::array<std::string_view, 6> kOpenModes = {
    "read", "write", "create", "exclusive", "truncate", "directory"};
inline constexpr std::array<std::string_view, 2> kYesNo = {"no", "yes"};

enum TimerDelay : int64_t { kNow, kSoon, kLater, kNever };
inline constexpr std::array<std::string_view, 4> kTimerDelays = {"now", "soon", "later", "never"};

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_SCRIPT_H_
