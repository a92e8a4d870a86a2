#include "engine/domain/registry.h"

#include <pthread.h>

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "engine/file/file.h"
#include "engine/file/fork_gate.h"
#include "util/failpoint.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

// One that is under way; under the registry's mutex.
struct Opening {
  bool has_ended = false;
  absl::Status status;  // then
};

struct Registry {
  // Held for look-ups only: forks take it.
  std::mutex mutex;
  std::condition_variable ended;                            // an opening
  std::map<std::string, std::shared_ptr<Opening>> opening;  // by name
  std::map<std::string, std::weak_ptr<DomainImpl>> by_identity;
};

Registry& TheRegistry() {
  // Never destroyed: handles may outlive static destruction.
  static Registry* registry = new Registry;
  return *registry;
}

// For what the parent's threads and words would be destroyed with.
void KeepForGood(std::shared_ptr<DomainImpl> instance) {
  new std::shared_ptr<DomainImpl>(std::move(instance));
}

// In a child that was forked by other means than fork(), which runs no
// handlers, nothing of the parent's is let go either.
void Destroy(DomainImpl* instance) {
  if (!instance->core().fork_guard.IsForkedChild()) {
    delete instance;
  } else {
    instance->AbandonInChild();
  }
}

void BeforeFork() { TheRegistry().mutex.lock(); }
void InParent() { TheRegistry().mutex.unlock(); }

// The descriptors are closed already (fork_gate.h), also those of instances
// that are being opened or closed, which no handle leads to. Here the others
// learn of it.
void InChild() {
  Registry& registry = TheRegistry();
  for (auto& [identity, weak] : registry.by_identity) {
    std::shared_ptr<DomainImpl> instance = weak.lock();
    if (instance == nullptr) continue;
    instance->AbandonInChild();
    // Its destructor would wait for a thread that the child does not have, and
    // write to words that are the parent's.
    KeepForGood(std::move(instance));
  }
  registry.by_identity.clear();
  // Who opens, and who waits for that, are threads that the child does not
  // have; the condition may have been left halfway.
  registry.opening.clear();
  new (&registry.ended) std::condition_variable;
  registry.mutex.unlock();
}

void InstallForkHandlers() {
  // The gate's first: in a child it is passed again by what is closed here.
  static const int installed =
      (ForkGate::Get(), ::pthread_atfork(BeforeFork, InParent, InChild));
  (void)installed;
}

std::string NameOf(FileIdentity identity) {
  return absl::StrCat(identity.device, ":", identity.inode);
}

// Of the domain that `path` leads to, or is about to.
absl::StatusOr<std::string> IdentityOf(const std::string& path,
                                       const DomainOptions& options) {
  if (options.in_memory) return absl::StrCat("memory:", path);
  const absl::StatusOr<FileIdentity> identity = IdentityOfPath(path);
  if (absl::IsNotFound(identity.status())) return absl::StrCat("new:", path);
  EVE_RETURN_IF_ERROR(identity.status());
  return NameOf(*identity);
}

// False: somebody else was at work on it, and has ended. By now the path may
// lead elsewhere. kDeadlineExceeded: he has waited in vain for another process,
// and so have all who waited for him.
absl::StatusOr<bool> BeginOpening(const std::string& name) {
  Registry& registry = TheRegistry();
  std::unique_lock lock(registry.mutex);
  const auto [found, is_first] = registry.opening.try_emplace(name);
  if (is_first) {
    found->second = std::make_shared<Opening>();
    return true;
  }
  const std::shared_ptr<Opening> other = found->second;
  EVE_STEP("registry.wait");
  registry.ended.wait(lock, [&] { return other->has_ended; });
  if (absl::IsDeadlineExceeded(other->status)) return other->status;
  return false;
}

void EndOpening(const std::string& name, const absl::Status& status) {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  const auto found = registry.opening.find(name);
  if (found == registry.opening.end()) return;  // forked meanwhile
  found->second->has_ended = true;
  found->second->status = status;
  registry.opening.erase(found);
  registry.ended.notify_all();
}

