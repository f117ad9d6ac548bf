// A set holds its backends in the order in which it names them.

#include "gtest/gtest.h"
#include "tenon/core/loop/backend_factory.h"

TEST(TenonBackendSet, HoldsItsBackendsInOrder) {
  const auto backends = tenon::runtime::LinkedBackends();
  ASSERT_EQ(backends.size(), 2u);
  EXPECT_EQ(backends[0]->name(), "second");
  EXPECT_EQ(backends[1]->name(), "first");
}
