// Everything that doctor looks at, in one go.

#ifndef TENON_TOOLS_DOCTOR_EXAMINATION_H_
#define TENON_TOOLS_DOCTOR_EXAMINATION_H_

#include "tenon/tools/doctor/findings.h"

namespace tenon::doctor {

// Reads the host and tries each linked backend. Takes as long as that does, far below a second
// where everything works.
Findings Examine();

}  // namespace tenon::doctor

#endif  // TENON_TOOLS_DOCTOR_EXAMINATION_H_
