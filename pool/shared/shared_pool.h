// The pool of many loops and threads: the local one, behind a lock.

#ifndef TENON_POOL_SHARED_SHARED_POOL_H_
#define TENON_POOL_SHARED_SHARED_POOL_H_

#include "tenon/pool/pool_core.h"

namespace tenon::pool::shared {

// "shared": tasks of any loop acquire; any thread returns leases, closes, invalidates, resizes and
// reads statistics. The policy's tasks run on the home loop, and Drain is awaited there. Waiters in
// order, whatever their loops.
//
// The lock is held for a bounded time, without any code of the application and without memory. A
// waiter is told of its lease by a task posted to its loop.
const PoolFactory& Factory();

}  // namespace tenon::pool::shared

#endif  // TENON_POOL_SHARED_SHARED_POOL_H_
