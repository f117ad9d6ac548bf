#!/usr/bin/env bash
# run_python.sh SCRIPT ARG...: the rules built into Bazel 4 look for a `python`, which Debian does not have.
exec python3 -B "$@"
