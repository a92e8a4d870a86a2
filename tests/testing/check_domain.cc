#include "tests/testing/check_domain.h"

#include <fcntl.h>

#include "engine/file/file.h"
#include "engine/verify/verifier.h"
#include "gtest/gtest.h"
#include "tests/testing/status_matchers.h"

namespace eve::testing {

void ExpectCleanCheck(const std::string& path, Domain& domain) {
  ASSERT_OK_AND_ASSIGN(const Snapshot now, domain.Now());
  ExpectCleanCheckAt(path, now);
}

void ExpectCleanCheckAt(const std::string& path, const Snapshot& snapshot) {
  ASSERT_OK_AND_ASSIGN(const File file, File::Open(path, O_RDONLY));
  VerifyOptions options;
  options.record_offset = snapshot.internal_record_offset();
  ASSERT_OK_AND_ASSIGN(const VerifyReport report, VerifyDomain(file, options));
  EXPECT_EQ(report.error_count, 0u);
  for (const VerifyError& error : report.errors) {
    ADD_FAILURE() << "offset " << error.offset << ": " << error.what
                  << ": expected " << error.expected << ", found "
                  << error.found;
  }
}

}  // namespace eve::testing
