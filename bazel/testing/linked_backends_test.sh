#!/usr/bin/env bash
# linked_backends_test.sh BINARY NAME...: the binary has these backends, in this order, and nothing of any other.
set -euo pipefail

binary=$1
shift
# What stands in a binary for each backend there is.
declare -A marks=(
  [asio]="tenon::asio:: boost::asio::"
  [epoll]="tenon::epoll::"
  [io_uring]="tenon::io_uring:: io_uring_queue_init"
)
wrong=0
complain() { echo "linked_backends_test: $*" >&2; wrong=1; }

linked=$("$binary") || complain "it does not run"
[ "$linked" = "$(printf '%s\n' "$@")" ] || complain "linked are ${linked//$'\n'/, }, not $*"

symbols=$(mktemp -p "$TEST_TMPDIR")
nm -C "$binary" >"$symbols"
grep -q "tenon::Loop::Submit" "$symbols" || complain "no symbols to look through"
for backend in "${!marks[@]}"; do
  for mark in ${marks[$backend]}; do
    found=$(grep -cF "$mark" "$symbols") || true
    if [[ " $* " == *" $backend "* ]]; then
      [ "$found" -gt 0 ] || complain "there is no $mark"
    else
      [ "$found" = 0 ] || complain "$found symbols have $mark in them"
    fi
  done
done
exit "$wrong"
