// Rules against subjects, facet by facet: the shape of the reports for people.

#ifndef TENON_CONFORMANCE_REPORT_MATRIX_H_
#define TENON_CONFORMANCE_REPORT_MATRIX_H_

#include <string>
#include <vector>

#include "tenon/conformance/runner/report.h"

namespace tenon::conformance {

// One facet. Everything points into the report it was made from.
struct Matrix {
  struct Row {
    const Rule* rule = nullptr;
    // One for each subject; null where the rule was not run on it.
    std::vector<const RuleResult*> results;
  };

  std::string facet;
  std::vector<const SubjectReport*> subjects;
  std::vector<Row> rows;
};

// The facets of a report in order of appearance. `report` outlives the result.
std::vector<Matrix> MakeMatrices(const Report& report);

// "57 pass, 1 fail, 1 unsupported": those that are not zero; "nothing was run" for none.
std::string SummaryText(const Summary& summary);

}  // namespace tenon::conformance

#endif  // TENON_CONFORMANCE_REPORT_MATRIX_H_
