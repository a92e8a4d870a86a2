#include "db_bench/generators.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace eve::bench {
namespace {

constexpr uint64_t kValueSeed = 0x6576655f62656e63;
constexpr uint64_t kSizeSeed = 0x73697a65735f3031;
// Little enough to stay cached: a miss for each value would cost every engine
// the same 0.2 us of a write, and be none's.
constexpr size_t kNoiseBytes = size_t{64} << 10;
// The compressible noise repeats itself inside of pieces of this size.
constexpr size_t kPieceBytes = 100;
constexpr size_t kNormalSizes = 4096;
// Bytes of a value that nothing can compress: generation and check.
constexpr double kTagBytes = 16;

uint64_t Load64(const char* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof(word));
  return word;
}

// Of values that are too short for two tags.
constexpr size_t kShortValueBytes = 16;
constexpr uint64_t kGenerationMask = 0xFFFF;
static_assert(kLargeGeneration + kGenerationsMax <= kGenerationMask);

uint64_t ShortTag(uint64_t hash, uint64_t generation) {
  return (Mix64(hash + generation) & ~kGenerationMask) |
         ((hash ^ generation) & kGenerationMask);
}

// What follows the tag.
void MakeShort(uint64_t tag, size_t size, char* value) {
  const uint64_t rest = Mix64(tag);
  std::memcpy(value, &tag, sizeof(tag));
  std::memcpy(value + sizeof(tag), &rest, size - sizeof(tag));
}

bool IsShort(uint64_t tag, std::string_view value) {
  char expected[kShortValueBytes];
  MakeShort(tag, value.size(), expected);
  return value == std::string_view(expected, value.size());
}

// The integral of x ^ -kZipfExponent from 1 to x.
double ZipfIntegral(double x) {
  constexpr double kPower = 1 - kZipfExponent;
  return std::expm1(kPower * std::log(x)) / kPower;
}

double InverseZipfIntegral(double area) {
  constexpr double kPower = 1 - kZipfExponent;
  return std::exp(std::log1p(area * kPower) / kPower);
}

double ZipfWeight(double x) { return std::pow(x, -kZipfExponent); }

}  // namespace

Permutation::Permutation(uint64_t size, uint64_t seed) : size_(size) {
  const int bits = std::max(1, static_cast<int>(std::bit_width(size - 1)));
  mask_ = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  shift_ = (bits + 1) / 2;
  Random random(seed);
  addend_ = random.Next();
  for (uint64_t& factor : factors_) factor = random.Next() | 1;
}

// Rank k owns the area from k - 1/2 to k + 1/2, of which its weight is the
// right part; the first owns just its weight, so that it is never rejected.
ZipfRanks::ZipfRanks(uint64_t size)
    : size_(static_cast<double>(size)),
      low_(ZipfIntegral(1.5) - 1),
      high_(ZipfIntegral(size_ + 0.5)) {}

uint64_t ZipfRanks::Next(Random& random) const {
  for (;;) {
    const double area = high_ + random.Unit() * (low_ - high_);
    const double x = InverseZipfIntegral(area);
    const double rank = std::clamp(std::floor(x + 0.5), 1.0, size_);
    // The function is convex, so the area is never less than the weight.
    if (area >= ZipfIntegral(rank + 0.5) - ZipfWeight(rank)) {
      return static_cast<uint64_t>(rank) - 1;
    }
  }
}

void FormatKey(uint64_t index, bool absent, size_t size, char* key) {
  std::memset(key, '0', size);
  size_t at = size;
  if (absent) {
    key[--at] = static_cast<char>('a' + index % 10);
    index /= 10;
  }
  for (; index != 0; index /= 10) {
    key[--at] = static_cast<char>('0' + index % 10);
  }
}

uint64_t KeyShape::IndexOf(std::string_view key) const {
  if (type == KeyType::kInt64) return IntegerOfKey(key) / 2;
  uint64_t index = 0;
  for (const char digit : key) {
    index = 10 * index + static_cast<uint64_t>(digit - '0');
  }
  return index;
}

