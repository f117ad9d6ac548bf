// The pool of one loop: no atomics, no locks.

#ifndef TENON_POOL_LOCAL_LOCAL_POOL_H_
#define TENON_POOL_LOCAL_LOCAL_POOL_H_

#include "tenon/pool/pool_core.h"

namespace tenon::pool::local {

// "local": all calls on the thread of its loop, tasks of that loop only; waiters in order.
const PoolFactory& Factory();

}  // namespace tenon::pool::local

#endif  // TENON_POOL_LOCAL_LOCAL_POOL_H_
