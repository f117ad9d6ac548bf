// One operation of every opcode, each able to succeed.

#ifndef TENON_CONFORMANCE_LOOP_ONE_OF_EACH_H_
#define TENON_CONFORMANCE_LOOP_ONE_OF_EACH_H_

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "tenon/conformance/loop/recorder.h"
#include "tenon/conformance/loop/sockets.h"
#include "tenon/core/loop/loop.h"

namespace tenon::conformance {

// An operation of each opcode with all that it needs to succeed: a peer that has written, a
// connection in the backlog, files that exist. No two touch the same descriptor or path.
//
// Declare it before the loop, as any operation.
class OneOfEach {
 public:
  // `directory` is made, and is this object's alone.
  explicit OneOfEach(std::string directory);
  OneOfEach(const OneOfEach&) = delete;
  OneOfEach& operator=(const OneOfEach&) = delete;

  // Adopts what the operations work on and prepares them all. Once.
  void Prepare(Loop& loop);

  RecordingOperation& of(Opcode opcode) { return operations_[static_cast<size_t>(opcode)]; }
  std::array<RecordingOperation, kOpcodeCount>& operations() { return operations_; }

  // What the operation of `opcode` completes with; nothing is said of descriptors but that they
  // are not negative.
  static int32_t ExpectedResult(Opcode opcode);
  static bool MakesDescriptor(Opcode opcode) {
    return opcode == Opcode::kAccept || opcode == Opcode::kOpenAt;
  }

 private:
  void PrepareStreams(Loop& loop);
  void PrepareMessages(Loop& loop);
  void PrepareConnections(Loop& loop);
  void PreparePipes(Loop& loop);
  void PreparePaths(Loop& loop);

  // Adopts our end, and keeps theirs open.
  Handle Keep(Loop& loop, DescriptorPair pair);
  // A path in the directory, which lives as long as this.
  const char* Path(const char* name);

  const std::string directory_;
  std::vector<UniqueFd> theirs_;
  std::array<std::string, 6> paths_;
  size_t paths_used_ = 0;
  std::array<char, 64> recv_buffer_ = {};
  std::array<char, 64> recvmsg_buffer_ = {};
  std::array<char, 64> read_buffer_ = {};
  iovec recv_vector_ = {};
  iovec send_vector_ = {};
  msghdr recv_message_ = {};
  msghdr send_message_ = {};
  struct statx statx_ = {};
  Listener accepting_;
  Listener target_;
  std::array<RecordingOperation, kOpcodeCount> operations_;
};

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_LOOP_ONE_OF_EACH_H_
