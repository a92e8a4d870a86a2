// Typed keys and values: what goes in comes out, and bytes order as values do.
#include "eve/codec.h"

#include <cmath>
#include <compare>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <tuple>
#include <vector>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "util/random.h"

namespace eve {
namespace {

template <class T>
std::string Encoded(const T& value) {
  Scratch scratch;
  return Codec<T>::Encode(value, scratch).ToString();
}

// Round trip of each value, order of each pair.
template <class T>
void ExpectOrdered(const std::vector<T>& values) {
  ASSERT_TRUE(Codec<T>::kOrdered);
  for (const T& a : values) {
    const std::string bytes = Encoded(a);
    ASSERT_TRUE(Codec<T>::IsValid(Bytes(bytes)));
    ASSERT_TRUE(T(Codec<T>::Decode(Bytes(bytes))) == a);
    for (const T& b : values) ASSERT_EQ(a < b, bytes < Encoded(b));
  }
}

template <class T>
std::vector<T> RandomIntegers() {
  std::vector<T> values = {0, 1, std::numeric_limits<T>::min(),
                           std::numeric_limits<T>::max(), static_cast<T>(-1)};
  Random random(sizeof(T));
  for (int i = 0; i < 200; ++i) {
    values.push_back(static_cast<T>(random.Next() >> random.Uniform(64)));
    values.push_back(static_cast<T>(0 - random.Uniform(1000)));
  }
  return values;
}

enum class Plain : uint8_t { kOnly };
enum class Own : uint8_t { kOnly };
enum class Derived : uint8_t { kOnly };

}  // namespace

template <>
struct Codec<Own> : Codec<std::string> {};
template <>
struct Codec<Derived> : Codec<uint8_t> {};

namespace {

// The bytes of a codec of one's own have no known end inside a tuple.
static_assert(codec_internal::Member<Plain> &&
              codec_internal::Member<std::tuple<bool, std::string, Plain>>);
static_assert(!codec_internal::Member<Own> && !codec_internal::Member<Derived>);
static_assert(!codec_internal::Member<Bytes>);
// A view would be stored as an address.
static_assert(!codec_internal::Struct<std::span<int>> &&
              !codec_internal::Struct<std::span<const char, 3>> &&
              !codec_internal::Struct<absl::Span<const int>>);

TEST(CodecTest, IntegersOrderBySize) {
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomIntegers<int8_t>()));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomIntegers<uint8_t>()));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomIntegers<int16_t>()));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomIntegers<uint16_t>()));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomIntegers<int32_t>()));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomIntegers<uint32_t>()));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomIntegers<int64_t>()));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomIntegers<uint64_t>()));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomIntegers<long long>()));
}

template <class T>
std::vector<T> RandomFloats() {
  using Limits = std::numeric_limits<T>;
  std::vector<T> values = {T(1),           T(-1),
                           Limits::max(),  Limits::lowest(),
                           Limits::min(),  Limits::denorm_min(),
                           -Limits::min(), Limits::infinity(),
                           T(0),           -Limits::infinity()};
  Random random(7);
  for (int i = 0; i < 200; ++i) {
    const double magnitude = std::pow(10, 60 * random.NextDouble() - 30);
    values.push_back(static_cast<T>(random.OneIn(2) ? magnitude : -magnitude));
  }
  return values;
}

TEST(CodecTest, FloatsOrderBySize) {
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomFloats<float>()));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(RandomFloats<double>()));
  EXPECT_LT(Encoded(-0.0), Encoded(0.0));
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_LT(Encoded(std::numeric_limits<double>::infinity()), Encoded(nan));
  EXPECT_TRUE(std::isnan(Codec<double>::Decode(Bytes(Encoded(nan)))));
}

// The total order of IEEE 754: NaNs lie outside the infinities, by their sign.
TEST(CodecTest, FloatsHaveATotalOrder) {
  const double infinity = std::numeric_limits<double>::infinity();
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double tiny = std::numeric_limits<double>::denorm_min();
  const std::vector<double> ascending = {std::copysign(nan, -1.0),
                                         -infinity,
                                         -1.0,
                                         -tiny,
                                         -0.0,
                                         0.0,
                                         tiny,
                                         1.0,
                                         infinity,
                                         nan};
  for (size_t i = 1; i < ascending.size(); ++i) {
    EXPECT_LT(Encoded(ascending[i - 1]), Encoded(ascending[i])) << i;
  }
}

