/* For LD_PRELOAD: while the file $FSYNC_FAILS exists, fsync and fdatasync fail with $FSYNC_ERRNO.

   It includes nothing, so that gcc alone can compile it. */

extern int access(const char *, int);
extern int atoi(const char *);
extern char *getenv(const char *);
extern long syscall(long, ...);
extern int *__errno_location(void);

#if defined(__x86_64__)
enum { FSYNC = 74, FDATASYNC = 75 };
#elif defined(__aarch64__)
enum { FSYNC = 82, FDATASYNC = 83 };
#else
#error "the numbers of fsync and fdatasync are not known for this machine"
#endif

static int fails(void)
{
    const char *file = getenv("FSYNC_FAILS");
    const char *number = getenv("FSYNC_ERRNO");
    if (!file || !number || access(file, 0) != 0)
        return 0;
    *__errno_location() = atoi(number);
    return 1;
}

int fsync(int descriptor)
{
    return fails() ? -1 : (int)syscall(FSYNC, descriptor);
}

int fdatasync(int descriptor)
{
    return fails() ? -1 : (int)syscall(FDATASYNC, descriptor);
}