std::string KeyShape::Show(uint64_t index) const {
  return type == KeyType::kInt64 ? std::to_string(2 * index) : At(index);
}

ValueMaker::ValueMaker(const ValueShape& shape)
    : shape_(shape),
      noise_(kNoiseBytes + std::max(shape.Largest(), kLargeValueBytes)) {
  FillNoise();
  if (shape_.distribution == SizeDistribution::kNormal) FillNormalSizes();
}

void ValueMaker::FillNoise() {
  // The tags do not shrink, so the rest has to shrink more.
  const double size = static_cast<double>(shape_.Average());
  const double rest = size - kTagBytes;
  const double ratio =
      rest <= 0
          ? 1
          : std::clamp((shape_.compression_ratio * size - kTagBytes) / rest,
                       0.0, 1.0);
  const size_t fresh = std::max<size_t>(
      1, static_cast<size_t>(std::lround(ratio * kPieceBytes)));
  Random random(kValueSeed);
  for (size_t i = 0; i < noise_.size(); ++i) {
    const size_t at = i % kPieceBytes;
    noise_[i] =
        at < fresh ? static_cast<char>(random.Next()) : noise_[i - fresh];
  }
}

// 99.7 % of all sizes are between the bounds, the others are put on them.
void ValueMaker::FillNormalSizes() {
  const double least = static_cast<double>(shape_.size_min);
  const double most = static_cast<double>(shape_.size_max);
  Random random(kSizeSeed);
  normal_sizes_.resize(kNormalSizes);
  for (size_t& size : normal_sizes_) {
    const double radius = std::sqrt(-2 * std::log(1 - random.Unit()));
    const double deviate = radius * std::cos(2 * M_PI * random.Unit());
    const double drawn = (least + most) / 2 + deviate * (most - least) / 6;
    size = static_cast<size_t>(std::clamp(drawn, least, most));
  }
}

size_t ValueMaker::SizeOf(uint64_t index, uint64_t generation) const {
  if (generation >= kLargeGeneration) return kLargeValueBytes;
  if (shape_.IsFixed()) return shape_.size;
  const uint64_t drawn = Mix64(Mix64(index ^ kSizeSeed) + generation);
  if (shape_.distribution == SizeDistribution::kNormal) {
    return normal_sizes_[drawn % kNormalSizes];
  }
  return shape_.size_min + drawn % (shape_.size_max - shape_.size_min + 1);
}

void ValueMaker::Make(uint64_t index, uint64_t generation, char* value) const {
  const size_t size = SizeOf(index, generation);
  const uint64_t hash = Mix64(index ^ kValueSeed);
  if (size < kShortValueBytes) {
    return MakeShort(ShortTag(hash, generation), size, value);
  }
  const uint64_t first = hash ^ generation;
  const uint64_t last = Mix64(hash + generation);
  std::memcpy(value, &noise_[last % kNoiseBytes], size);
  std::memcpy(value, &first, sizeof(first));
  std::memcpy(value + size - sizeof(last), &last, sizeof(last));
}

bool ValueMaker::Verify(uint64_t index, std::string_view value) const {
  if (value.size() < kValueSizeMin) return false;
  const uint64_t hash = Mix64(index ^ kValueSeed);
  if (value.size() < kShortValueBytes) {
    const uint64_t tag = Load64(value.data());
    const uint64_t short_generation = (tag ^ hash) & kGenerationMask;
    return short_generation < kLargeGeneration &&
           value.size() == SizeOf(index, short_generation) &&
           tag == ShortTag(hash, short_generation) && IsShort(tag, value);
  }
  const uint64_t generation = Load64(value.data()) ^ hash;
  const uint64_t last = Load64(value.data() + value.size() - sizeof(uint64_t));
  return generation < kLargeGeneration + kGenerationsMax &&
         value.size() == SizeOf(index, generation) &&
         last == Mix64(hash + generation);
}

}  // namespace eve::bench