TEST(CodecTest, BoolsAndEnumsOrderToo) {
  EXPECT_LT(Encoded(false), Encoded(true));
  EXPECT_TRUE(Codec<bool>::Decode(Bytes("\1", 1)));
  EXPECT_FALSE(Codec<bool>::IsValid(Bytes("\2", 1)));
  EXPECT_FALSE(Codec<bool>::IsValid(Bytes()));
  enum class Color : int16_t { kBlue = -5, kRed = 3 };
  EXPECT_LT(Encoded(Color::kBlue), Encoded(Color::kRed));
  EXPECT_EQ(Codec<Color>::Decode(Bytes(Encoded(Color::kBlue))), Color::kBlue);
}

template <class Underlying>
void ExpectEnumIsA(const std::string& type) {
  enum class Letter : Underlying { kA = 'a', kZ = 'z' };
  EXPECT_EQ(Codec<Letter>::TypeName(), type);
  ExpectOrdered<Letter>({Letter::kA, Letter::kZ});
  EXPECT_EQ(Encoded(Letter::kA).size(), sizeof(Underlying));
}

TEST(CodecTest, EnumsOfCharactersAreIntegers) {
  ExpectEnumIsA<char>(std::is_signed_v<char> ? "int8" : "uint8");
  ExpectEnumIsA<wchar_t>(std::is_signed_v<wchar_t> ? "int32" : "uint32");
  ExpectEnumIsA<char8_t>("uint8");
  ExpectEnumIsA<char16_t>("uint16");
  ExpectEnumIsA<char32_t>("uint32");
  enum class Flag : bool { kOff, kOn };
  EXPECT_EQ(Codec<Flag>::TypeName(), "bool");
  ExpectOrdered<Flag>({Flag::kOff, Flag::kOn});
}

TEST(CodecTest, AStringIsItsBytes) {
  const std::string text("a\0b", 3);
  Scratch scratch;
  const Bytes bytes = Codec<std::string>::Encode(text, scratch);
  EXPECT_EQ(bytes.data(), text.data());
  EXPECT_EQ(Codec<std::string>::Decode(bytes), Bytes(text));
}

// Of few letters, so that one is often the beginning of another.
std::string RandomText(Random& random) {
  std::string text(random.Uniform(5), '\0');
  const char letters[4] = {'\0', '\1', 'a', '\xFF'};
  for (char& c : text) c = letters[random.Uniform(4)];
  return text;
}

TEST(CodecTest, StringsOrderByTheirBytes) {
  std::vector<std::string> texts;
  Random random(5);
  for (int i = 0; i < 300; ++i) texts.push_back(RandomText(random));
  for (const std::string& a : texts) {
    for (const std::string& b : texts) {
      ASSERT_EQ(a < b, Bytes(a) < Bytes(b));
      ASSERT_EQ(a == b, Bytes(a) == Bytes(b));
    }
  }
}

// What prefix scans over tuples rest on.
TEST(CodecTest, LeadingMembersAreAPrefix) {
  using Key = std::tuple<std::string, int32_t, std::string>;
  Random random(6);
  for (int i = 0; i < 200; ++i) {
    const Key key(RandomText(random), -5, RandomText(random));
    const std::string whole = Encoded(key);
    const std::string one = Encoded(std::tuple(std::get<0>(key)));
    const std::string two = Encoded(std::tuple(std::get<0>(key), -5));
    ASSERT_TRUE(whole.starts_with(two));
    ASSERT_TRUE(two.starts_with(one));
    // And of no other first member.
    const std::string other = RandomText(random);
    if (other == std::get<0>(key)) continue;
    ASSERT_FALSE(whole.starts_with(Encoded(std::tuple(other))));
  }
}

TEST(CodecTest, TuplesOrderMemberByMember) {
  using Key = std::tuple<std::string, int32_t, std::string>;
  std::vector<Key> keys;
  Random random(3);
  for (int i = 0; i < 400; ++i) {
    const int32_t number = static_cast<int32_t>(random.Uniform(5)) - 2;
    keys.emplace_back(RandomText(random), number, RandomText(random));
  }
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(keys));
}

