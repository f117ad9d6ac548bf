"""Repositories that stand in for what Bazel 4 would download from places that a build may not be able to reach."""

def _native_rules_impl(rctx):
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    rctx.file("BUILD.bazel", "")
    rctx.file(rctx.attr.language + "/BUILD.bazel", "")
    rctx.file(rctx.attr.language + "/defs.bzl", "".join([
        "{0} = native.{0}\n".format(rule)
        for rule in rctx.attr.rules
    ]))

native_rules = repository_rule(
    implementation = _native_rules_impl,
    attrs = {
        "language": attr.string(mandatory = True, doc = "The package that has `defs.bzl`."),
        "rules": attr.string_list(mandatory = True, doc = "Rules that Bazel itself or a library loads from there."),
    },
    doc = "A `@rules_*` repository as the rules built into Bazel. Debian's own packages of them do not load in its Bazel.",
)

# Bazel 4 knows fewer than the libraries ask about. The names and aliases are those of platforms 0.0.10.
_CPUS = [
    "aarch32", "aarch64", "arm64_32", "arm64e", "armv6-m", "armv7", "armv7-m", "armv7e-m", "armv7e-mf", "armv7k",
    "armv8-m", "cortex-r52", "cortex-r82", "i386", "mips64", "ppc", "ppc32", "ppc64le", "riscv32", "riscv64", "s390x",
    "wasm32", "wasm64", "x86_32", "x86_64",
]
_CPU_ALIASES = {"arm": "aarch32", "arm64": "aarch64"}
_OSES = [
    "android", "chromiumos", "emscripten", "freebsd", "fuchsia", "haiku", "ios", "linux", "netbsd", "nixos", "none",
    "openbsd", "osx", "qnx", "tvos", "uefi", "visionos", "vxworks", "wasi", "watchos", "windows",
]
_OS_ALIASES = {"macos": "osx"}

def _constraints(setting, values, aliases):
    lines = [
        'package(default_visibility = ["//visibility:public"])',
        'constraint_setting(name = "%s")' % setting,
    ]
    lines += ['constraint_value(name = "%s", constraint_setting = ":%s")' % (value, setting) for value in values]
    lines += ['alias(name = "%s", actual = ":%s")' % alias for alias in aliases.items()]
    return "\n".join(lines) + "\n"

def _platforms_repository_impl(rctx):
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    rctx.file("BUILD.bazel", "")
    rctx.file("cpu/BUILD.bazel", _constraints("cpu", _CPUS, _CPU_ALIASES))
    rctx.file("os/BUILD.bazel", _constraints("os", _OSES, _OS_ALIASES))

platforms_repository = repository_rule(
    implementation = _platforms_repository_impl,
    doc = "`@platforms` with the processors and systems that Abseil and GoogleTest select on.",
)

def _empty_repository_impl(rctx):
    rctx.file("WORKSPACE", "workspace(name = \"%s\")\n" % rctx.name)
    rctx.file("BUILD.bazel", "".join([
        'filegroup(name = "%s", visibility = ["//visibility:public"])\n' % target
        for target in rctx.attr.targets
    ]))

empty_repository = repository_rule(
    implementation = _empty_repository_impl,
    attrs = {"targets": attr.string_list(doc = "Names of the empty filegroups in its root package.")},
    doc = "A repository that must exist to be named, of which nothing is used.",
)
