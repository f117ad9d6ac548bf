#!/usr/bin/env bash
# Builds and tests what must fail, and fails unless each does, for the reason it should: a sanitizer that is not there, or
# a test that is not run, looks like success.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

wrong=0
refuse() {  # target, part of the expected message, bazel's arguments...
  local log
  if log=$(./bazelw "${@:3}" --noshow_progress --test_output=errors "//bazel/testing:$1" 2>&1); then
    echo "must_fail: ${*:3} $1 succeeds"
  elif grep -qF "$2" <<<"$log"; then
    return
  else
    printf 'must_fail: %s %s fails, but not with "%s":\n%s\n' "${*:3}" "$1" "$2" "$log"
  fi
  wrong=1
}

refuse two_sets "multiple definition of" build
refuse private_header "tenon/bazel/testing/first.h: No such file" build
refuse same_backend_twice "are both tenon::first::Factory" build
refuse allocator_among_backends "is a tenon_allocator" build

refuse leak "LeakSanitizer: detected memory leaks" test --config=asan
refuse use_after_free "AddressSanitizer: heap-use-after-free" test --config=asan
refuse undefined "runtime error: signed integer overflow" test --config=asan
refuse race "ThreadSanitizer: data race" test --config=tsan
refuse unguarded "requires holding mutex" build --config=clang

refuse unguarded_allocator "ThreadSanitizer: data race" test --config=tsan
exit "$wrong"
