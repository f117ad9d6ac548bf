#!/usr/bin/env bash
# conform_commands_test.sh CONFORM COMMANDS: runs each command of the list that is said to be run by this test, with the
# arguments it has, as `bazel run` would.
set -euo pipefail

conform=$PWD/$1 commands=$PWD/$2
cd "$TEST_TMPDIR"
export BUILD_WORKING_DIRECTORY=$PWD
# Under a sanitizer a mistake is reported by that, and not by the rule that is meant to.
sanitized=$("$conform" --rule=INIT-5 --format=json | grep -c '"build": "[a-z]* [a-z]') || true
ran=0
while IFS= read -r command; do
  arguments=${command#*//tools:conform}
  arguments=${arguments# -- }
  [ "$sanitized" = 0 ] || [[ $arguments != mutants* ]] || continue
  echo "conform $arguments"
  # The words are to be split as a shell would; the list is ours.
  eval "\"\$conform\" $arguments" >output 2>&1 </dev/null || {
    echo "exit status $? of: $command" >&2
    cat output >&2
    exit 1
  }
  ran=$((ran + 1))
done < <(sed -n 's/^test \/\/docs:conform_commands_test | //p' "$commands")
[ -s conform.json ] || { echo "--out wrote nothing" >&2; exit 1; }
[ "$ran" -gt 0 ] || { echo "no command was run" >&2; exit 1; }
