// The pool of one loop: no atomics, no locks.

#ifndef TENON_POOL_LOCAL_LOCAL_POOL_H_
#define TENON_POOL_LOCAL_LOCAL_POOL_H_

#include "tenon/pool/pool_core.h"

namespace tenon::pool::local {

// "local": all calls on the thread of its loop, tasks of that loop only; waiters in order. Another
// thread or loop is a CHECK, save where something idle is leased and where a lease ends for which
// nobody waits: that is checked in debug builds only.
const PoolFactory& Factory();

}  // namespace tenon::pool::local

#endif  // TENON_POOL_LOCAL_LOCAL_POOL_H_
