"""Kernels compiled once per instruction set (kernels/simd.h)."""

# Appended to the copts of each version. Which one runs is chosen at run time (simd_level.h).
_LEVELS = {
    "portable": [],
    "avx2": ["-mavx2", "-mfma"],
    "avx512": ["-mavx512f", "-mfma"],
}

def simd_library(name, src, hdr, copts, inlined = []):
    """The three versions of `src`, with headers of its own, behind the declarations in `hdr`."""
    for level, flags in _LEVELS.items():
        native.cc_library(
            name = name + "_" + level,
            srcs = [src] + inlined,
            hdrs = [hdr],
            copts = copts + flags,
            visibility = ["//visibility:private"],
            deps = [
                ":simd",
                ":simd_level",
            ],
        )
    native.cc_library(
        name = name,
        hdrs = [hdr],
        visibility = ["//visibility:private"],
        deps = [":simd_level"] + [":" + name + "_" + level for level in _LEVELS],
    )
