// Keys and values of the workloads, the same for every engine.
//
// Threads:    Random and ZipfRanks for one each; the others are immutable.
// Processes:  the same seed gives the same numbers everywhere.
// Owns:       nothing beyond its memory.
// Lifetime:   none.
// Errors:     none.
// Cost:       part of what is measured, the same for every engine.
#ifndef EVE_DB_BENCH_GENERATORS_H_
#define EVE_DB_BENCH_GENERATORS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "db_bench/engine_adapter.h"

namespace eve::bench {

inline constexpr size_t kKeySizeMin = 8;
inline constexpr size_t kValueSizeMin = 8;
inline constexpr size_t kValueSizeMax = size_t{1} << 30;
inline constexpr size_t kLargeValueBytes = 100000;  // those of fill100K
inline constexpr uint64_t kGenerationsMax = 4096;
// Added to the generation of a value of kLargeValueBytes.
inline constexpr uint64_t kLargeGeneration = kGenerationsMax;
inline constexpr double kZipfExponent = 0.99;  // as in YCSB

// splitmix64: its finalizer is a bijection, so distinct inputs stay distinct.
inline uint64_t Mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

class Random {
 public:
  explicit Random(uint64_t seed) : state_(Mix64(seed)) {}
  uint64_t Next() { return Mix64(state_ += 0x9e3779b97f4a7c15); }
  uint64_t Uniform(uint64_t bound) {
    return static_cast<uint64_t>(
        (static_cast<unsigned __int128>(Next()) * bound) >> 64);
  }
  // In [0, 1).
  double Unit() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

// A random order of [0, size) in constant memory: a bijection of the next power
// of two, applied again while it leaves the range (less than twice on average).
class Permutation {
 public:
  Permutation(uint64_t size, uint64_t seed);
  uint64_t operator()(uint64_t i) const {
    do {
      for (uint64_t factor : factors_) {
        i = (i * factor + addend_) & mask_;
        i ^= i >> shift_;
      }
    } while (i >= size_);
    return i;
  }

 private:
  uint64_t size_;
  uint64_t mask_;
  int shift_;
  uint64_t addend_;
  uint64_t factors_[3];  // odd
};

// Draws ranks in [0, size), rank r with a probability in proportion to
// (r + 1) ^ -kZipfExponent; in constant time and memory, by inverting the
// integral of that function and rejecting what it has too much of.
class ZipfRanks {
 public:
  explicit ZipfRanks(uint64_t size);
  uint64_t Next(Random& random) const;

 private:
  double size_;
  double low_;   // of the integral, from the first rank
  double high_;  // to the last
};

// Writes the decimal digits of `index`, padded with zeros to `size` bytes, as
// "%016d" does. An absent key has a letter for its last digit, so that absent
// keys sort among the present ones and no engine can tell them by their range.
void FormatKey(uint64_t index, bool absent, size_t size, char* key);

// The keys of a run. Those that are integers are even if they are present and
// odd if they are absent, for the same reason.
struct KeyShape {
  KeyType type = KeyType::kString;
  size_t size = 16;

  // Writes `size` bytes.
  void Format(uint64_t index, bool absent, char* key) const {
    if (type == KeyType::kString) return FormatKey(index, absent, size, key);
    KeyOfInteger(2 * index + (absent ? 1 : 0), key);
  }
  std::string At(uint64_t index) const {
    std::string key(size, '\0');
    Format(index, /*absent=*/false, key.data());
    return key;
  }
  // Of a present key. REQUIRES: `size` bytes.
  uint64_t IndexOf(std::string_view key) const;
  // For messages.
  std::string Show(uint64_t index) const;
};

enum class SizeDistribution { kFixed, kUniform, kNormal };

// What values look like.
struct ValueShape {
  SizeDistribution distribution = SizeDistribution::kFixed;
  size_t size = 100;      // kFixed
  size_t size_min = 100;  // the others
  size_t size_max = 102400;
  // To what part of its size a value shrinks when compressed, about.
  double compression_ratio = 0.5;

  bool IsFixed() const { return distribution == SizeDistribution::kFixed; }
  size_t Smallest() const { return IsFixed() ? size : size_min; }
  size_t Largest() const { return IsFixed() ? size : size_max; }
  size_t Average() const { return (Smallest() + Largest()) / 2; }
};

// Values that can be verified without knowing who wrote them last: bytes 0..7
// tell the generation, bytes -8..-1 must fit it and the key's index, and so
// must the size. A value of less than 16 bytes has both in its first 8, 16 bits
// and 48, and the rest follows from these. They do not depend on --seed, so a
// later run can verify an old database.
class ValueMaker {
 public:
  explicit ValueMaker(const ValueShape& shape);

  size_t SizeOf(uint64_t index, uint64_t generation) const;
  // Writes SizeOf(index, generation) bytes.
  void Make(uint64_t index, uint64_t generation, char* value) const;

  // Whether it is what Make wrote, of any generation. Same work for every
  // engine: the size, the first and the last 8 bytes.
  bool Verify(uint64_t index, std::string_view value) const;

  // Whether some value can have this size.
  bool CanHaveSize(size_t size) const {
    return (size >= shape_.Smallest() && size <= shape_.Largest()) ||
           size == kLargeValueBytes;
  }

 private:
  void FillNoise();
  void FillNormalSizes();

  ValueShape shape_;
  std::vector<char> noise_;
  std::vector<size_t> normal_sizes_;
};

}  // namespace eve::bench

#endif  // EVE_DB_BENCH_GENERATORS_H_
