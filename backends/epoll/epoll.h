// The epoll(7) backend: Linux 4.14 or newer, no privileges.

#ifndef TENON_BACKENDS_EPOLL_EPOLL_H_
#define TENON_BACKENDS_EPOLL_EPOLL_H_

#include "tenon/core/loop/backend_factory.h"

namespace tenon::epoll {

// The factory of backend "epoll". It needs two descriptors a loop, epoll_create1(2) and eventfd(2),
// and for each adopted descriptor a watch (sysctl fs.epoll.max_user_watches).
const LoopBackendFactory& Factory();

}  // namespace tenon::epoll

#endif  // TENON_BACKENDS_EPOLL_EPOLL_H_
