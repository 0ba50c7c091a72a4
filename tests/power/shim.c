/*
 * What a process does to the files of one folder, written down in the order in which it was done.
 *
 * Loaded before the C library (LD_PRELOAD), so that the program under test need not know of it. Each call is made and
 * written down under one lock: the log is one total order over all threads. A sync is in the log only after it
 * returned, so whatever the log says is on the disk is on the disk.
 *
 *   POWER_FOLDER   the folder, as the kernel spells it
 *   POWER_LOG      where the log goes
 *   POWER_MARK     a file; what is written to it goes into the log as a mark of the program's own
 *
 * A record: kind (1 byte), length of the path (4), offset (8), length of the bytes (8), the path, the bytes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder, *mark;
static int log_fd = -1;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWER_LOG");
    folder = getenv("POWER_FOLDER");
    mark = getenv("POWER_MARK");
    if (path && folder && mark)
        log_fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void note(char kind, const char *path, uint64_t offset, const void *bytes, uint64_t length) {
    unsigned char head[21];
    uint32_t path_length = (uint32_t)strlen(path);
    head[0] = (unsigned char)kind;
    memcpy(head + 1, &path_length, 4);
    memcpy(head + 5, &offset, 8);
    memcpy(head + 13, &length, 8);
    struct iovec parts[3] = {{head, sizeof head}, {(void *)path, path_length}, {(void *)bytes, length}};
    int before = errno;
    if (syscall(SYS_writev, log_fd, parts, 3) < 0)
        abort();
    errno = before;
}

static int is_inside(const char *path) {
    size_t length = folder ? strlen(folder) : 0;
    return log_fd >= 0 && strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == 0);
}

/* The path of an open file that is to be written down; 0 for any other. */
static int path_of(int fd, char *path) {
    char link[64];
    if (log_fd < 0 || fd == log_fd)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length <= 0)
        return 0;
    path[length] = 0;
    if (strcmp(path, mark) == 0)
        return 'a';
    return is_inside(path) && !strstr(path, " (deleted)") ? 'w' : 0;
}

static ssize_t written(int fd, const void *bytes, size_t length, int64_t offset) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    int kind = path_of(fd, path);
    int64_t at = offset >= 0 ? offset : kind == 'w' ? syscall(SYS_lseek, fd, 0, SEEK_CUR) : 0;
    ssize_t done = offset >= 0 ? syscall(SYS_pwrite64, fd, bytes, length, offset) : syscall(SYS_write, fd, bytes, length);
    if (kind && done > 0)
        note((char)kind, path, (uint64_t)at, bytes, (uint64_t)done);
    pthread_mutex_unlock(&lock);
    return done;
}

ssize_t write(int fd, const void *bytes, size_t length) { return written(fd, bytes, length, -1); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return written(fd, bytes, length, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return written(fd, bytes, length, at); }

static int truncated(int fd, int64_t length) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    int kind = path_of(fd, path);
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (kind == 'w' && done == 0)
        note('t', path, (uint64_t)length, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t length) { return truncated(fd, length); }
int ftruncate64(int fd, off64_t length) { return truncated(fd, length); }

static int synced(int fd, long call) {
    char path[PATH_MAX];
    pthread_mutex_lock(&lock);
    int kind = path_of(fd, path);
    int done = (int)syscall(call, fd);
    if (kind == 'w' && done == 0)
        note('s', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int fsync(int fd) { return synced(fd, SYS_fsync); }
int fdatasync(int fd) { return synced(fd, SYS_fdatasync); }

int unlink(const char *path) {
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (done == 0 && is_inside(path))
        note('u', path, 0, "", 0);
    pthread_mutex_unlock(&lock);
    return done;
}

int rename(const char *from, const char *to) {
    pthread_mutex_lock(&lock);
    int done = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (done == 0 && is_inside(from))
        note('r', from, 0, to, strlen(to));
    pthread_mutex_unlock(&lock);
    return done;
}
