#include "tenon/core/task/stop_token.h"

#include <memory>
#include <vector>

#include "gtest/gtest.h"
#include "tenon/core/task/context.h"

namespace tenon {
namespace {

// Notes its calls, and may do more.
class Noting : public StopCallback {
 public:
  explicit Noting(int* calls)
      : StopCallback([](StopCallback& callback) { ++*static_cast<Noting&>(callback).calls_; }),
        calls_(calls) {}

 private:
  int* calls_;
};

TEST(StopTokenTest, CallsEachCallbackOnce) {
  StopSource source;
  int calls = 0;
  Noting first(&calls);
  Noting second(&calls);
  first.Register(source.token());
  second.Register(source.token());
  EXPECT_FALSE(source.token().stop_requested());
  source.RequestStop();
  source.RequestStop();
  EXPECT_EQ(calls, 2);
  EXPECT_TRUE(source.token().stop_requested());
  EXPECT_FALSE(first.registered());
}

TEST(StopTokenTest, RegisteredAfterTheStopIsCalledAtOnce) {
  StopSource source;
  source.RequestStop();
  int calls = 0;
  Noting late(&calls);
  late.Register(source.token());
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(late.registered());
}

TEST(StopTokenTest, UnregisteredIsNotCalled) {
  StopSource source;
  int calls = 0;
  Noting callback(&calls);
  callback.Register(source.token());
  callback.Unregister();
  callback.Unregister();
  {
    Noting gone(&calls);
    gone.Register(source.token());
  }
  source.RequestStop();
  EXPECT_EQ(calls, 0);
}

TEST(StopTokenTest, ATokenWithoutASourceNeverStops) {
  const StopToken token;
  EXPECT_FALSE(token.stop_requested());
  EXPECT_FALSE(token.can_stop());
  int calls = 0;
  Noting callback(&calls);
  callback.Register(token);
  EXPECT_FALSE(callback.registered());
}

// Destroys itself and its neighbours when it is called.
struct Destroyer : StopCallback {
  Destroyer(std::vector<std::unique_ptr<Destroyer>>* all, int* calls)
      : StopCallback([](StopCallback& callback) {
          auto& self = static_cast<Destroyer&>(callback);
          std::vector<std::unique_ptr<Destroyer>>* all = self.all;
          ++*self.calls;
          all->clear();
        }),
        all(all),
        calls(calls) {}
  std::vector<std::unique_ptr<Destroyer>>* all;
  int* calls;
};

TEST(StopTokenTest, ACallbackMayDestroyItselfAndOthers) {
  StopSource source;
  std::vector<std::unique_ptr<Destroyer>> all;
  int calls = 0;
  for (int i = 0; i < 3; ++i) {
    all.push_back(std::make_unique<Destroyer>(&all, &calls));
    all.back()->Register(source.token());
  }
  source.RequestStop();
  EXPECT_EQ(calls, 1);
}

// Registers another and asks for the stop again when it is called.
struct Renewing : StopCallback {
  Renewing(StopSource* source, Noting* other)
      : StopCallback([](StopCallback& callback) {
          auto& self = static_cast<Renewing&>(callback);
          self.source->RequestStop();
          self.other->Register(self.source->token());
        }),
        source(source),
        other(other) {}
  StopSource* source;
  Noting* other;
};

TEST(StopTokenTest, ACallbackMayRegisterAndRequestAgain) {
  StopSource source;
  int calls = 0;
  Noting other(&calls);
  Renewing renewing(&source, &other);
  renewing.Register(source.token());
  source.RequestStop();
  EXPECT_EQ(calls, 1);
}

TEST(StopTokenDeathTest, ASourceOutlivesItsCallbacks) {
  int calls = 0;
  Noting callback(&calls);
  EXPECT_DEATH(
      {
        StopSource source;
        callback.Register(source.token());
      },
      "a StopSource is destroyed while callbacks are registered");
}

}  // namespace
}  // namespace tenon
