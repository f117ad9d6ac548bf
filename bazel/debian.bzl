"""Repository rules for what Debian packages: sources built from scratch, and headers.

Both find the machine's own Debian mirror when they run (see debian_fetch.sh), take the first of `suites` that has the
pinned file, and refuse anything whose sha256 differs.
"""

_COMMON_ATTRS = {
    "package": attr.string(mandatory = True, doc = "Name of the Debian package."),
    "version": attr.string(mandatory = True, doc = "Upstream version, without Debian's revision."),
    "sha256": attr.string(mandatory = True, doc = "Of the file fetched."),
    "suites": attr.string_list(default = ["trixie"], doc = "Releases to look in, in this order."),
    "build_file": attr.label(allow_single_file = True, doc = "BUILD file for sources that bring none."),
    "_fetch": attr.label(default = "//bazel:debian_fetch.sh", allow_single_file = True),
}

def _run(rctx, arguments, what):
    result = rctx.execute(arguments, timeout = 900)
    if result.return_code != 0:
        fail("@{repository}: cannot {what} Debian package {package} {version} ({suites}):\n{error}".format(
            error = result.stderr.strip(),
            package = rctx.attr.package,
            repository = rctx.name,
            suites = ", ".join(rctx.attr.suites),
            version = rctx.attr.version,
            what = what,
        ))
    return result.stdout.strip()

def _fetch(rctx, kind, pattern):
    script = rctx.path(rctx.attr._fetch)
    return _run(rctx, [script, kind, rctx.attr.package, pattern, rctx.attr.sha256] + rctx.attr.suites, "fetch")

def _overlay(rctx):
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    if rctx.attr.build_file:
        for name in ["BUILD", "BUILD.bazel"]:
            rctx.delete(name)
        rctx.symlink(rctx.attr.build_file, "BUILD.bazel")

def _debian_source_impl(rctx):
    tarball = _fetch(rctx, "source", "%s_%s.%s.tar.*" % (rctx.attr.package, rctx.attr.version, rctx.attr.tarball))
    _run(rctx, ["tar", "--strip-components=1", "--no-same-owner", "-xf", tarball], "unpack")
    _overlay(rctx)

debian_source = repository_rule(
    implementation = _debian_source_impl,
    attrs = dict(
        _COMMON_ATTRS,
        tarball = attr.string(default = "orig", doc = "`orig`, or `orig-COMPONENT` for a further upstream tarball."),
    ),
    doc = "The upstream sources in a Debian source package, without Debian's patches.",
)

def _debian_headers_impl(rctx):
    package = _fetch(rctx, "binary", "%s_%s-*.deb" % (rctx.attr.package, rctx.attr.version))
    members = ["./usr/include/" + path for path in rctx.attr.paths or ["*"]]
    unpack = 'dpkg-deb --fsys-tarfile "$1" | tar --strip-components=2 --no-same-owner --wildcards ' + \
             '--no-wildcards-match-slash -x "${@:2}"'
    _run(rctx, ["bash", "-o", "pipefail", "-c", unpack, "bash", package] + members, "unpack")
    _overlay(rctx)

debian_headers = repository_rule(
    implementation = _debian_headers_impl,
    attrs = dict(
        _COMMON_ATTRS,
        paths = attr.string_list(doc = "Files and folders to take from /usr/include, as patterns; everything if empty."),
    ),
    doc = "The headers in a Debian binary package, unpacked into `include/` and not installed.",
)
