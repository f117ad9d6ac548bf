// A doubly linked list of elements that carry their own links, so that nothing is allocated and an
// element leaves its list in constant time without knowing which list that is.

#ifndef TENON_CORE_LOOP_INTRUSIVE_LIST_H_
#define TENON_CORE_LOOP_INTRUSIVE_LIST_H_

#include <cstddef>

#include "absl/log/check.h"

namespace tenon {

// The links of an element; T derives from ListLink<T>. An element is in one list at a time.
template <typename T>
class ListLink {
 public:
  ListLink() = default;
  ListLink(const ListLink&) = delete;
  ListLink& operator=(const ListLink&) = delete;

 private:
  template <typename>
  friend class IntrusiveList;

  ListLink* next_ = nullptr;
  ListLink* previous_ = nullptr;
};

// A FIFO list of T. Owns nothing. One thread at a time.
template <typename T>
class IntrusiveList {
 public:
  IntrusiveList() { Clear(); }
  ~IntrusiveList() { DCHECK(empty()); }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;

  bool empty() const { return head_.next_ == &head_; }
  // Counts the elements, one by one.
  size_t size() const {
    size_t count = 0;
    for (const Link* link = head_.next_; link != &head_; link = link->next_) ++count;
    return count;
  }
  // The first element. REQUIRES: not empty.
  T& front() { return static_cast<T&>(*head_.next_); }

  // REQUIRES: `element` is in no list.
  void PushBack(T& element) { InsertBefore(head_, element); }
  void PushFront(T& element) { InsertBefore(*head_.next_, element); }

  // Removes and returns the first element, or null.
  T* PopFront() {
    if (empty()) return nullptr;
    T& element = front();
    Remove(element);
    return &element;
  }

  // Removes an element from whatever list it is in. REQUIRES: it is in one.
  static void Remove(T& element) {
    Link& link = element;
    DCHECK(link.next_ != nullptr);
    link.previous_->next_ = link.next_;
    link.next_->previous_ = link.previous_;
    link.next_ = nullptr;
    link.previous_ = nullptr;
  }

  // Whether the element is in some list.
  static bool Contains(const T& element) {
    const Link& link = element;
    return link.next_ != nullptr;
  }

  // Moves all elements of `other` to the end of this list.
  void Append(IntrusiveList& other) {
    if (other.empty()) return;
    Link* first = other.head_.next_;
    Link* last = other.head_.previous_;
    first->previous_ = head_.previous_;
    head_.previous_->next_ = first;
    last->next_ = &head_;
    head_.previous_ = last;
    other.Clear();
  }

  // Forgets all elements without touching them; they are in no usable state for another list.
  void Abandon() { Clear(); }

  // Calls `visit(T&)` for each element in order; `visit` may remove the element it is given.
  template <typename Visitor>
  void ForEach(Visitor visit) {
    for (Link* link = head_.next_; link != &head_;) {
      Link* next = link->next_;
      visit(static_cast<T&>(*link));
      link = next;
    }
  }

 private:
  using Link = ListLink<T>;

  void Clear() { head_.next_ = head_.previous_ = &head_; }

  static void InsertBefore(Link& position, T& element) {
    Link& link = element;
    DCHECK(link.next_ == nullptr);
    link.next_ = &position;
    link.previous_ = position.previous_;
    position.previous_->next_ = &link;
    position.previous_ = &link;
  }

  Link head_;
};

}  // namespace tenon

#endif  // TENON_CORE_LOOP_INTRUSIVE_LIST_H_
