"""Tests of the command line."""

def cli_test(name, size, files = [], tags = []):
    """Runs NAME.sh from the root with the paths of eve and of `files`."""
    files = ["//engine/cli:eve"] + files
    native.sh_test(
        name = name,
        size = size,
        srcs = [name + ".sh"],
        args = ["$(rootpath %s)" % file for file in files],
        data = files + ["testing.sh"],
        tags = tags,
    )
