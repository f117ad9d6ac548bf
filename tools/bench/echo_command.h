// `bench echo` and `bench accept` as sub-commands.

#ifndef TENON_TOOLS_BENCH_ECHO_COMMAND_H_
#define TENON_TOOLS_BENCH_ECHO_COMMAND_H_

#include "tenon/tools/bench/command.h"

namespace tenon::bench {

Command EchoCommand();
Command AcceptCommand();

}  // namespace tenon::bench

#endif  // TENON_TOOLS_BENCH_ECHO_COMMAND_H_
