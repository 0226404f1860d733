// A check's measurements as lines for people. Pure functions; any thread.
#ifndef ALCHEMIST_TOOLS_GPU_CHECK_MEASUREMENT_TEXT_H_
#define ALCHEMIST_TOOLS_GPU_CHECK_MEASUREMENT_TEXT_H_

#include <string>
#include <vector>

#include "tools/gpu_check/check.h"

namespace alchemist {

// Whole numbers in full, others with four significant digits; no exponent where people want none.
// NaN is "-".
std::string NumberText(double value);

// Aligned lines, each after `indent` spaces. A line a measurement: name, value, unit. If all names
// are "row/column", a table: a line a row, with the columns' names and units above.
std::string MeasurementText(const std::vector<Measurement>& measurements, int indent);

}  // namespace alchemist

#endif  // ALCHEMIST_TOOLS_GPU_CHECK_MEASUREMENT_TEXT_H_
