// lmdb_maker FOLDER SHAPE...: fills an LMDB environment with databases of one
// or more shapes; for lmdb_test.sh. The content depends on the shape only.

#include <lmdb.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <string_view>

namespace eve {
namespace {

constexpr size_t kMapBytes = size_t{8} << 30;
constexpr int kBigRecords = 1'000'000;

[[noreturn]] void Fatal(const char* what, int code) {
  std::fprintf(stderr, "lmdb_maker: %s: %s\n", what, mdb_strerror(code));
  std::exit(1);
}

void Check(const char* what, int code) {
  if (code != MDB_SUCCESS) Fatal(what, code);
}

class Database {
 public:
  Database(MDB_txn* txn, const char* name, unsigned flags) : txn_(txn) {
    Check("mdb_dbi_open", mdb_dbi_open(txn, name, flags | MDB_CREATE, &dbi_));
  }
  void Put(std::string_view key, std::string_view value) {
    MDB_val k{key.size(), const_cast<char*>(key.data())};
    MDB_val v{value.size(), const_cast<char*>(value.data())};
    Check("mdb_put", mdb_put(txn_, dbi_, &k, &v, 0));
  }

 private:
  MDB_txn* txn_;
  MDB_dbi dbi_ = 0;
};

using Random = std::mt19937_64;

std::string RandomBytes(Random& random, size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

template <class T>
std::string Native(T number) {
  std::string bytes(sizeof(number), '\0');
  std::memcpy(bytes.data(), &number, sizeof(number));
  return bytes;
}

// Several databases, with all that a text format could get wrong.
void MakeMany(MDB_txn* txn, Random& random) {
  Database plain(txn, "plain", 0);
  for (int i = 0; i < 20'000; ++i) {
    plain.Put(RandomBytes(random, 1 + random() % 511),
              RandomBytes(random, random() % 300));
  }
  Database texts(txn, "b\xC3\xA4r of = text", 0);
  for (const char* text :
       {"plain", "with\ttab", "with\nnewline", "back\\slash", "back\\5cslash",
        " ", "DATA=END", "=", "\r", "x\r"}) {
    texts.Put(text, text);
  }
  Database empty(txn, "empty values", 0);
  for (int i = 0; i < 1000; ++i) {
    std::string key = RandomBytes(random, 8);
    // mdb_dump -p does not escape backslashes.
    std::replace(key.begin(), key.end(), '\\', '/');
    empty.Put(key, "");
  }
  Database bytes(txn, "each byte", 0);
  for (int i = 0; i < 256; ++i) {
    bytes.Put(std::string(1, static_cast<char>(i)),
              std::string(3, static_cast<char>(255 - i)));
  }
  Database keys(txn, "long keys", 0);
  for (int i = 0; i < 500; ++i) keys.Put(RandomBytes(random, 511), "v");
  Database values(txn, "large values", 0);
  for (int i = 0; i < 12; ++i) {
    values.Put(Native(i), RandomBytes(random, 1 + random() % 3'000'000));
  }
  Database dups(txn, "dups", MDB_DUPSORT);
  for (int i = 0; i < 200; ++i) {
    const std::string key = RandomBytes(random, 1 + random() % 20);
    for (uint64_t j = random() % 300; j != UINT64_MAX; --j) {
      dups.Put(key, RandomBytes(random, 1 + random() % 50));
    }
  }
  // Keys that are beginnings of others, and zero bytes at every end.
  for (const std::string_view key :
       {std::string_view("a\0", 2), std::string_view("a"),
        std::string_view("a\0\0", 3), std::string_view("a\0\xFF", 3),
        std::string_view("\0", 1)}) {
    for (const std::string_view value :
         {std::string_view("\0", 1), std::string_view("\0\0", 2),
          std::string_view("b")}) {
      dups.Put(key, value);
    }
  }
  dups.Put("one empty value is all that LMDB allows", "");
  Database fixed(txn, "fixed", MDB_DUPSORT | MDB_DUPFIXED);
  for (int i = 0; i < 5000; ++i) {
    fixed.Put(Native(i % 10), RandomBytes(random, 12));
  }
  Database nothing(txn, "nothing", 0);
}

void MakeIntegers(MDB_txn* txn, Random& random) {
  Database wide(txn, "wide", MDB_INTEGERKEY);
  for (int i = 0; i < 5000; ++i) {
    wide.Put(Native(random() >> random() % 64), "wide");
  }
  Database narrow(txn, "narrow", MDB_INTEGERKEY);
  for (int i = 0; i < 5000; ++i) {
    narrow.Put(Native(static_cast<uint32_t>(random())), "narrow");
  }
  Database dups(txn, "int dups", MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP);
  for (int i = 0; i < 5000; ++i) {
    dups.Put(Native(i % 7), Native(random() >> random() % 64));
  }
  Database narrow_dups(
      txn, "all narrow",
      MDB_INTEGERKEY | MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP);
  for (int i = 0; i < 5000; ++i) {
    narrow_dups.Put(Native(static_cast<uint32_t>(random()) % 50),
                    Native(static_cast<uint32_t>(random())));
  }
  Database text_dups(txn, "int keys", MDB_INTEGERKEY | MDB_DUPSORT);
  for (int i = 0; i < 500; ++i) {
    text_dups.Put(Native(random() % 50), RandomBytes(random, random() % 9 + 1));
  }
  // Values of one size that are no integers, though some are as large as these.
  for (const size_t size : {1, 4, 8, 16, 255}) {
    const std::string name = "fixed " + std::to_string(size);
    Database fixed(txn, name.c_str(), MDB_DUPSORT | MDB_DUPFIXED);
    for (int i = 0; i < 300; ++i) {
      fixed.Put(Native(i % 9), RandomBytes(random, size));
    }
  }
  Database no_keys(txn, "none wide", MDB_INTEGERKEY);
  Database no_fixed(txn, "none fixed", MDB_DUPSORT | MDB_DUPFIXED);
  Database no_dups(txn, "none dups",
                   MDB_DUPSORT | MDB_DUPFIXED | MDB_INTEGERDUP);
}

// A size of values that no name of a type in Eve is long enough for.
void MakeLong(MDB_txn* txn, Random& random) {
  Database fixed(txn, "fixed 500", MDB_DUPSORT | MDB_DUPFIXED);
  for (int i = 0; i < 20; ++i) {
    fixed.Put(Native(i % 9), RandomBytes(random, 500));
  }
}

void Make(MDB_txn* txn, const std::string& shape) {
  Random random(2024);
  if (shape == "many") return MakeMany(txn, random);
  if (shape == "integers") return MakeIntegers(txn, random);
  if (shape == "long") return MakeLong(txn, random);
  if (shape == "reversed") {
    Database reversed(txn, "reversed", MDB_REVERSEKEY);
    for (int i = 0; i < 100; ++i) reversed.Put(RandomBytes(random, 5), "v");
    return;
  }
  if (shape == "big" || shape == "shuffled") {
    Database big(txn, nullptr, 0);
    for (int i = 0; i < kBigRecords; ++i) {
      char key[17];
      const uint64_t number =
          shape == "big" ? static_cast<uint64_t>(i) : random() % 10'000'000'000;
      std::snprintf(key, sizeof(key), "%016llu",
                    static_cast<unsigned long long>(number));
      big.Put(std::string_view(key, 16), RandomBytes(random, 100));
    }
    return;
  }
  std::fprintf(stderr, "lmdb_maker: no shape '%s'\n", shape.c_str());
  std::exit(2);
}

void MakeAll(const char* folder, int count, char** shapes) {
  MDB_env* env = nullptr;
  Check("mdb_env_create", mdb_env_create(&env));
  Check("mdb_env_set_maxdbs", mdb_env_set_maxdbs(env, 100));
  Check("mdb_env_set_mapsize", mdb_env_set_mapsize(env, kMapBytes));
  Check("mdb_env_open", mdb_env_open(env, folder, MDB_NOSYNC, 0644));
  for (int i = 0; i < count; ++i) {
    MDB_txn* txn = nullptr;
    Check("mdb_txn_begin", mdb_txn_begin(env, nullptr, 0, &txn));
    Make(txn, shapes[i]);
    Check("mdb_txn_commit", mdb_txn_commit(txn));
  }
  mdb_env_close(env);
}

}  // namespace
}  // namespace eve

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  eve::MakeAll(argv[1], argc - 2, argv + 2);
  return 0;
}
