/*
 * The steps by which a process gives the files of one database their names, one after the other.
 *
 * Loaded before the C library (LD_PRELOAD). A step is a link, a rename or an unlink of a file whose path begins as the
 * database's does.
 *
 *   STEPS_OF      the database; what lies beside it begins with its path
 *   STEPS_KILL    before this step, counted from 1, the process is killed; unset: never
 *   STEPS_COPY    set: the disk knows no hard links
 *   STEPS_LOG     where the steps go, a line each, and what was synced between them; unset: nowhere
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_beside(const char *path) {
    const char *database = getenv("STEPS_OF");
    return database && strncmp(path, database, strlen(database)) == 0;
}

static void note(const char *what, const char *one, const char *other) {
    const char *path = getenv("STEPS_LOG");
    char line[3 * PATH_MAX];
    int before = errno;
    int log = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (log >= 0) {
        int length = snprintf(line, sizeof line, "%s %s %s\n", what, one, other);
        if (syscall(SYS_write, log, line, (size_t)length) < 0)
            abort();
        syscall(SYS_close, log);
    }
    errno = before;
}

static void step(void) {
    static int steps;
    const char *last = getenv("STEPS_KILL");
    if (++steps == (last ? atoi(last) : 0))
        kill(getpid(), SIGKILL);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    if (is_beside(from)) {
        step();
        if (getenv("STEPS_COPY")) {
            errno = EPERM;
            return -1;
        }
        note("link", from, to);
    }
    return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to) {
    return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int rename(const char *from, const char *to) {
    if (is_beside(to)) {
        step();
        note("rename", from, to);
    }
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlink(const char *path) {
    if (is_beside(path)) {
        step();
        note("unlink", path, "");
    }
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int fsync(int fd) {
    char link[64], path[PATH_MAX];
    int done = (int)syscall(SYS_fsync, fd);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (done == 0 && length > 0) {
        path[length] = 0;
        note("sync", path, "");
    }
    return done;
}
