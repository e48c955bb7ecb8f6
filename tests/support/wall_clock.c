/* Preloaded into farshore's services: their wall clock is off by the seconds that a file holds. The monotonic clock,
 * by which timers and time-outs run, is left alone, as when somebody sets a host's clock. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shift;

static int is_chosen(void) {
    char command[4096] = {0};
    const char *wanted[] = {"farshore_receiver", "farshore_coalescer", "farshore_verifier"};
    int file = open("/proc/self/cmdline", O_RDONLY);
    ssize_t length = file < 0 ? -1 : read(file, command, sizeof command - 1);
    if (file >= 0) close(file);
    for (ssize_t at = 0; at < length; at++)
        if (command[at] == 0) command[at] = ' ';
    for (size_t one = 0; one < sizeof wanted / sizeof *wanted; one++)
        if (strstr(command, wanted[one])) return 1;
    return 0;
}

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FARSHORE_TEST_CLOCK");
    int file = name && is_chosen() ? open(name, O_RDONLY) : -1;
    if (file < 0) return;
    void *mapped = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped != MAP_FAILED) shift = mapped;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*original)(clockid_t, struct timespec *);
    if (!original) original = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = original(clock, now);
    if (!failed && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *shift;
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    (void)zone;
    struct timespec precise;
    int failed = clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *seconds) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (seconds) *seconds = precise.tv_sec;
    return precise.tv_sec;
}
