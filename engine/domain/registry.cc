#include "engine/domain/registry.h"

#include <pthread.h>

#include <map>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "engine/file/file.h"
#include "engine/file/fork_gate.h"
#include "util/status_macros.h"

namespace eve::internal {
namespace {

struct Registry {
  std::mutex mutex;
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
// that are being closed, which no handle leads to any more. Here the others
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

// Of the domain that `path` leads to; empty if there is none yet.
absl::StatusOr<std::string> IdentityOf(const std::string& path,
                                       const DomainOptions& options) {
  if (options.in_memory) return absl::StrCat("memory:", path);
  const absl::StatusOr<FileIdentity> identity = IdentityOfPath(path);
  if (absl::IsNotFound(identity.status())) return "";
  EVE_RETURN_IF_ERROR(identity.status());
  return NameOf(*identity);
}

}  // namespace

absl::StatusOr<std::shared_ptr<DomainImpl>> OpenInstance(
    const std::string& path, const DomainOptions& options) {
  InstallForkHandlers();
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  EVE_ASSIGN_OR_RETURN(std::string known, IdentityOf(path, options));
  if (auto found = registry.by_identity.find(known);
      found != registry.by_identity.end()) {
    std::shared_ptr<DomainImpl> instance = found->second.lock();
    if (instance != nullptr && instance->core().fork_guard.IsForkedChild()) {
      instance->AbandonInChild();
      KeepForGood(std::move(instance));
    }
    if (instance != nullptr) {
      if (instance->options().read_only && !options.read_only) {
        return absl::FailedPreconditionError(absl::StrCat(
            path, ": this process has it open read-only; close that first"));
      }
      return instance;
    }
    registry.by_identity.erase(found);
  }
  std::shared_ptr<DomainImpl> instance(new DomainImpl(options), Destroy);
  EVE_RETURN_IF_ERROR(instance->Start(path));
  // Of what was opened: by now another file may have the name, or none.
  if (!options.in_memory) {
    EVE_ASSIGN_OR_RETURN(const FileIdentity identity,
                         instance->core().file.Identity());
    known = NameOf(identity);
  }
  registry.by_identity[known] = instance;
  return instance;
}

absl::StatusOr<std::shared_ptr<DomainImpl>> OpenPrivate(
    const File& file, const DomainOptions& options) {
  InstallForkHandlers();
  EVE_ASSIGN_OR_RETURN(File own, file.Duplicate());
  EVE_ASSIGN_OR_RETURN(const FileIdentity identity, file.Identity());
  DomainOptions in_memory = options;
  in_memory.in_memory = true;
  Registry& registry = TheRegistry();
  std::lock_guard lock(registry.mutex);
  std::shared_ptr<DomainImpl> instance(new DomainImpl(in_memory), Destroy);
  EVE_RETURN_IF_ERROR(instance->StartIn(std::move(own), file.path()));
  registry.by_identity[absl::StrCat("private:", identity.device, ":",
                                    identity.inode)] = instance;
  return instance;
}

}  // namespace eve::internal
