"""The engines that db_bench compares Eve with, as far as they are installed.

Unlike the other libraries these may be missing: `HAVE` says which headers were
found, and db_bench is built with the adapters of those. The look-up is made
anew by each Bazel server; after installing a library run `bazel shutdown`.
"""

_RIVALS = {
    "leveldb": ("leveldb/db.h", "-lleveldb"),
    "lmdb": ("lmdb.h", "-llmdb"),
    "rocksdb": ("rocksdb/db.h", "-lrocksdb"),
    "tkrzw": ("tkrzw_dbm_hash.h", "-ltkrzw"),
}

# Where Debian, and who installs by hand, puts headers.
_INCLUDE_DIRS = ["/usr/include", "/usr/local/include"]

_LIBRARY = """
cc_library(
    name = "{name}",
    linkopts = ["{link}"],
    visibility = ["//visibility:public"],
)
"""

def _find_rivals(context):
    have = {}
    build = ""
    for name, (header, link) in _RIVALS.items():
        have[name] = False
        for folder in _INCLUDE_DIRS:
            if context.path(folder + "/" + header).exists:
                have[name] = True
        build += _LIBRARY.format(name = name, link = link)
    context.file("BUILD.bazel", build)
    context.file("have.bzl", "HAVE = " + repr(have) + "\n")

find_rivals = repository_rule(
    implementation = _find_rivals,
    configure = True,
    local = True,
)
