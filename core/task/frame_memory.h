// Where the frame of a coroutine comes from: an allocator found among its parameters.

#ifndef TENON_CORE_TASK_FRAME_MEMORY_H_
#define TENON_CORE_TASK_FRAME_MEMORY_H_

#include <concepts>
#include <cstddef>
#include <type_traits>

#include "tenon/core/memory/allocator.h"

namespace tenon {

// An Allocator, or something that has one: `allocator()` of a Loop, a pool, a server.
template <typename T>
concept AllocatorSource = std::is_convertible_v<T*, Allocator*> || requires(T& source) {
  { source.allocator() } -> std::convertible_to<Allocator&>;
};

template <typename T>
concept NoAllocatorSource = !AllocatorSource<T>;

// The next three stand for parameters of a coroutine in the overloads of its operator new.

// One that provides the allocator.
class FrameAllocator {
 public:
  template <AllocatorSource T>
  FrameAllocator(T& source) : allocator_(Find(source)) {}  // NOLINT(google-explicit-constructor)

  Allocator& allocator() const { return *allocator_; }

 private:
  template <typename T>
  static Allocator* Find(T& source) {
    if constexpr (std::is_convertible_v<T*, Allocator*>) {
      return &source;
    } else {
      Allocator& allocator = source.allocator();
      return &allocator;
    }
  }

  Allocator* allocator_;
};

// One that does not, in first place.
struct FrameOtherFirst {
  template <NoAllocatorSource T>
  FrameOtherFirst(const T&) {}  // NOLINT(google-explicit-constructor)
};

// One that follows.
struct FrameOther {
  FrameOther() = default;
  template <typename T>
  FrameOther(const T&) {}  // NOLINT(google-explicit-constructor)
};

template <typename... Parameters>
inline constexpr bool kFirstIsAllocatorSource = false;
template <typename First, typename... Others>
inline constexpr bool kFirstIsAllocatorSource<First, Others...> = AllocatorSource<First>;
template <typename... Parameters>
inline constexpr bool kSecondIsAllocatorSource = false;
template <typename First, typename Second, typename... Others>
inline constexpr bool kSecondIsAllocatorSource<First, Second, Others...> = AllocatorSource<Second>;

template <typename... Parameters>
concept NamesAllocator =
    kFirstIsAllocatorSource<Parameters...> || kSecondIsAllocatorSource<Parameters...>;

// Base of a promise: gives its coroutine a frame from the allocator in the coroutine's first
// parameter, or in its second, which is the first after *this; a coroutine that names none does
// not compile, nor does one with more than twelve further parameters. The allocator is remembered
// behind the frame, so it outlives the coroutine.
//
// Frames are aligned to __STDCPP_DEFAULT_NEW_ALIGNMENT__; neither GCC nor Clang tells operator new
// of a local variable that needs more.
class FrameMemory {
 public:
  // These are no templates over the parameters because GCC 12 takes such an operator new for a
  // mismatch with operator delete and warns in the coroutine.
  static void* operator new (size_t size, FrameAllocator from, FrameOther = {}, FrameOther = {},
                             FrameOther = {}, FrameOther = {}, FrameOther = {}, FrameOther = {},
                             FrameOther = {}, FrameOther = {}, FrameOther = {}, FrameOther = {},
                             FrameOther = {}, FrameOther = {}) noexcept {
    return Allocate(size, from.allocator());
  }
  static void* operator new (size_t size, FrameOtherFirst, FrameAllocator from, FrameOther = {},
                             FrameOther = {}, FrameOther = {}, FrameOther = {}, FrameOther = {},
                             FrameOther = {}, FrameOther = {}, FrameOther = {}, FrameOther = {},
                             FrameOther = {}, FrameOther = {}, FrameOther = {}) noexcept {
    return Allocate(size, from.allocator());
  }
  template <typename... Parameters, typename = std::enable_if_t<!NamesAllocator<Parameters...>>>
  static void* operator new(size_t, Parameters&...) noexcept {
    static_assert(NamesAllocator<Parameters...>,
                  "the first parameter of a coroutine that returns Task (or the first after *this) "
                  "must be an Allocator& or have an allocator(), as a Loop& has: that is where its "
                  "frame comes from");
    return nullptr;
  }

  static void operator delete(void* frame, size_t size) noexcept {
    Allocator* const allocator = *AllocatorBehind(frame, size);
    allocator->Deallocate(frame, LayoutOf(size));
  }

 private:
  static constexpr size_t PaddedSize(size_t size) {
    return (size + alignof(Allocator*) - 1) / alignof(Allocator*) * alignof(Allocator*);
  }
  static constexpr Layout LayoutOf(size_t size) {
    return {.size = PaddedSize(size) + sizeof(Allocator*),
            .alignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__};
  }
  static Allocator** AllocatorBehind(void* frame, size_t size) {
    return reinterpret_cast<Allocator**>(static_cast<char*>(frame) + PaddedSize(size));
  }
  static void* Allocate(size_t size, Allocator& allocator) noexcept {
    void* const frame = allocator.Allocate(LayoutOf(size)).ptr;
    if (frame != nullptr) *AllocatorBehind(frame, size) = &allocator;
    return frame;
  }
};

}  // namespace tenon

#endif  // TENON_CORE_TASK_FRAME_MEMORY_H_
