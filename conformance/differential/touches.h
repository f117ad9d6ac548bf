// When two steps may be under way together: what keeps the results of a script determined.

#ifndef TENON_CONFORMANCE_DIFFERENTIAL_TOUCHES_H_
#define TENON_CONFORMANCE_DIFFERENTIAL_TOUCHES_H_

#include <cstdint>
#include <vector>

#include "tenon/conformance/differential/script.h"
#include "tenon/conformance/differential/world.h"

namespace tenon::conformance::differential {

// How a step touches a resource.
enum class Manner : uint8_t {
  kConsume,        // takes what arrives at an end, in its turn
  kObserve,        // looks whether something has arrived
  kProduce,        // sends, in its turn, to an end of the test's own
  kProduceInLoop,  // sends to an end that the loop has, too
  kWrite,          // sends by a plain call
  kRead,           // takes what has arrived by a plain call
  kEnd,            // cancels, closes
  kPump,           // sends more than there is room for
  kMove,           // takes what arrives, out of turn
  kFileRead,
  kFileWrite,
  kFileAppend,  // writes at the file's own position, in its turn
};

struct Touch {
  uint64_t resource = 0;
  Manner manner = Manner::kEnd;
};

// Whether the results of both are the same whichever comes first, and whatever comes between. Two
// producers into one loop are not: one receive may take both, or one each.
bool Compatible(const Touch& first, const Touch& second);

// What a step touches. Nothing for steps that name nothing, for stale handles, and for kCancel and
// kRace, which touch what their operation does.
std::vector<Touch> TouchesOf(const Step& step, const World& world);

// Whether a step is one of kOmissions (nondeterminism.h).
bool IsLeftOut(const Step& step, const World& world);

}  // namespace tenon::conformance::differential

#endif  // TENON_CONFORMANCE_DIFFERENTIAL_TOUCHES_H_