// Null: this process does not have it open.
std::shared_ptr<DomainImpl> FindInstance(const std::string& name) {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  const auto found = registry.by_identity.find(name);
  if (found == registry.by_identity.end()) return nullptr;
  std::shared_ptr<DomainImpl> instance = found->second.lock();
  if (instance != nullptr && instance->core().fork_guard.IsForkedChild()) {
    instance->AbandonInChild();
    KeepForGood(std::move(instance));
  }
  if (instance == nullptr) registry.by_identity.erase(found);
  return instance;
}

// Makes it what is found under its name. Nothing, and false, if somebody else
// has that file open or is about to: for this one it was new, or another file
// had its path, when `claimed` was.
bool Publish(const std::string& name, const std::string& claimed,
             const std::shared_ptr<DomainImpl>& instance) {
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  std::weak_ptr<DomainImpl>& known = registry.by_identity[name];
  if (name != claimed &&
      (registry.opening.count(name) > 0 || !known.expired())) {
    return false;
  }
  known = instance;
  return true;
}

// Null: somebody else was first. Until it is given up again, this one is to
// that as another process would be. REQUIRES: BeginOpening(claimed).
absl::StatusOr<std::shared_ptr<DomainImpl>> OpenNew(
    const std::string& path, const std::string& claimed,
    const DomainOptions& options) {
  std::shared_ptr<DomainImpl> instance(new DomainImpl(options), Destroy);
  EVE_RETURN_IF_ERROR(instance->Start(path));
  std::string name = claimed;
  // Of what was opened: by now another file may have the path, or none.
  if (!options.in_memory) {
    EVE_ASSIGN_OR_RETURN(const FileIdentity identity,
                         instance->core().file.Identity());
    name = NameOf(identity);
  }
  if (!Publish(name, claimed, instance)) return nullptr;
  return instance;
}

// The same.
absl::StatusOr<std::shared_ptr<DomainImpl>> FindOrOpen(
    const std::string& path, const std::string& claimed,
    const DomainOptions& options) {
  std::shared_ptr<DomainImpl> instance = FindInstance(claimed);
  if (instance == nullptr) return OpenNew(path, claimed, options);
  if (instance->options().read_only && !options.read_only) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": this process has it open read-only; close that first"));
  }
  return instance;
}

}  // namespace

absl::StatusOr<std::shared_ptr<DomainImpl>> OpenInstance(
    const std::string& path, const DomainOptions& options) {
  InstallForkHandlers();
  while (true) {
    EVE_ASSIGN_OR_RETURN(const std::string name, IdentityOf(path, options));
    EVE_ASSIGN_OR_RETURN(const bool is_first, BeginOpening(name));
    if (!is_first) continue;
    absl::StatusOr<std::shared_ptr<DomainImpl>> instance =
        absl::UnknownError("an exception");
    {
      const absl::Cleanup end = [&] { EndOpening(name, instance.status()); };
      instance = FindOrOpen(path, name, options);
    }
    if (!instance.ok() || *instance != nullptr) return instance;
  }
}

absl::StatusOr<std::shared_ptr<DomainImpl>> OpenPrivate(
    const File& file, const DomainOptions& options) {
  InstallForkHandlers();
  EVE_ASSIGN_OR_RETURN(File own, file.Duplicate());
  EVE_ASSIGN_OR_RETURN(const FileIdentity identity, file.Identity());
  DomainOptions in_memory = options;
  in_memory.in_memory = true;
  std::shared_ptr<DomainImpl> instance(new DomainImpl(in_memory), Destroy);
  EVE_RETURN_IF_ERROR(instance->StartIn(std::move(own), file.path()));
  const std::string name = absl::StrCat("private:", NameOf(identity));
  Publish(name, name, instance);
  return instance;
}

}  // namespace eve::internal
