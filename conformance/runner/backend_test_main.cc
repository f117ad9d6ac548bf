// The main() of backend_conformance_test: the loop suite against the one backend linked in.

#include <vector>

#include "tenon/conformance/rules/loop_rules.h"
#include "tenon/conformance/runner/loop_subject.h"
#include "tenon/conformance/runner/test_program.h"
#include "tenon/core/loop/backend_factory.h"

int main(int argc, char** argv) {
  using namespace tenon::conformance;
  return RunTestProgram(argc, argv, LoopRules(), [] {
    std::vector<Subject> subjects;
    for (const tenon::LoopBackendFactory* factory : tenon::runtime::LinkedBackends()) {
      subjects.push_back(LoopSubject(*factory, {}));
    }
    return subjects;
  });
}
