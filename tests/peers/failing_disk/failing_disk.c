/* Preloaded: of the writes, syncs and truncations of files below a folder every N-th fails with the error number that stands beside N in a file.
   Reads of a part of its edge.sqlite fail always: sectors that the medium does not give back. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

struct control {
  volatile int64_t every; /* 0: none fails */
  volatile int64_t number;
  volatile int64_t calls;
  volatile int64_t failed;
  volatile int64_t bad_from; /* bytes of edge.sqlite */
  volatile int64_t bad_to;
  volatile int64_t bad_inode; /* it stays bad under another name, and a new file of its name is not */
};

static struct control *control(void) {
  static struct control none, *found;
  if (found == NULL) {
    const char *path = getenv("FAILING_DISK");
    int file = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *mapped = file < 0 ? MAP_FAILED : mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    found = mapped == MAP_FAILED ? &none : (struct control *)mapped;
  }
  return found;
}

static int is_below(int file) {
  const char *folder = getenv("FAILING_DISK_FOLDER");
  char link[64], path[4096];
  ssize_t length;
  if (folder == NULL) {
    return 0;
  }
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  length = readlink(link, path, sizeof path - 1);
  if (length < 0) {
    return 0;
  }
  path[length] = '\0';
  return strncmp(path, folder, strlen(folder)) == 0;
}

static int fails(int file) {
  struct control *now = control();
  int64_t every = now->every; /* read once: it may become 0 meanwhile */
  if (every <= 0 || !is_below(file)) {
    return 0;
  }
  if (__sync_add_and_fetch(&now->calls, 1) % every != 0) {
    return 0;
  }
  __sync_add_and_fetch(&now->failed, 1);
  errno = (int)now->number;
  return 1;
}

static int is_bad(int file, int64_t at, size_t size) {
  struct control *now = control();
  struct stat found;
  if (now->bad_to <= now->bad_from || at >= now->bad_to || at + (int64_t)size <= now->bad_from) {
    return 0;
  }
  if (fstat(file, &found) != 0 || (int64_t)found.st_ino != now->bad_inode) {
    return 0;
  }
  __sync_add_and_fetch(&now->failed, 1);
  errno = EIO;
  return 1;
}

#define REAL(type, name, ...)                                            \
  static type (*real)(__VA_ARGS__);                                      \
  if (real == NULL) {                                                    \
    real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name);                 \
  }

ssize_t write(int file, const void *data, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t)
  return fails(file) ? -1 : real(file, data, size);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t at) {
  REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)
  return fails(file) ? -1 : real(file, data, size, at);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t at) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t)
  return fails(file) ? -1 : real(file, data, size, at);
}

ssize_t read(int file, void *data, size_t size) {
  REAL(ssize_t, "read", int, void *, size_t)
  return control()->bad_to > 0 && is_bad(file, (int64_t)lseek(file, 0, SEEK_CUR), size) ? -1 : real(file, data, size);
}

ssize_t pread(int file, void *data, size_t size, off_t at) {
  REAL(ssize_t, "pread", int, void *, size_t, off_t)
  return is_bad(file, (int64_t)at, size) ? -1 : real(file, data, size, at);
}

ssize_t pread64(int file, void *data, size_t size, off64_t at) {
  REAL(ssize_t, "pread64", int, void *, size_t, off64_t)
  return is_bad(file, (int64_t)at, size) ? -1 : real(file, data, size, at);
}

int fsync(int file) {
  REAL(int, "fsync", int)
  return fails(file) ? -1 : real(file);
}

int fdatasync(int file) {
  REAL(int, "fdatasync", int)
  return fails(file) ? -1 : real(file);
}

int ftruncate(int file, off_t size) {
  REAL(int, "ftruncate", int, off_t)
  return fails(file) ? -1 : real(file, size);
}

int ftruncate64(int file, off64_t size) {
  REAL(int, "ftruncate64", int, off64_t)
  return fails(file) ? -1 : real(file, size);
}
