#!/usr/bin/env bash
# What users see of conform: help, lists, errors, exit statuses. Rules themselves are tested elsewhere.
set -euo pipefail

conform=$PWD/$1
cd "$TEST_TMPDIR"
failures=0

# expect STATUS TEXT ARG...: conform ARG... exits with STATUS and prints TEXT somewhere.
expect() {
  local status=$1 text=$2 actual=0 output
  shift 2
  output=$("$conform" "$@" 2>&1 </dev/null) || actual=$?
  if [ "$actual" != "$status" ] || [[ $output != *"$text"* ]]; then
    echo "conform $*: expected status $status and \"$text\", got status $actual and: $output" >&2
    failures=$((failures + 1))
  fi
}

expect 0 "conform mutants [FLAGS]" --help
expect 0 "TD-4     A handle dropped just before teardown" --list
expect 0 '"id": "TD-4"' --list --format=json
expect 0 "Why      " --explain TD-4
expect 2 "did you mean TD-4" --explain TD-44
expect 2 "unknown flag --rules; did you mean --rule" --rules=TD-4
expect 2 "no rule matches \"TX-4\"; did you mean TD-4" --rule=TX-4
expect 2 "no rule matches \"TX-4\"" --list --rule=TX-4
expect 2 "no subject matches \"kernel32\"; there are: " --subject=kernel32
expect 2 "no facet matches \"lop\"; did you mean loop" --facet=lop
expect 0 "ALC-1    Alignment is honoured" --list --facet=allocator
expect 0 "ALC-1 (allocator, required)" --explain ALC-1
expect 0 "| allocator |" --facet=allocator --rule=ALC-3 --format=markdown
expect 2 "did you mean system" --subject=sytem
expect 2 "none of table, json, junit, markdown" --format=xml
expect 2 "--jobs: \"none\" is not a number" --jobs=none
expect 2 "--out: cannot write" --out=no/such/directory/report.json --rule=INIT-5

expect 0 "conform differential [FLAGS]" --help
expect 0 "conform differential [FLAGS]" differential --help
expect 2 "unknown flag --seed; did you mean --seeds" differential --seed=1
expect 2 "no backend matches \"kqueue\"; there are: " differential --backends=kqueue,kqueue
expect 2 "two backends are to be compared; linked: " differential --backends=epoll
expect 2 "--script: cannot read" differential --script=no/such/script.txt
expect 2 "--out: cannot write" differential --out=no/such/directory/script.txt
expect 0 "epoll and epoll again did the same in 3 scripts of 10 steps, seeds 5 to 7" \
  differential --backends=epoll,epoll --first_seed=5 --seeds=3 --steps=10

# A script from a file, as it is printed.
printf 'open h1 kind=unix\nrecv o1 h1 size=16 flags=none mode=plain again=0\npeer_write h1 size=9\n' >script.txt
expect 0 "epoll and epoll again did the same" differential --backends=epoll,epoll --script=script.txt
printf 'open h1 kind=unix\nfly h1\n' >script.txt
expect 2 "script.txt: line 2: \"fly\" is no step" differential --backends=epoll,epoll --script=script.txt

# A relative --out is meant from where `bazel run` was called.
mkdir -p elsewhere
BUILD_WORKING_DIRECTORY=$PWD/elsewhere "$conform" --list --out=rules.txt
grep -q '^TD-4 ' elsewhere/rules.txt || { echo "--out was not written where meant" >&2; failures=$((failures + 1)); }

# In a pipe there are neither colours nor a progress line.
output=$("$conform" --rule=INIT-5 2>&1) || true
[[ $output != *$'\x1b'* && $output != *$'\r'* ]] || { echo "escape codes in a pipe: $output" >&2; failures=$((failures + 1)); }

exit "$((failures > 0))"