TEST(CodecTest, TuplesNestAndMayBeLong) {
  using Inner = std::tuple<std::string, bool>;
  using Key = std::tuple<Inner, std::string, double, uint8_t>;
  std::vector<Key> keys;
  Random random(4);
  for (int i = 0; i < 200; ++i) {
    keys.emplace_back(Inner(RandomText(random), random.OneIn(2)),
                      std::string(random.Uniform(3) * 60, 'x'),
                      random.NextDouble(), uint8_t{3});
  }
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered(keys));
  ASSERT_NO_FATAL_FAILURE(ExpectOrdered<std::tuple<>>({std::tuple<>()}));
}

TEST(CodecTest, ATupleIsValidOnlyWhenWhole) {
  using Key = std::tuple<std::string, uint16_t>;
  const std::string whole = Encoded(Key("a", 1));
  EXPECT_TRUE(Codec<Key>::IsValid(Bytes(whole)));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(Codec<Key>::IsValid(Bytes(whole.data(), size)));
  }
  EXPECT_FALSE(Codec<Key>::IsValid(Bytes(whole + "x")));
  EXPECT_FALSE(Codec<Key>::IsValid(Bytes("a\0\1\0\0", 5)));
}

struct Point {
  int32_t x;
  int32_t y;
};
struct Padded {
  int64_t number;
  char letter;
};

TEST(CodecTest, StructsAreTheirMemory) {
  const Point point{3, -4};
  const std::string bytes = Encoded(point);
  EXPECT_EQ(bytes.size(), sizeof(Point));
  EXPECT_EQ(Codec<Point>::Decode(Bytes(bytes)).y, -4);
  EXPECT_FALSE(Codec<Point>::IsValid(Bytes(bytes + "x")));
  EXPECT_TRUE(Codec<Point>::kKey);
  EXPECT_FALSE(Codec<Point>::kOrdered);
  // Padding has any bytes: equal structs would be different keys.
  EXPECT_FALSE(Codec<Padded>::kKey);
}

TEST(CodecTest, FixedSizesAreChecked) {
  EXPECT_FALSE(Codec<int32_t>::IsValid(Bytes("abc")));
  EXPECT_FALSE(Codec<double>::IsValid(Bytes("abc")));
}

// A name is stored with the collection. Changing one here means that files in
// the field no longer open.
TEST(CodecTest, TypeNamesNeverChange) {
  EXPECT_EQ(Codec<std::string>::TypeName(), "string");
  EXPECT_EQ(Codec<int8_t>::TypeName(), "int8");
  EXPECT_EQ(Codec<uint16_t>::TypeName(), "uint16");
  EXPECT_EQ(Codec<int32_t>::TypeName(), "int32");
  EXPECT_EQ(Codec<uint64_t>::TypeName(), "uint64");
  EXPECT_EQ(Codec<float>::TypeName(), "float32");
  EXPECT_EQ(Codec<double>::TypeName(), "float64");
  EXPECT_EQ(Codec<bool>::TypeName(), "bool");
  EXPECT_EQ(Codec<Point>::TypeName(), "struct:8");
  using Key = std::tuple<std::string, std::tuple<int64_t, bool>>;
  EXPECT_EQ(Codec<Key>::TypeName(), "tuple(string,tuple(int64,bool))");
  EXPECT_EQ(Codec<std::tuple<>>::TypeName(), "tuple()");
}

// And neither do the bytes.
TEST(CodecTest, EncodedBytesNeverChange) {
  EXPECT_EQ(Encoded(int16_t{-2}), std::string("\x7F\xFE", 2));
  EXPECT_EQ(Encoded(uint32_t{0x01020304}), std::string("\1\2\3\4", 4));
  EXPECT_EQ(Encoded(1.0f), std::string("\xBF\x80\0\0", 4));
  EXPECT_EQ(Encoded(std::tuple<std::string, uint8_t>(std::string("a\0", 2), 7)),
            std::string("a\0\xFF\0\0\7", 6));
}

}  // namespace
}  // namespace eve
