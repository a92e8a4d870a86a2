#include <iostream>

#include "eve/eve.h"

absl::Status Run(const char* path) {
  auto db = eve::Domain::Open(path);  // made if missing; grows by itself
  if (!db.ok()) return db.status();
  auto stock = db->Collection<eve::Map<std::string, int64_t>>("stock");
  if (!stock.ok()) return stock.status();

  auto done = db->Swap([&](eve::Transaction& txn) -> absl::Status {
    auto s = stock->In(txn);  // reruns if another process won the race
    auto put = s.Put("apple", s.Find("apple").value_or(0) + 10);
    return put.ok() ? s.Put("pear", 7) : put;
  });
  if (!done.ok()) return done.status();

  auto now = db->Now();  // an immutable view; writers never wait for it
  if (!now.ok()) return now.status();
  for (auto [name, count] : stock->At(*now)) {
    std::cout << name << " " << count << "\n";
  }
  return db->Sync();  // on disk now, not just in memory
}

int main(int argc, char** argv) {
  absl::Status status = Run(argc > 1 ? argv[1] : "shop.eve");
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
