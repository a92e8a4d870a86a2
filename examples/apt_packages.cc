// Loads the records of `apt-cache dumpavail` (package name -> stanza) from
// standard input into a domain, and reads them back from several processes at
// once, each comparing every record with what it read from the input.
//
//   apt-cache dumpavail | apt_packages packages.eve

#include <sys/wait.h>
#include <unistd.h>

#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "eve/eve.h"

namespace {

using Packages = eve::Map<std::string, std::string>;
using Records = std::map<std::string, std::string>;

// Stanzas are separated by empty lines and begin with "Package: name". Of
// packages that come several times the last one stays, as in a Put.
Records ReadRecords(std::istream& in) {
  Records records;
  std::string line, stanza, name;
  const auto finish = [&] {
    if (!name.empty()) records[name] = stanza;
    stanza.clear();
    name.clear();
  };
  while (std::getline(in, line)) {
    if (line.empty()) {
      finish();
      continue;
    }
    if (line.rfind("Package: ", 0) == 0) name = line.substr(9);
    stanza += line + "\n";
  }
  finish();
  return records;
}

absl::Status Load(const std::string& path, const Records& records) {
  auto domain = eve::Domain::Open(path);
  if (!domain.ok()) return domain.status();
  auto packages = domain->Collection<Packages>("packages");
  if (!packages.ok()) return packages.status();
  auto at = records.begin();
  while (at != records.end()) {
    // A thousand records a transaction; the closure may run again, so it
    // starts from where the last transaction ended.
    auto next = at;
    auto done = domain->Swap([&](eve::Transaction& txn) -> absl::Status {
      auto writer = packages->In(txn);
      next = at;
      for (int i = 0; i < 1000 && next != records.end(); ++i, ++next) {
        auto put = writer.Put(next->first, next->second);
        if (!put.ok()) return put;
      }
      return absl::OkStatus();
    });
    if (!done.ok()) return done.status();
    at = next;
  }
  return domain->Close();
}

absl::Status Compare(const std::string& path, const Records& records) {
  auto domain = eve::Domain::Open(path);
  if (!domain.ok()) return domain.status();
  auto packages = domain->Collection<Packages>("packages");
  if (!packages.ok()) return packages.status();
  auto now = domain->Now();
  if (!now.ok()) return now.status();
  const auto reader = packages->At(*now);
  if (reader.size() != records.size()) {
    return absl::InternalError("the number of packages differs");
  }
  for (const auto& [name, stanza] : records) {
    auto stored = reader.Get(name);
    if (!stored.ok()) return stored.status();
    if (*stored != eve::Bytes(stanza)) {
      return absl::InternalError("a stanza differs");
    }
  }
  for (auto [name, stanza] : reader) {
    auto expected = records.find(name.ToString());
    if (expected == records.end() || stanza != eve::Bytes(expected->second)) {
      return absl::InternalError("iteration gives another record");
    }
  }
  return now->status();
}

int Report(const char* what, const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << what << ": " << status << "\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: apt-cache dumpavail | apt_packages DOMAIN\n";
    return 2;
  }
  const std::string path = argv[1];
  const Records records = ReadRecords(std::cin);
  // In a child: a forked process opens the domain anew, so the parent does not
  // open it before it forks.
  std::vector<pid_t> children;
  const auto run = [](auto work) {
    const pid_t child = fork();
    if (child == 0) _exit(work());
    return child;
  };
  const auto wait = [](pid_t child) {
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
  };
  if (wait(run([&] { return Report("load", Load(path, records)); })) != 0) {
    return 1;
  }
  for (int i = 0; i < 4; ++i) {
    children.push_back(
        run([&] { return Report("compare", Compare(path, records)); }));
  }
  int failures = 0;
  for (const pid_t child : children) failures += wait(child);
  if (failures != 0) return 1;
  std::cout << records.size() << " packages, the same in 4 processes\n";
  return 0;
}
