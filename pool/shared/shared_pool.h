// The pool of many loops and threads: the local one, behind a lock.

#ifndef TENON_POOL_SHARED_SHARED_POOL_H_
#define TENON_POOL_SHARED_SHARED_POOL_H_

#include "tenon/pool/pool_core.h"

namespace tenon::pool::shared {

// "shared": tasks of any loop acquire; any thread returns leases, closes, invalidates, resizes and
// reads statistics. The policy's tasks run on the home loop, and Drain is awaited there. Waiters in
// order, whatever their loops.
//
// The lock is held without any code of the application, and without taking memory or giving it
// back. A waiter is told of its lease, and the home loop of what is to be done, by a task that is
// posted under the lock: where that loop sleeps it costs the write that wakes it, which does not
// wait. So ending a lease on a shared pool may perform that one system call, in deviation from
// POOL-20. InvalidateAll and a timeout look at every slot, Close at every waiter, under the lock.
//
// Any thread reads the home loop's clock (Loop::Now). The pool outlives those who wait: a drain
// ends when each has resumed, also those whose loops are slow to turn.
const PoolFactory& Factory();

}  // namespace tenon::pool::shared

#endif  // TENON_POOL_SHARED_SHARED_POOL_H_
