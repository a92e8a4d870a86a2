// ErrorLog: where the passes of a verification put what they find.
//
// Threads:    one at a time.
// Processes:  none.
// Owns:       nothing; writes into the report.
// Lifetime:   within one VerifyDomain().
// Errors:     none.
// Cost:       keeps the first errors, counts the rest.
#ifndef EVE_ENGINE_VERIFY_ERROR_LOG_H_
#define EVE_ENGINE_VERIFY_ERROR_LOG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "engine/format/offset.h"
#include "engine/verify/report.h"

namespace eve::verify {

class ErrorLog {
 public:
  ErrorLog(VerifyReport* report, size_t kept) : report_(report), kept_(kept) {}

  void Add(uint64_t byte, std::string what, std::string expected,
           std::string found) {
    ++report_->error_count;
    if (report_->errors.size() >= kept_) return;
    report_->errors.push_back(VerifyError{
        byte, std::move(what), std::move(expected), std::move(found)});
  }
  void Add(Offset offset, std::string what, std::string expected,
           std::string found) {
    Add(offset.bytes(), std::move(what), std::move(expected), std::move(found));
  }
  // That `size` bytes could not be read, for the reason that `read` gives.
  void AddUnread(uint64_t byte, const char* what, uint64_t size,
                 const absl::Status& read) {
    Add(byte, what, absl::StrCat(size, " bytes"), std::string(read.message()));
    if (!absl::IsOutOfRange(read)) report_->unreadable.Update(read);
  }
  // Adds an error unless the two are equal. Returns whether they are.
  bool Equal(Offset offset, const char* what, uint64_t expected,
             uint64_t found) {
    if (expected == found) return true;
    Add(offset, what, absl::StrCat(expected), absl::StrCat(found));
    return false;
  }
  bool AtMost(Offset offset, const char* what, uint64_t limit, uint64_t found) {
    if (found <= limit) return true;
    Add(offset, what, absl::StrCat("at most ", limit), absl::StrCat(found));
    return false;
  }
  void Warn(uint64_t byte, std::string what, std::string expected,
            std::string found) {
    report_->warnings.push_back(VerifyError{
        byte, std::move(what), std::move(expected), std::move(found)});
  }
  uint64_t count() const { return report_->error_count; }

 private:
  VerifyReport* report_;
  const size_t kept_;
};

inline std::string Hex(uint64_t value) {
  return absl::StrCat("0x", absl::Hex(value));
}

}  // namespace eve::verify

#endif  // EVE_ENGINE_VERIFY_ERROR_LOG_H_
