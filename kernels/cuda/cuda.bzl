"""Device code: compiled by nvcc to one image for all the GPUs we know, and linked in as bytes."""

# Of targets that need the CUDA Toolkit: without --config=cuda they are left out of //... .
CUDA_ONLY = select({
    "//third_party:with_cuda": [],
    "//conditions:default": ["//third_party:needs_config_cuda"],
})

# linkopts of what deploy/bundle.sh bundles: its libraries, and theirs, lie beside it there. (The
# older kind of tag, because the newer one does not hold for libraries of libraries.)
BUNDLED = [
    "-Wl,--disable-new-dtags",
    "-Wl,-rpath,$$ORIGIN/../lib",
]

_NVCC = "/usr/local/cuda/bin/nvcc"
_BIN2C = "/usr/local/cuda/bin/bin2c"
_FLAGS = [
    "-fatbin",
    "-std=c++20",
    "-O3",
    "-Werror=all-warnings",
    "-I.",
    "-gencode=arch=compute_80,code=sm_80",
    "-gencode=arch=compute_90a,code=sm_90a",
    "-gencode=arch=compute_80,code=compute_80",  # Compiled at load by drivers of newer GPUs.
]

def cuda_image(name, src, headers = []):
    """A library with the code of `src` as a C array, `<name>`, for cuModuleLoadData."""
    native.genrule(
        name = name + "_source",
        srcs = [src] + headers,
        outs = [name + ".c"],
        cmd = " ".join([_NVCC] + _FLAGS + ["-o $@.fatbin $(location %s)" % src]) +
              " && %s --const --type char --name %s $@.fatbin > $@" % (_BIN2C, name) +
              " && rm $@.fatbin",
        target_compatible_with = CUDA_ONLY,
        visibility = ["//visibility:private"],
    )
    native.cc_library(
        name = name,
        srcs = [name + ".c"],
        target_compatible_with = CUDA_ONLY,
        visibility = ["//visibility:private"],
    )
