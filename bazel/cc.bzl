"""The C++ rules of Tenon: cc_library, cc_binary and cc_test with its include paths, its language version, its warnings."""

_COPTS = [
    "-std=c++20",
    "-Wall",
    "-Wextra",
    "-Wnon-virtual-dtor",
    "-Woverloaded-virtual",
]

_TENON = Label("//bazel:cc.bzl").workspace_name

def _in_tenon():
    return native.repository_name() == "@" + _TENON

def _copts(copts):
    # In a consumer's build Tenon is an external repository: their compiler may warn of more than those it is tested
    # with, which is no reason for their build to fail.
    return _COPTS + (["-Werror"] if _in_tenon() and not _TENON else []) + copts

def _include_prefix():
    # A header's path is relative to its package once a prefix is given. A consumer's own packages, built with these
    # rules, keep the paths they have.
    return "tenon/" + native.package_name() if _in_tenon() else None

def _is_header(src):
    return type(src) == type("") and (src.endswith(".h") or src.endswith(".inc"))

def _private_headers(name, srcs, **kwargs):
    """Gives headers in `srcs` the same include path as public ones, through a library of their own."""
    if type(srcs) != type([]) or not [src for src in srcs if _is_header(src)]:
        return srcs, []
    library = name + "_private_headers"
    native.cc_library(
        name = library,
        hdrs = [src for src in srcs if _is_header(src)],
        include_prefix = _include_prefix(),
        visibility = ["//visibility:private"],
        **kwargs
    )
    return [src for src in srcs if not _is_header(src)], [":" + library]

def tenon_cc_library(name, srcs = [], hdrs = [], deps = [], copts = [], visibility = None, **kwargs):
    """A cc_library whose headers are included as "tenon/<package>/<header>", wherever it is built.

    Args:
      name: of the target.
      srcs: sources; headers among them can be included by this target alone.
      hdrs: public headers.
      deps: libraries.
      copts: added to Tenon's own.
      visibility: private unless said otherwise.
      **kwargs: as for cc_library.
    """
    common = {key: kwargs[key] for key in ["testonly", "tags", "target_compatible_with"] if key in kwargs}
    srcs, private = _private_headers(name, srcs, **common)
    native.cc_library(
        name = name,
        srcs = srcs,
        hdrs = hdrs,
        copts = _copts(copts),
        include_prefix = _include_prefix(),
        visibility = visibility or ["//visibility:private"],
        deps = deps + private,
        **kwargs
    )

def tenon_cc_binary(name, srcs = [], deps = [], copts = [], visibility = None, **kwargs):
    """A cc_binary with Tenon's language version and warnings; private unless said otherwise.

    Args:
      name: of the target.
      srcs: sources and headers.
      deps: libraries.
      copts: added to Tenon's own.
      visibility: private unless said otherwise.
      **kwargs: as for cc_binary.
    """
    common = {key: kwargs[key] for key in ["testonly", "tags", "target_compatible_with"] if key in kwargs}
    srcs, private = _private_headers(name, srcs, **common)
    native.cc_binary(
        name = name,
        srcs = srcs,
        copts = _copts(copts),
        visibility = visibility or ["//visibility:private"],
        deps = deps + private,
        **kwargs
    )

def tenon_cc_test(name, srcs = [], deps = [], copts = [], size = "small", main = True, **kwargs):
    """A cc_test over GoogleTest, small unless said otherwise.

    Args:
      name: of the target.
      srcs: sources and headers.
      deps: libraries; GoogleTest is added.
      copts: added to Tenon's own.
      size: as for cc_test.
      main: whether GoogleTest's main() is linked too.
      **kwargs: as for cc_test.
    """
    common = {key: kwargs[key] for key in ["tags", "target_compatible_with"] if key in kwargs}
    srcs, private = _private_headers(name, srcs, testonly = True, **common)
    gtest = Label("@googletest//:gtest_main") if main else Label("@googletest//:gtest")
    native.cc_test(
        name = name,
        size = size,
        srcs = srcs,
        copts = _copts(copts),
        deps = deps + private + [gtest],
        **kwargs
    )
