// A set may be empty.

#include "gtest/gtest.h"
#include "tenon/core/loop/backend_factory.h"

TEST(TenonBackendSet, MayBeEmpty) { EXPECT_TRUE(tenon::runtime::LinkedBackends().empty()); }
