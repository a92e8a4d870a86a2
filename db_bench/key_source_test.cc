// Which keys the workloads of a run draw: what --distribution,
// --read_random_exp_range and readhot promise.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "db_bench/worker_parts.h"
#include "gtest/gtest.h"

namespace eve::bench {
namespace {

constexpr uint64_t kKeys = 1000;
constexpr int kDraws = 100000;

// The keys that one worker draws in the benchmark at `phase`.
class Draws {
 public:
  Draws(RunConfig config, std::vector<std::string_view> names, int worker = 0) {
    config.num = kKeys;
    config.seed = 301;
    config.threads = 2;
    for (const std::string_view name : names) {
      config.workloads.push_back(FindWorkload(name));
    }
    WorkerTask task{};
    task.config = &config;
    task.workload = config.workloads.back();
    task.phase = static_cast<int>(names.size()) - 1;
    task.worker = worker;
    KeySource keys(task);
    uint64_t last = 0;
    for (uint64_t i = 0; i < kDraws; ++i) {
      const uint64_t key = keys.Index(i);
      ++counts_[key];
      descents_ += key < last ? 1 : 0;
      if (key > last) step_max_ = std::max(step_max_, key - last);
      last = key;
    }
  }

  // The keys, those drawn most often first.
  std::vector<uint64_t> ByFrequency() const {
    std::vector<uint64_t> keys;
    for (const auto& [key, count] : counts_) keys.push_back(key);
    std::stable_sort(keys.begin(), keys.end(), [&](uint64_t a, uint64_t b) {
      return counts_.at(a) > counts_.at(b);
    });
    return keys;
  }
  // What part of all draws the most frequent `keys` have.
  double ShareOfFirst(size_t keys) const {
    std::vector<uint64_t> order = ByFrequency();
    order.resize(std::min(keys, order.size()));
    double drawn = 0;
    for (const uint64_t key : order) drawn += counts_.at(key);
    return drawn / kDraws;
  }
  // How often the next key was smaller, and the largest step upwards.
  int descents() const { return descents_; }
  uint64_t step_max() const { return step_max_; }
  size_t distinct() const { return counts_.size(); }
  uint64_t largest() const { return counts_.rbegin()->first; }

 private:
  std::map<uint64_t, int> counts_;
  int descents_ = 0;
  uint64_t step_max_ = 0;
};

RunConfig With(KeyDistribution distribution) {
  RunConfig config;
  config.distribution = distribution;
  return config;
}

TEST(KeySourceTest, UniformDrawsAllKeysAlike) {
  const Draws draws(With(KeyDistribution::kUniform),
                    {"fillrandom", "readrandom"});
  EXPECT_EQ(draws.distinct(), kKeys);
  EXPECT_LT(draws.ShareOfFirst(10), 0.02);
}

// The hundredth that is drawn most often has 39 % of the weight.
TEST(KeySourceTest, ZipfAgreesAboutPopularKeysAndSpreadsThem) {
  for (const std::string_view name :
       {"readrandom", "overwrite", "seekrandom"}) {
    const RunConfig config = With(KeyDistribution::kZipf);
    const Draws one(config, {"fillrandom", name}, 0);
    const Draws two(config, {"fillrandom", name}, 1);
    EXPECT_NEAR(one.ShareOfFirst(10), 0.39, 0.02) << name;
    std::vector<uint64_t> popular = one.ByFrequency();
    popular.resize(3);
    std::vector<uint64_t> again = two.ByFrequency();
    again.resize(3);
    EXPECT_EQ(popular, again) << name;
    EXPECT_GT(std::max({popular[0], popular[1], popular[2]}) -
                  std::min({popular[0], popular[1], popular[2]}),
              kKeys / 10);
  }
}

TEST(KeySourceTest, LatestFollowsTheOrderOfTheLastFill) {
  const RunConfig config = With(KeyDistribution::kLatest);
  const Draws in_order(config, {"fillrandom", "fillseq", "readrandom"});
  EXPECT_EQ(in_order.ByFrequency()[0], kKeys - 1);
  EXPECT_EQ(in_order.ByFrequency()[1], kKeys - 2);
  const Draws at_random(config, {"fillseq", "fillrandom", "overwrite"});
  const Permutation written(kKeys, /*seed=*/301);
  EXPECT_EQ(at_random.ByFrequency()[0], written(kKeys - 1));
  EXPECT_EQ(at_random.ByFrequency()[1], written(kKeys - 2));
}

// num * exp(-r) with r uniform up to R: a part f of the keys is drawn with the
// probability 1 + ln(f) / R.
TEST(KeySourceTest, TheExponentialRangeSkewsLookUpsOnly) {
  RunConfig config;
  config.exp_range = 10;
  for (const std::string_view name :
       {"readrandom", "multireadrandom", "readwhilewriting"}) {
    const Draws draws(config, {"fillseq", name});
    EXPECT_NEAR(draws.ShareOfFirst(kKeys / 10), 1 + std::log(0.1) / 10, 0.01);
    EXPECT_NEAR(draws.ShareOfFirst(kKeys / 100), 1 + std::log(0.01) / 10, 0.01);
    // Popular ones are not neighbours.
    EXPECT_GT(draws.ByFrequency()[0] / 100, 0u);
  }
  EXPECT_LT(Draws(config, {"fillseq", "overwrite"}).ShareOfFirst(10), 0.02);
}

TEST(KeySourceTest, HotKeysAreTheFirstHundredth) {
  const Draws draws(With(KeyDistribution::kZipf), {"fillseq", "readhot"});
  EXPECT_EQ(draws.distinct(), kKeys / 100);
  EXPECT_EQ(draws.largest(), kKeys / 100 - 1);
}

TEST(KeySourceTest, OrderedSeeksGoRoundInSmallSteps) {
  const Draws draws(With(KeyDistribution::kZipf), {"fillseq", "seekordered"});
  EXPECT_EQ(draws.step_max(), 99u);
  EXPECT_EQ(draws.distinct(), kKeys);
  EXPECT_NEAR(draws.descents(), kDraws * 49.5 / kKeys, 100);
}

TEST(KeySourceTest, FillsMeetEveryKeyWhateverTheDistribution) {
  for (const std::string_view name : {"fillseq", "fillrandom", "fillbatch"}) {
    RunConfig config = With(KeyDistribution::kZipf);
    config.num = kKeys;
    WorkerTask task{};
    task.config = &config;
    task.workload = FindWorkload(name);
    KeySource keys(task);
    std::vector<bool> met(kKeys);
    for (uint64_t i = 0; i < kKeys; ++i) met[keys.Index(i)] = true;
    EXPECT_EQ(std::count(met.begin(), met.end(), true), int64_t{kKeys});
  }
}

}  // namespace
}  // namespace eve::bench
