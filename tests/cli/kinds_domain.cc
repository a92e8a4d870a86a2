// kinds_domain make|check FILE: a domain with collections of all kinds and of
// many types, and whether a domain has just these; for dump_test.sh.

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "eve/eve.h"
#include "util/status_macros.h"

namespace eve {
namespace {

struct Point {
  int32_t x;
  int32_t y;
  friend bool operator==(const Point&, const Point&) = default;
};

enum class Colour : uint8_t { kRed = 1, kGreen = 200 };

using Key = std::tuple<std::string, int16_t>;
using Nested = std::tuple<uint8_t, std::tuple<std::string, bool>>;

const std::vector<std::string>& Texts() {
  static const auto* const kTexts =
      new std::vector<std::string>{"",
                                   "plain",
                                   std::string("\0", 1),
                                   std::string("a\0", 2),
                                   std::string("a\0\xFF", 3),
                                   "line\nline\r\n",
                                   "back\\slash \\0a",
                                   "\xC3\xA4\xF0\x9F\x98\x80",
                                   "\xFF\xFE not UTF-8",
                                   "\"quoted\" \x7F\t",
                                   std::string(60'000, 'k')};
  return *kTexts;
}

// Puts entries, or compares with what is there.
class Visit {
 public:
  Visit(Domain* domain, bool makes) : domain_(domain), makes_(makes) {}

  template <class C>
  absl::Status Map(
      const std::string& name,
      const std::vector<std::pair<typename C::Key, typename C::Value>>&
          entries) {
    EVE_ASSIGN_OR_RETURN(C map, domain_->Collection<C>(name));
    for (const auto& [key, value] : entries) {
      if (makes_) {
        EVE_RETURN_IF_ERROR(map.Put(key, value));
        continue;
      }
      EVE_ASSIGN_OR_RETURN(const typename C::Value found, map.Get(key));
      if (!(found == value)) return Differs(name);
    }
    EVE_ASSIGN_OR_RETURN(const uint64_t size, map.size());
    return size == entries.size() ? absl::OkStatus() : Differs(name);
  }

  template <class C>
  absl::Status Set(const std::string& name,
                   const std::set<typename C::Key>& keys) {
    EVE_ASSIGN_OR_RETURN(C set, domain_->Collection<C>(name));
    for (const auto& key : keys) {
      if (makes_) EVE_RETURN_IF_ERROR(set.Add(key));
      EVE_ASSIGN_OR_RETURN(const bool found, set.Contains(key));
      if (!found) return Differs(name);
    }
    EVE_ASSIGN_OR_RETURN(const uint64_t size, set.size());
    return size == keys.size() ? absl::OkStatus() : Differs(name);
  }

  template <class K, class V>
  absl::Status Multi(const std::string& name,
                     const std::set<std::pair<K, V>>& pairs) {
    using Pairs = MultiMap<K, V>;
    EVE_ASSIGN_OR_RETURN(Pairs map, domain_->Collection<Pairs>(name));
    for (const auto& [key, value] : pairs) {
      if (makes_) EVE_RETURN_IF_ERROR(map.Add(key, value));
      EVE_ASSIGN_OR_RETURN(const Snapshot now, domain_->Now());
      if (!map.At(now).Contains(key, value)) return Differs(name);
    }
    EVE_ASSIGN_OR_RETURN(const uint64_t size, map.size());
    return size == pairs.size() ? absl::OkStatus() : Differs(name);
  }

 private:
  static absl::Status Differs(const std::string& name) {
    return absl::InternalError(absl::StrCat("'", name, "' differs"));
  }
  Domain* domain_;
  bool makes_;
};

std::vector<std::pair<std::string, std::string>> TextPairs() {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& text : Texts()) pairs.emplace_back(text, text);
  pairs.emplace_back("large", std::string(3'000'000, 'v'));
  return pairs;
}

absl::Status VisitAll(Visit visit) {
  EVE_RETURN_IF_ERROR(
      (visit.Map<OrderedMap<std::string, std::string>>("texts", TextPairs())));
  EVE_RETURN_IF_ERROR(
      (visit.Map<Map<std::string, std::string>>("hashed", TextPairs())));
  EVE_RETURN_IF_ERROR((visit.Map<OrderedMap<std::string, std::string>>(
      "name with\na line, \\ and \x01 \xFF", {{"a", "b"}})));
  EVE_RETURN_IF_ERROR(
      (visit.Map<OrderedMap<std::string, std::string>>("empty", {})));
  EVE_RETURN_IF_ERROR((visit.Map<OrderedMap<int64_t, double>>(
      "numbers", {{INT64_MIN, -1.5},
                  {-1, std::numeric_limits<double>::infinity()},
                  {0, -0.0},
                  {INT64_MAX, 1e300}})));
  EVE_RETURN_IF_ERROR((visit.Map<OrderedMap<uint64_t, std::string>>(
      "unsigned", {{0, "zero"}, {1, "one"}, {UINT64_MAX, "max"}})));
  EVE_RETURN_IF_ERROR((visit.Map<Map<uint32_t, bool>>(
      "flags", {{1, true}, {2, false}, {UINT32_MAX, true}})));
  EVE_RETURN_IF_ERROR((visit.Map<Map<Point, Point>>(
      "points", {{{1, 2}, {3, 4}}, {{-1, 0}, {0, 0}}})));
  EVE_RETURN_IF_ERROR((visit.Map<OrderedMap<Key, Nested>>(
      "tuples", {{Key("a", -1), Nested(1, {"x", true})},
                 {Key(Texts()[4], 7), Nested(2, {Texts()[2], false})}})));
  EVE_RETURN_IF_ERROR((visit.Map<OrderedMap<Colour, float>>(
      "colours", {{Colour::kRed, 0.5F}, {Colour::kGreen, -2.0F}})));
  EVE_RETURN_IF_ERROR(visit.Set<SortedSet<std::string>>(
      "words", std::set<std::string>(Texts().begin(), Texts().end())));
  EVE_RETURN_IF_ERROR(
      visit.Set<SortedSet<Key>>("pairs", {Key("", 0), Key("a", -5)}));
  EVE_RETURN_IF_ERROR(visit.Set<Set<std::string>>(
      "hashed set", {Texts().begin(), Texts().end()}));
  std::set<std::pair<std::string, std::string>> texts;
  for (const std::string& key : Texts()) {
    if (key.size() > 100) continue;
    for (const std::string& value : Texts()) {
      if (value.size() < 100) texts.emplace(key, value);
    }
  }
  EVE_RETURN_IF_ERROR(visit.Multi("multi texts", texts));
  EVE_RETURN_IF_ERROR((visit.Multi<Key, int32_t>(
      "multi tuples",
      {{Key("a", 1), -1}, {Key("a", 1), 1}, {Key(Texts()[4], -1), 0}})));
  return visit.Multi<uint16_t, Nested>("multi numbers",
                                       {{1, Nested(1, {"", false})},
                                        {1, Nested(1, {"", true})},
                                        {9, Nested(0, {Texts()[4], true})}});
}

absl::Status Run(const std::string& verb, const char* path) {
  DomainOptions options;
  options.background = false;
  options.durability = Durability::kNone;
  options.create = verb == "make";
  EVE_ASSIGN_OR_RETURN(Domain domain, Domain::Open(path, options));
  EVE_RETURN_IF_ERROR(VisitAll(Visit(&domain, verb == "make")));
  EVE_ASSIGN_OR_RETURN(const auto collections, domain.Collections());
  if (collections.size() != 16) {
    return absl::InternalError(
        absl::StrCat(collections.size(), " collections instead of 16"));
  }
  return domain.Close();
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const absl::Status status = eve::Run(argv[1], argv[2]);
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  return status.ok() ? 0 : 1;
}
