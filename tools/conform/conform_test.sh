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
expect 2 "none of table, json, junit, markdown" --format=xml
expect 2 "--jobs: \"none\" is not a number" --jobs=none
expect 2 "--out: cannot write" --out=no/such/directory/report.json --rule=INIT-5

# A relative --out is meant from where `bazel run` was called.
mkdir -p elsewhere
BUILD_WORKING_DIRECTORY=$PWD/elsewhere "$conform" --list --out=rules.txt
grep -q '^TD-4 ' elsewhere/rules.txt || { echo "--out was not written where meant" >&2; failures=$((failures + 1)); }

# In a pipe there are neither colours nor a progress line.
output=$("$conform" --rule=INIT-5 2>&1) || true
[[ $output != *$'\x1b'* && $output != *$'\r'* ]] || { echo "escape codes in a pipe: $output" >&2; failures=$((failures + 1)); }

exit "$((failures > 0))"
