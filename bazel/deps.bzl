"""What Tenon depends on. A consumer's WORKSPACE calls tenon_dependencies() after whatever it wants to be used instead."""

load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")
load("//bazel:bazel_compat.bzl", "empty_repository", "native_rules", "platforms_repository")
load("//bazel:debian.bzl", "debian_headers", "debian_source")

_ASIO_INCLUDES = [
    "asio",
    "assert",
    "config",
    "context",
    "core",
    "date_time",
    "detail",
    "exception",
    "mpl",
    "numeric/conversion",
    "preprocessor",
    "smart_ptr",
    "system",
    "type_traits",
]

def tenon_dependencies():
    """Declares every repository Tenon needs, each only if the workspace has not declared it itself.

    The names are those of the public module registry.
    """

    # What Bazel expects to download and Debian's Bazel comes without.
    maybe(
        native_rules,
        name = "rules_cc",
        language = "cc",
        rules = [
            "cc_binary",
            "cc_import",
            "cc_library",
            "cc_proto_library",
            "cc_test",
            "cc_toolchain",
            "cc_toolchain_suite",
            "objc_library",
        ],
    )
    maybe(
        native_rules,
        name = "rules_java",
        language = "java",
        rules = [
            "java_binary",
            "java_import",
            "java_library",
            "java_runtime",
            "java_toolchain",
        ],
    )
    maybe(platforms_repository, name = "platforms")
    maybe(
        empty_repository,
        name = "remote_coverage_tools",
        targets = ["coverage_report_generator"],
    )
    maybe(
        debian_source,
        name = "bazel_skylib",
        package = "bazel-skylib",
        sha256 = "b22f0f38d9a1ac565fce8a43df3d284f6b8e5e8775bda54b5cb687bed46b6ea4",
        suites = ["trixie", "bookworm"],
        version = "1.0.3",
    )

    maybe(
        debian_source,
        name = "abseil-cpp",
        package = "abseil",
        sha256 = "df6d1f5ef540725f3851201176a60486aab332410788465c9877910bb471c34a",
        version = "20240722.0",
    )
    maybe(
        debian_source,
        name = "googletest",
        package = "googletest",
        sha256 = "2f54382b5d13d6cd0be2afc524f1e510d37f8ba78c2d439c5bea64ef37e30d01",
        version = "1.16.0",
    )
    maybe(
        debian_source,
        name = "jemalloc",
        build_file = Label("//third_party:jemalloc.BUILD"),
        package = "jemalloc",
        sha256 = "2db82d1e7119df3e71b7640219b6dfe84789bc0537983c3b7ac4f7189aecfeaa",
        suites = ["trixie", "bookworm"],
        version = "5.3.0",
    )
    maybe(
        debian_source,
        name = "liburing",
        build_file = Label("//third_party:liburing.BUILD"),
        package = "liburing",
        sha256 = "57e9b36e4ac1e46b8e0351dfb1694dc59638fc25e384b4ba36d87b800b16db1a",
        version = "2.9",
    )
    maybe(
        debian_source,
        name = "libuv",
        build_file = Label("//third_party:libuv.BUILD"),
        package = "libuv1",
        sha256 = "ec9de6ecf2a780fd2afb3b007947d2cd57c3bb17f3b9e721a66774980d35cd4d",
        version = "1.50.0",
    )
    maybe(
        debian_source,
        name = "mimalloc",
        build_file = Label("//third_party:mimalloc.BUILD"),
        package = "mimalloc",
        sha256 = "cbc9d207ff105ad1f0cb739c378076143a6452b8d0624309cea0abfb040e972b",
        suites = ["bookworm"],
        version = "2.0.9+ds",
    )
    maybe(
        debian_headers,
        name = "boost.asio",
        build_file = Label("//third_party:boost.asio.BUILD"),
        package = "libboost1.88-dev",
        # What Asio includes, in all its variants; the whole of Boost is 16,000 files, each of which would be in every
        # sandbox.
        paths = ["boost/*.hpp"] + ["boost/" + library for library in _ASIO_INCLUDES],
        sha256 = "4f9599afe8039a130320325e6bcb41b135f3c607ab678c643ae1ef29f411cada",
        version = "1.88.0",
    )
