/* What a disk has after a power cut is what was synced: for the fault scenario 26 (fault/disk.py).
 *
 * Preloaded, it keeps a copy of each file below DISK_ROOT as it was when it was synced last, in DISK_KEPT under the number
 * of its inode. A copy may hold more than was synced, as a disk may.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static char buffer[1 << 16];

static void copy(int source, int target)
{
    ssize_t got;
    while ((got = read(source, buffer, sizeof buffer)) > 0) {
        char *from = buffer;
        while (got > 0) {
            ssize_t put = write(target, from, got);
            if (put < 0)
                abort(); /* a disk that is full would pass for one that lost something */
            from += put;
            got -= put;
        }
    }
}

static void keep(int fd)
{
    const char *root = getenv("DISK_ROOT"), *kept = getenv("DISK_KEPT");
    char link[64], path[4096], name[4096], fresh[4200];
    struct stat found;
    if (!root || !kept || fstat(fd, &found) || !S_ISREG(found.st_mode))
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return;
    path[length] = 0;
    if (strncmp(path, root, strlen(root)))
        return;
    snprintf(name, sizeof name, "%s/%lu.lock", kept, (unsigned long)found.st_ino);
    int lock = open(name, O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (lock < 0 || flock(lock, LOCK_EX))
        abort();
    snprintf(name, sizeof name, "%s/%lu", kept, (unsigned long)found.st_ino);
    snprintf(fresh, sizeof fresh, "%s.new", name);
    int source = open(link, O_RDONLY | O_CLOEXEC);
    int target = open(fresh, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0666);
    if (source < 0 || target < 0)
        abort();
    copy(source, target);
    close(source);
    close(target);
    if (rename(fresh, name))
        abort();
    close(lock);
}

static int synced(const char *name, int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    int result = real(fd), before = errno;
    if (result == 0)
        keep(fd);
    errno = before;
    return result;
}

int fsync(int fd) { return synced("fsync", fd); }
int fdatasync(int fd) { return synced("fdatasync", fd); }
