// For tests of what happens where `operator new` has no memory.

#ifndef TENON_CORE_MEMORY_WITHOUT_MEMORY_H_
#define TENON_CORE_MEMORY_WITHOUT_MEMORY_H_

namespace tenon {

// While it lives, `operator new` has no memory for the thread that made it: it throws, or returns
// null where it must not. Others are not concerned; a test framework may use some. A program that
// links this has the operator replaced, over malloc.
//
// One at a time on a thread.
class WithoutMemory {
 public:
  WithoutMemory();
  ~WithoutMemory() { End(); }
  WithoutMemory(const WithoutMemory&) = delete;
  WithoutMemory& operator=(const WithoutMemory&) = delete;

  // There is memory again on the calling thread.
  static void End();

  // Requests that the calling thread's last one has refused.
  static int refused();
};

}  // namespace tenon

#endif  // TENON_CORE_MEMORY_WITHOUT_MEMORY_H_
