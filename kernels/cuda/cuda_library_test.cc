#include "kernels/cuda/cuda_library.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace alchemist {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(CudaLibraryTest, AMissingLibraryNamesEveryPathThatWasTried) {
  const absl::StatusOr<CudaLibrary> library =
      OpenCudaLibrary("libnot_there.so.13", {"/first", "/second"});
  ASSERT_EQ(library.status().code(), absl::StatusCode::kNotFound) << library.status();
  const std::string text(library.status().message());
  EXPECT_THAT(
      text,
      AllOf(HasSubstr("no libnot_there.so.13"), HasSubstr("/first/libnot_there.so.13"),
            HasSubstr("/second/libnot_there.so.13"),
            HasSubstr("/usr/local/cuda/lib64/libnot_there.so.13"),
            HasSubstr("/usr/local/cuda/lib/libnot_there.so.13"), HasSubstr("cannot open shared")));
}

TEST(CudaLibraryTest, WhatTheLoaderFindsNeedsNoDirectory) {
  const absl::StatusOr<CudaLibrary> library = OpenCudaLibrary("libc.so.6", {"/not/there"});
  ASSERT_TRUE(library.ok()) << library.status();
  EXPECT_NE(library->handle, nullptr);
  EXPECT_EQ(library->path, "libc.so.6");
}

}  // namespace
}  // namespace alchemist
