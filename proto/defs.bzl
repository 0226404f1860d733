"""alchemist_proto_library: C++ messages (and services) from one .proto, by Debian's protoc."""

def alchemist_proto_library(name, src, deps = [], grpc = False):
    """Makes a cc_library `name` from `src`.

    Args:
      name: target; the library's headers are <src stem>.pb.h and, with grpc, <src stem>.grpc.pb.h.
      src: one .proto file of this package, imported from the root of the workspace.
      deps: other alchemist_proto_library targets of this package that `src` imports.
      grpc: whether service stubs are generated too.
    """
    root = "$(RULEDIR)/" + _up()
    stem = src[:-len(".proto")]
    outs = [stem + ".pb.h", stem + ".pb.cc"]
    plugin = ""
    if grpc:
        outs += [stem + ".grpc.pb.h", stem + ".grpc.pb.cc"]
        plugin = "--plugin=protoc-gen-grpc=/usr/bin/grpc_cpp_plugin --grpc_out=" + root
    native.filegroup(name = name + "_src", srcs = [src] + [d + "_src" for d in deps])
    native.genrule(
        name = name + "_gen",
        srcs = [src] + [d + "_src" for d in deps],
        outs = outs,
        cmd = "/usr/bin/protoc -I. --cpp_out=%s %s $(location %s)" % (root, plugin, src),
    )
    native.cc_library(
        name = name,
        srcs = [o for o in outs if o.endswith(".cc")],
        hdrs = [o for o in outs if o.endswith(".h")],
        copts = ["-w"],
        visibility = ["//visibility:public"],
        deps = deps + ["//third_party:grpc" if grpc else "//third_party:protobuf"],
    )

def _up():
    # From this package's output folder back to the root of the generated tree.
    return "/".join([".."] * len(native.package_name().split("/")))
