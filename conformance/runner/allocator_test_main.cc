// The main() of allocator_conformance_test: the allocator suite against the allocators linked in.

#include "tenon/conformance/rules/allocator_rules.h"
#include "tenon/conformance/runner/allocator_subject.h"
#include "tenon/conformance/runner/test_program.h"
#include "tenon/core/memory/allocator_factory.h"

int main(int argc, char** argv) {
  using namespace tenon::conformance;
  return RunTestProgram(argc, argv, AllocatorRules(),
                        [] { return AllocatorSubjects(tenon::runtime::LinkedAllocators()); });
}
