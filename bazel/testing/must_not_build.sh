#!/usr/bin/env bash
# Builds what must not build, and fails unless each fails for the reason it should.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit 1

wrong=0
refuse() {  # target, part of the expected message
  local log
  if log=$(./bazelw build --noshow_progress "//bazel/testing:$1" 2>&1); then
    echo "must_not_build: $1 builds"
  elif grep -qF "$2" <<<"$log"; then
    return
  else
    printf 'must_not_build: %s fails, but not with "%s":\n%s\n' "$1" "$2" "$log"
  fi
  wrong=1
}

refuse two_sets "multiple definition of"
refuse private_header "tenon/bazel/testing/first.h: No such file"
refuse same_backend_twice "are both tenon::first::Factory"
exit "$wrong"
