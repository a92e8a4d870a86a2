// interrupted SIGNAL COMMAND...: runs a command to which the signal was sent
// already, and waits until the command lets it in.

#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int number = std::atoi(argv[1]);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, number);
  // Both the mask and what waits behind it outlive exec.
  if (sigprocmask(SIG_BLOCK, &blocked, nullptr) != 0) return 2;
  if (kill(getpid(), number) != 0) return 2;
  execv(argv[2], argv + 2);
  std::perror(argv[2]);
  return 2;
}
