// The straight line that is nearest to some points.

#ifndef TENON_CONFORMANCE_ALLOCATOR_LINEAR_FIT_H_
#define TENON_CONFORMANCE_ALLOCATOR_LINEAR_FIT_H_

#include "absl/types/span.h"

namespace tenon::conformance {

struct Point {
  double x = 0;
  double y = 0;
};

// The slope of the line through `points` with the least sum of squared distances in y; 0 where all
// have the same x.
inline double FittedSlope(absl::Span<const Point> points) {
  Point mean;
  for (const Point& point : points) {
    mean.x += point.x / static_cast<double>(points.size());
    mean.y += point.y / static_cast<double>(points.size());
  }
  double products = 0;
  double squares = 0;
  for (const Point& point : points) {
    products += (point.x - mean.x) * (point.y - mean.y);
    squares += (point.x - mean.x) * (point.x - mean.x);
  }
  return squares == 0 ? 0 : products / squares;
}

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_ALLOCATOR_LINEAR_FIT_H_
