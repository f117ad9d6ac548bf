// Does not compile: a backend's header, wanted through the backend.

#include "tenon/bazel/testing/first.h"

int main() { return 0; }
