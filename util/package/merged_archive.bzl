"""One static library out of many."""

def _merged_archive_impl(ctx):
    archives = []
    for dep in ctx.attr.deps:
        for linker_input in dep[CcInfo].linking_context.linker_inputs.to_list():
            for library in linker_input.libraries:
                archive = library.pic_static_library or library.static_library
                if archive and archive not in archives:
                    archives.append(archive)
    output = ctx.actions.declare_file("lib%s.a" % ctx.label.name)

    # In a script for `ar`, since members of equal name must stay apart. It
    # takes no plus signs in paths, which Bazel's have none of below bazel-out.
    script = ctx.actions.declare_file(ctx.label.name + ".mri")
    ctx.actions.write(script, "\n".join(
        ["create " + output.path] +
        ["addlib " + archive.path for archive in archives] +
        ["save", "end", ""],
    ))
    ctx.actions.run_shell(
        command = "ar -M <%s && ranlib %s" % (script.path, output.path),
        inputs = archives + [script],
        outputs = [output],
    )
    return [DefaultInfo(files = depset([output]))]

merged_archive = rule(
    doc = "lib<name>.a with all objects of `deps` and of what they depend on, " +
          "but not the libraries that those name in `linkopts`.",
    implementation = _merged_archive_impl,
    attrs = {"deps": attr.label_list(providers = [CcInfo])},
)
