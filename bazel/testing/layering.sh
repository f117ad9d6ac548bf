#!/usr/bin/env bash
# Asks Bazel who depends on whom and fails where that breaks the direction
#   core <- backends <- //:backends <- runtime <- {tools, examples}
#   core <- {alloc, pool}
# Tests, and libraries only tests may use, may look anywhere.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

query() { ./bazelw query --noimplicit_deps --nohost_deps --order_output=no --noshow_progress "$@"; }

broken=0
# Reports those of the labels on standard input that do not match.
only() {  # rule, extended regular expression
  local label
  while read -r label; do
    [[ $label =~ $2 ]] && continue
    broken=1
    echo "layering: $1, not $label"
  done
}

# What is used, directly, by what ships from these packages.
used_by() { query "deps(attr(testonly, 0, $1), 1)"; }

used_by //core/... >"${scratch:=$(mktemp)}"
trap 'rm -f "$scratch"' EXIT
only "core uses Abseil and core only" '^(//core[/:]|@abseil-cpp//)' <"$scratch"

used_by //alloc/... >"$scratch"
only "an allocator uses core and alloc" '^(//core[/:]|//alloc[/:]|@)' <"$scratch"
used_by //pool/... >"$scratch"
only "a pool uses core and pool" '^(//core[/:]|//pool[/:]|@)' <"$scratch"

for build in backends/*/BUILD.bazel; do
  [ -f "$build" ] || continue
  backend=${build%/BUILD.bazel}
  used_by "//${backend}/..." >"$scratch"
  only "a backend uses core and no other backend" "^(//core[/:]|//${backend}[/:]|@)" <"$scratch"
done

if [ -f backends/BUILD.bazel ]; then
  # By name and not by rdeps(), which would load all that Abseil and GoogleTest could ever depend on.
  query 'attr(testonly, 0, attr(deps, "[\[ ](//:backends|//backends:)", //...))' >"$scratch"
  only "only runtime, tools and examples see which backends are chosen" '^//(:|backends:|runtime[/:]|tools[/:])' <"$scratch"
fi

exit "$broken"
