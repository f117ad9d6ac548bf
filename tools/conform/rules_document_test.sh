#!/usr/bin/env bash
# The checked-in list of rules is what conform prints.
set -euo pipefail

conform=$1
document=$2
if ! diff -u "$document" <("$conform" --list --format=markdown); then
  echo "regenerate: ./bazelw run //tools:conform -- --list --format=markdown --out=docs/conformance-rules.md" >&2
  exit 1
fi
