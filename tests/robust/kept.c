/* What a disk would keep if the power failed: loaded into a process with LD_PRELOAD, this copies to KEPT_IN what is
 * in a file or directory below KEPT_OF at each fsync and fdatasync of it, as it was when the call began. What was
 * never synced is nowhere there, not even its name; a name is where its directory was synced last.
 *
 * KEPT_IN/INODE holds the bytes of a file, or of a directory a line "INODE NAME" for each entry. The file of
 * KEPT_OF itself is KEPT_IN/root. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;
static unsigned long held[65536];

/* An inode's number is not given to another file while the first is open. */
static void hold(int fd, unsigned long inode) {
    unsigned long *slot = &held[inode % 65536];
    if (*slot != inode) {
        *slot = inode;
        fcntl(fd, F_DUPFD_CLOEXEC, 0);
    }
}

static int copy_directory(const char *path, int to) {
    DIR *directory = opendir(path);
    struct dirent *entry;
    if (!directory) return -1;
    while ((entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
            dprintf(to, "%lu %s\n", (unsigned long)entry->d_ino, entry->d_name);
    return closedir(directory);
}

static int copy_file(const char *path, int to) {
    static char buffer[1 << 20];
    ssize_t length = -1;
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0) return -1;
    while ((length = read(from, buffer, sizeof buffer)) > 0)
        if (write(to, buffer, length) != length) break;
    close(from);
    return length == 0 ? 0 : -1;
}

static int keep(int fd, const char *name) {
    const char *of = getenv("KEPT_OF"), *in = getenv("KEPT_IN");
    char link[64], path[PATH_MAX], begun[PATH_MAX + 64], done[PATH_MAX + 64];
    struct stat status;
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name), copied = -1, result, to;
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (!of || !in || length < 0 || fstat(fd, &status)) return sync(fd);
    path[length] = 0;
    if (strncmp(path, of, strlen(of))) return sync(fd);
    pthread_mutex_lock(&one);
    hold(fd, status.st_ino);
    snprintf(begun, sizeof begun, "%s/begun", in);
    if (strcmp(path, of)) snprintf(done, sizeof done, "%s/%lu", in, (unsigned long)status.st_ino);
    else snprintf(done, sizeof done, "%s/root", in);
    to = open(begun, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (to >= 0) {
        copied = S_ISDIR(status.st_mode) ? copy_directory(path, to) : copy_file(link, to);
        close(to);
    }
    result = sync(fd);
    if (copied == 0 && result == 0) rename(begun, done);
    pthread_mutex_unlock(&one);
    return result;
}

int fsync(int fd) { return keep(fd, "fsync"); }
int fdatasync(int fd) { return keep(fd, "fdatasync"); }
