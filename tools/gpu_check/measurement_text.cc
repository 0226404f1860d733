#include "tools/gpu_check/measurement_text.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "tools/gpu_check/wrapped_text.h"

namespace alchemist {
namespace {

std::string Padding(int columns, absl::string_view text) {
  return std::string(std::max(0, columns - ColumnsOf(text)), ' ');
}

std::string ListText(const std::vector<Measurement>& measurements, int indent) {
  int name_columns = 0, value_columns = 0;
  for (const Measurement& measurement : measurements) {
    name_columns = std::max(name_columns, ColumnsOf(OneLine(measurement.name)));
    value_columns = std::max(value_columns, ColumnsOf(NumberText(measurement.value)));
  }
  std::string text;
  for (const Measurement& measurement : measurements) {
    const std::string name = OneLine(measurement.name);
    const std::string value = NumberText(measurement.value);
    const std::string head =
        absl::StrCat(std::string(indent, ' '), name, Padding(name_columns + 2, name),
                     Padding(value_columns, value), value, " ");
    absl::StrAppend(&text, WrappedText(head, ColumnsOf(head), measurement.unit));
  }
  return text;
}

bool IsCell(const Measurement& measurement) {
  return std::count(measurement.name.begin(), measurement.name.end(), '/') == 1;
}

// Both parts of a name, which is one of the table's.
std::pair<std::string, std::string> RowAndColumn(const Measurement& measurement) {
  const size_t slash = measurement.name.find('/');
  return {OneLine(measurement.name.substr(0, slash)), OneLine(measurement.name.substr(slash + 1))};
}

// Where `text` is in `texts`; it is appended if it is not there.
size_t IndexOf(std::vector<std::string>& texts, const std::string& text) {
  const auto found = std::find(texts.begin(), texts.end(), text);
  if (found != texts.end()) return found - texts.begin();
  texts.push_back(text);
  return texts.size() - 1;
}

// Cells by row and column; the first row has the columns' names, the second one their units, and
// the first cell of each row its name.
std::vector<std::vector<std::string>> Cells(const std::vector<Measurement>& measurements) {
  std::vector<std::string> rows;
  std::vector<std::string> columns;
  for (const Measurement& measurement : measurements) {
    const auto [row, column] = RowAndColumn(measurement);
    IndexOf(rows, row);
    IndexOf(columns, column);
  }
  std::vector<std::vector<std::string>> cells(2 + rows.size(),
                                              std::vector<std::string>(1 + columns.size(), "-"));
  cells[0][0] = cells[1][0] = "";
  for (size_t i = 0; i < rows.size(); ++i) cells[2 + i][0] = rows[i];
  for (const Measurement& measurement : measurements) {
    const auto [row, column] = RowAndColumn(measurement);
    const size_t at = 1 + IndexOf(columns, column);
    cells[0][at] = column;
    cells[1][at] = OneLine(measurement.unit);
    cells[2 + IndexOf(rows, row)][at] = NumberText(measurement.value);
  }
  return cells;
}

std::string CellsText(const std::vector<std::vector<std::string>>& cells, int indent) {
  std::vector<int> widths(cells[0].size(), 0);
  for (const std::vector<std::string>& row : cells) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], ColumnsOf(row[i]));
  }
  std::string text;
  for (const std::vector<std::string>& row : cells) {
    std::string line = absl::StrCat(std::string(indent, ' '), row[0], Padding(widths[0], row[0]));
    for (size_t i = 1; i < row.size(); ++i) {
      absl::StrAppend(&line, "  ", Padding(widths[i], row[i]), row[i]);
    }
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

}  // namespace

std::string NumberText(double value) {
  if (std::isnan(value)) return "-";
  const bool is_large = std::abs(value) >= 1000 && std::abs(value) < 1e15;
  return is_large ? absl::StrFormat("%.0f", value) : absl::StrFormat("%.4g", value);
}

std::string MeasurementText(const std::vector<Measurement>& measurements, int indent) {
  if (measurements.empty()) return "";
  const bool is_table = std::all_of(measurements.begin(), measurements.end(), IsCell);
  return is_table ? CellsText(Cells(measurements), indent) : ListText(measurements, indent);
}

}  // namespace alchemist
