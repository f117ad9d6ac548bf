// A loop backend over poll(2): the smallest that keeps the contract, to copy and to replace.

#ifndef TENON_DOCS_SKELETON_POLL_BACKEND_H_
#define TENON_DOCS_SKELETON_POLL_BACKEND_H_

#include "tenon/core/loop/backend_factory.h"

namespace tenon::skeleton {

// The factory of backend "poll", which needs one descriptor a loop, eventfd(2), and asks the kernel
// about every descriptor in every turn: do not deploy it.
const LoopBackendFactory& Factory();

}  // namespace tenon::skeleton

#endif  // TENON_DOCS_SKELETON_POLL_BACKEND_H_
