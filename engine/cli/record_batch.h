// RecordBatch: records that wait for the end of their batch.
//
// Threads:    one.
// Processes:  none.
// Owns:       the bytes; keeps the room when it is cleared.
// Lifetime:   what key() and value() show dies with the next Add or Clear.
// Errors:     none.
// Cost:       a copy of each byte.
#ifndef EVE_ENGINE_CLI_RECORD_BATCH_H_
#define EVE_ENGINE_CLI_RECORD_BATCH_H_

#include <cstddef>
#include <cstring>
#include <memory>
#include <vector>

#include "eve/bytes.h"

namespace eve::cli {

class RecordBatch {
 public:
  void Add(Bytes key, Bytes value) {
    is_ascending_ =
        is_ascending_ && (size() == 0 || this->key(size() - 1) < key);
    records_.push_back({Copy(key), key.size(), Copy(value), value.size()});
  }
  void Clear() {
    records_.clear();
    used_ = 0;
    is_ascending_ = true;
  }
  // Whether each key is above the one before.
  bool is_ascending() const { return is_ascending_; }
  size_t size() const { return records_.size(); }
  size_t bytes() const { return used_; }
  Bytes key(size_t index) const {
    const Record& record = records_[index];
    return Bytes(room_.get() + record.key, record.key_size);
  }
  Bytes value(size_t index) const {
    const Record& record = records_[index];
    return Bytes(room_.get() + record.value, record.value_size);
  }

 private:
  struct Record {
    size_t key;
    size_t key_size;
    size_t value;
    size_t value_size;
  };
  size_t Copy(Bytes bytes) {
    if (capacity_ - used_ < bytes.size()) Grow(bytes.size());
    if (!bytes.empty()) {
      std::memcpy(room_.get() + used_, bytes.data(), bytes.size());
    }
    used_ += bytes.size();
    return used_ - bytes.size();
  }
  void Grow(size_t more) {
    const size_t capacity = 2 * capacity_ + more;
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    if (used_ != 0) std::memcpy(larger.get(), room_.get(), used_);
    room_ = std::move(larger);
    capacity_ = capacity;
  }

  std::vector<Record> records_;
  std::unique_ptr<char[]> room_;
  size_t capacity_ = 0;
  size_t used_ = 0;
  bool is_ascending_ = true;
};

}  // namespace eve::cli

#endif  // EVE_ENGINE_CLI_RECORD_BATCH_H_
