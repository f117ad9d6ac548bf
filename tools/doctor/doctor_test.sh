#!/usr/bin/env bash
# doctor_test.sh DOCTOR: what users see of the program. Findings themselves are tested elsewhere.
set -euo pipefail

doctor=$PWD/$1
cd "$TEST_TMPDIR"
failures=0

# expect STATUS TEXT ARG...: doctor ARG... exits with STATUS and prints TEXT somewhere.
expect() {
  local status=$1 text=$2 actual=0 output
  shift 2
  output=$("$doctor" "$@" 2>&1 </dev/null) || actual=$?
  if [ "$actual" != "$status" ] || [[ $output != *"$text"* ]]; then
    echo "doctor $*: expected status $status and \"$text\", got status $actual and: $output" >&2
    failures=$((failures + 1))
  fi
}

expect 0 "auto takes "
expect 0 "auto takes " --require=auto
expect 0 "--require=NAME" --help
expect 2 "doctor: --format: \"xml\" is neither table nor json" --format=xml
expect 2 "is not linked into this binary; linked: " --require=nosuch

"$doctor" --format=json >report.json
python3 - report.json <<'PYTHON' || failures=$((failures + 1))
import json, sys

with open(sys.argv[1], encoding='utf-8') as file:
    report = json.load(file)
assert report['tool'] == 'doctor' and report['host']['kernel'].startswith('Linux '), report
assert report['backends'], 'no backend is linked'
for backend in report['backends']:
    assert backend['runs'] == (backend['code'] == 'OK') == (backend['reason'] is None), backend
assert report['automatic']['backend'] in [b['name'] for b in report['backends'] if b['runs']], report
PYTHON

# A report that nobody got is no success.
status=0
"$doctor" >/dev/full 2>errors || status=$?
[[ $status = 1 && $(<errors) == "doctor: cannot write the report"* ]] ||
  { echo "on a full disk: status $status and $(<errors)" >&2; failures=$((failures + 1)); }

exit "$((failures > 0))"
