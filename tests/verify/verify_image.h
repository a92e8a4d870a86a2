// Runs the verifier on an image.
//
// Threads:    any.
// Processes:  none.
// Owns:       a memory file during the call.
// Lifetime:   none.
// Errors:     fails the test when there is no memory.
// Cost:       that of the verification.
#ifndef EVE_TESTS_VERIFY_VERIFY_IMAGE_H_
#define EVE_TESTS_VERIFY_VERIFY_IMAGE_H_

#include <string>

#include "absl/status/statusor.h"
#include "engine/file/file.h"
#include "engine/verify/verifier.h"
#include "gtest/gtest.h"

namespace eve::testing {

inline absl::StatusOr<VerifyReport> VerifyImage(
    const std::string& image, const VerifyOptions& options = {}) {
  absl::StatusOr<File> file = File::CreateMemory("image");
  if (!file.ok()) return file.status();
  if (absl::Status written = file->WriteAt(0, image.data(), image.size());
      !written.ok()) {
    return written;
  }
  return VerifyDomain(*file, options);
}

// All errors, one a line.
inline std::string ErrorsOf(const VerifyReport& report) {
  std::string text;
  for (const auto* list : {&report.errors, &report.warnings}) {
    for (const VerifyError& error : *list) {
      text += "offset " + std::to_string(error.offset) + ": " + error.what +
              ": expected " + error.expected + ", found " + error.found + "\n";
    }
  }
  return text;
}

// Whether the verification said that something is wrong.
inline bool IsDamageFound(const absl::StatusOr<VerifyReport>& report) {
  return !report.ok() || !report->ok() || !report->warnings.empty();
}

}  // namespace eve::testing

#endif  // EVE_TESTS_VERIFY_VERIFY_IMAGE_H_
