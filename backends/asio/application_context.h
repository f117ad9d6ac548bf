// Loops over an io_context that is not theirs, for the conformance suite.

#ifndef TENON_BACKENDS_ASIO_APPLICATION_CONTEXT_H_
#define TENON_BACKENDS_ASIO_APPLICATION_CONTEXT_H_

#include "tenon/core/loop/backend_factory.h"

namespace tenon::asio {

// A ContextFactory over the one context of this process, which is made by the first call and stays,
// with everything that Asio makes when it first has a descriptor.
const LoopBackendFactory& ApplicationContextFactory();

}  // namespace tenon::asio

#endif  // TENON_BACKENDS_ASIO_APPLICATION_CONTEXT_H_
