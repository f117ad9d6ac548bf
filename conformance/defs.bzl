"""The conformance suite as tests of a backend or an allocator, and binaries of the loop made wrong on purpose.

    load("@tenon//conformance:defs.bzl", "allocator_conformance_test", "backend_conformance_test")

    backend_conformance_test(
        name = "libuv_conformance_test",
        backend = ":libuv",  # a tenon_backend
        known_failures = "known_failures.txt",
        shard_count = 4,
    )

    allocator_conformance_test(
        name = "mimalloc_conformance_test",
        allocator = ":mimalloc",  # a tenon_allocator
    )
"""

load("//bazel:backend.bzl", "tenon_allocator_set", "tenon_backend_set")

def _conformance_test(name, main, known_failures, timeout_s, size, args, data, tags = [], **kwargs):
    """What the tests of all facets are: `main` over the set `<name>_set`."""
    if known_failures:
        args = args + ["--known_failures=$(rootpath %s)" % known_failures]
        data = data + [known_failures]
    if timeout_s:
        args = args + ["--timeout=%d" % timeout_s]
    native.cc_test(
        name = name,
        size = size,
        args = args,
        data = data,
        # It has no pidfd_open(2), with which the runner waits.
        tags = tags + ["no_valgrind"],
        deps = [
            ":" + name + "_set",
            main,
        ],
        **kwargs
    )

def backend_conformance_test(
        name,
        backend,
        known_failures = None,
        timeout_s = None,
        size = "large",
        args = [],
        data = [],
        **kwargs):
    """A test that runs every rule of the loop facet against one backend, each in a process of its own.

    `bazel test --test_filter=TD-*` runs the rules that match; the test shards; its XML has a test case for each rule.
    It passes exactly when every rule passes, is unsupported, or fails and is listed as known.

    Args:
      name: of the test.
      backend: a tenon_backend target.
      known_failures: a file with lines `RULE-ID  reason`, one for each rule that is known to fail. A line without a
        reason, an unknown rule, and a listed rule that passes are failures.
      timeout_s: seconds after which a rule is killed; 30 unless said otherwise.
      size: as for cc_test.
      args: more arguments, such as `--seed=1`.
      data: as for cc_test.
      **kwargs: as for cc_test: shard_count, tags, timeout and others.
    """
    tenon_backend_set(
        name = name + "_set",
        backends = [backend],
        testonly = True,
        visibility = ["//visibility:private"],
    )
    _conformance_test(
        name = name,
        main = Label("//conformance/runner:backend_test_main"),
        known_failures = known_failures,
        timeout_s = timeout_s,
        size = size,
        args = args,
        data = data,
        **kwargs
    )

def allocator_conformance_test(
        name,
        allocator,
        inner = [],
        known_failures = None,
        timeout_s = None,
        size = "large",
        args = [],
        data = [],
        **kwargs):
    """A test that runs every rule of the allocator facet against one allocator, each in a process of its own.

    A decorator is tested over an allocator of the suite, which refuses what it is told to, and in the compositions with
    `inner` that the suite knows, such as tracking(system). Otherwise as backend_conformance_test.

    Args:
      name: of the test.
      allocator: a tenon_allocator target.
      inner: more tenon_allocator targets, to compose it with. They are tested as well.
      known_failures: as for backend_conformance_test.
      timeout_s: seconds after which a rule is killed; 30 unless said otherwise.
      size: as for cc_test.
      args: more arguments, such as `--seed=1` or `--subject='tracking*'`.
      data: as for cc_test.
      **kwargs: as for cc_test: shard_count, tags, timeout and others.
    """
    tenon_allocator_set(
        name = name + "_set",
        allocators = [allocator] + inner,
        testonly = True,
        visibility = ["//visibility:private"],
    )
    _conformance_test(
        name = name,
        main = Label("//conformance/runner:allocator_test_main"),
        known_failures = known_failures,
        timeout_s = timeout_s,
        size = size,
        args = args,
        data = data,
        **kwargs
    )

# As seen from the workspace that is built, of which this one may be an external repository.
_MUTATIONS = str(Label("//core/loop:mutations"))

def _loop_mutations_impl(_settings, _attr):
    return {_MUTATIONS: True}

_loop_mutations = transition(
    implementation = _loop_mutations_impl,
    inputs = [],
    outputs = [_MUTATIONS],
)

def _with_loop_mutations_impl(ctx):
    # An attribute with a transition is a list.
    binary = ctx.attr.binary[0][DefaultInfo]
    output = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(
        is_executable = True,
        output = output,
        target_file = binary.files_to_run.executable,
    )
    return [DefaultInfo(
        executable = output,
        files = depset([output]),
        runfiles = ctx.runfiles(files = [output]).merge(binary.default_runfiles),
    )]

with_loop_mutations = rule(
    implementation = _with_loop_mutations_impl,
    attrs = {
        "binary": attr.label(
            cfg = _loop_mutations,
            executable = True,
            mandatory = True,
            doc = "A cc_binary.",
        ),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    executable = True,
    doc = "The same binary over a core/loop that has the places of mutation.h in it. Nothing else is built that way.",
)
