#!/usr/bin/env bash
# debian_fetch.sh source|binary PACKAGE FILE_PATTERN SHA256 SUITE...
#
# Fetches one file of a Debian package and prints its path. FILE_PATTERN is a shell pattern for its name in the archive.
# The mirror is the one this machine's apt uses, or $TENON_DEBIAN_MIRROR; apt runs in directories of its own, so neither
# the system's package lists nor its packages are touched and no privilege is needed. What has been fetched once, by any
# workspace, is kept under its sha256.
set -euo pipefail

kind=$1 package=$2 pattern=$3 sha256=$4
shift 4
cache=${XDG_CACHE_HOME:-${HOME:?neither XDG_CACHE_HOME nor HOME is set}/.cache}/tenon/debian
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Prints the first address in apt's configuration that serves this release of Debian itself (not its security updates,
# nor a vendor's packages): the other suites live at the same place. Both file formats are read.
mirror() {
  if [ -n "${TENON_DEBIAN_MIRROR:-}" ]; then
    echo "$TENON_DEBIAN_MIRROR"
    return
  fi
  local codename list
  # shellcheck source=/dev/null
  codename=$(. /etc/os-release && [ "$ID" = debian ] && echo "${VERSION_CODENAME:-}") || true
  # A blank line ends a stanza, and so must the end of a file.
  for list in /etc/apt/sources.list.d/*.sources /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ ! -r "$list" ] || { cat "$list"; echo; }
  done |
    awk -v codename="$codename" '
      function serves(suite) { return suite != "" && suite == codename || suite ~ /^(oldstable|stable|testing|unstable|sid)$/ }
      function choose(uri, suites,   n, i, suite) {
        n = split(suites, suite)
        for (i = 1; i <= n && !found; i++) if (uri != "" && serves(suite[i])) { print uri; found = 1 }
      }
      /^#/ { next }
      /^[[:space:]]*$/ { uri = suites = "" }
      tolower($1) == "uris:" { uri = $2; choose(uri, suites) }
      tolower($1) == "suites:" { suites = $0; choose(uri, suites) }
      $1 == "deb" { sub(/\[[^]]*\]/, ""); choose($2, $3) }'
}

# Writes the configuration of a private apt for one suite. Hooks of the system's apt are not for it to run.
configure() {  # directory suite
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
  local type=deb
  [ "$kind" = source ] && type=deb-src
  local address
  address=$(mirror)
  if [ -z "$address" ]; then
    echo "no Debian mirror in this machine's apt configuration; name one in TENON_DEBIAN_MIRROR" >&2
    return 1
  fi
  echo "$type [signed-by=$keyring] $address $2 main" >"$1/sources.list"
  cat >"$1/apt.conf" <<CONF
Dir::Etc::sourcelist "$1/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$1/lists";
Dir::State::status "/dev/null";
Dir::Cache "$1/cache";
APT::Architecture "amd64";
APT::Sandbox::User "";
Acquire::Retries "3";
Acquire::Languages "none";
#clear APT::Architectures;
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
CONF
}

# Prints the address of the wanted file in one suite. Its package list is fetched once, unless `refresh` is set.
locate() {  # suite refresh
  local dir=$cache/apt/$kind-$1 refresh=$2
  mkdir -p "$dir"
  (
    flock 9
    if [ -n "$refresh" ] || [ ! -f "$dir/updated" ]; then
      rm -f "$dir/updated"
      configure "$dir" "$1" || exit 1
      apt-get -c "$dir/apt.conf" -qq --error-on=any update >&2 || exit 1
      touch "$dir/updated"
    fi
    if [ "$kind" = source ]; then
      apt-get -c "$dir/apt.conf" --print-uris --tar-only source "$package"
    else
      (cd "$dir" && apt-get -c "$dir/apt.conf" --print-uris download "$package")
    fi | while read -r uri name _; do
      # shellcheck disable=SC2053  # a pattern is meant
      [[ $name == $pattern ]] && echo "$uri" | tr -d "'" && break
    done
  ) 9>"$dir/lock"
}

file=$cache/$sha256
if [ -f "$file" ] && echo "$sha256  $file" | sha256sum --check --status; then
  echo "$file"
  exit
fi

mkdir -p "$cache"
part=$(mktemp "$cache/part.XXXXXX")
trap 'rm -f "$part"*' EXIT  # apt keeps what it refused beside it
refresh=
for attempt in 1 2 3; do
  for suite in "$@"; do
    uri=$(locate "$suite" "$refresh") || continue
    [ -n "$uri" ] || continue
    /usr/lib/apt/apt-helper -c "$cache/apt/$kind-$suite/apt.conf" download-file "$uri" "$part" "SHA256:$sha256" >&2 ||
      continue
    echo "$sha256  $part" | sha256sum --check --status || continue
    chmod 644 "$part"
    mv "$part" "$file"  # Atomic: whoever fetched the same file meanwhile wrote the same bytes.
    echo "$file"
    exit
  done
  refresh=yes
  [ "$attempt" = 3 ] || sleep $((attempt * 2))
done
echo "no $kind package $package with a file $pattern of sha256 $sha256 in Debian $*" >&2
exit 1
