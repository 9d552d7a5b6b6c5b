/* The firmware as a program of a Linux machine: the same library, on a pty instead of a UART, or as a dump of samples.
 *
 *   native [options]                streams at 1 kHz on a pty of its own; prints "pty /dev/pts/N" on its first line
 *   native [options] --samples N    writes N samples (3 x int16, little-endian) to standard output as fast as it can, and ends
 */
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../accel.h"
#include "../link.h"
#include "accelerometer.h"

struct options {
    struct accel_config accel;
    long samples; /* 0: stream */
};

static void usage(void) {
    (void)fprintf(stderr,
                  "native [--samples N] [--seed K] [--speed-hz F] [--gain X] [--noise X]\n"
                  "       [--fault outer|inner] [--fault-from S] [--severity X]\n"
                  "--fault-from S: the bearing is damaged from second S on (default: never)\n"
                  "--noise X: white noise of X times the healthy machine's own RMS (default 0)\n"
                  "--gain X: of the vibration (default 1); --severity X: of the fault (default 1)\n");
}

static double number(const char *text, double least, double most) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least) || !(value <= most)) {
        (void)fprintf(stderr, "native: %s is not a number from %g to %g\n", text, least, most);
        exit(2);
    }
    return value;
}

static uint32_t permille(const char *text) {
    return (uint32_t)(number(text, 0.0, 60.0) * 1000.0 + 0.5);
}

static struct options parse(int count, char **arguments) {
    struct options options;
    options.accel = accel_defaults();
    options.samples = 0;
    for (int i = 1; i < count; i += 2) {
        const char *name = arguments[i];
        const char *value = i + 1 < count ? arguments[i + 1] : "";
        if (strcmp(name, "--samples") == 0) {
            options.samples = (long)number(value, 1.0, 1e9);
        } else if (strcmp(name, "--seed") == 0) {
            options.accel.seed = (uint32_t)number(value, 0.0, 4294967295.0);
        } else if (strcmp(name, "--speed-hz") == 0) {
            options.accel.shaft_mhz = (uint32_t)(number(value, 5.0, 40.0) * 1000.0 + 0.5);
        } else if (strcmp(name, "--gain") == 0) {
            options.accel.gain_permille = permille(value);
        } else if (strcmp(name, "--noise") == 0) {
            options.accel.noise_permille = permille(value);
        } else if (strcmp(name, "--severity") == 0) {
            options.accel.severity_permille = permille(value);
        } else if (strcmp(name, "--fault-from") == 0) {
            options.accel.fault_from = (uint32_t)(number(value, 0.0, 4e6) * ACCEL_RATE_HZ + 0.5);
        } else if (strcmp(name, "--fault") == 0 && strcmp(value, "outer") == 0) {
            options.accel.fault = ACCEL_OUTER;
        } else if (strcmp(name, "--fault") == 0 && strcmp(value, "inner") == 0) {
            options.accel.fault = ACCEL_INNER;
        } else {
            usage();
            exit(2);
        }
    }
    return options;
}

static int dump(const struct options *options) {
    struct accel accel;
    accel_start(&accel, &options->accel);
    for (long n = 0; n < options->samples; n++) {
        int16_t sample[ACCEL_AXES];
        unsigned char bytes[2 * ACCEL_AXES];
        accel_next(&accel, sample);
        for (int axis = 0; axis < ACCEL_AXES; axis++) {
            bytes[2 * axis] = (unsigned char)((uint16_t)sample[axis] & 0xFFu);
            bytes[2 * axis + 1] = (unsigned char)((uint16_t)sample[axis] >> 8);
        }
        if (fwrite(bytes, sizeof bytes, 1, stdout) != 1) {
            return 1;
        }
    }
    return fflush(stdout) == 0 ? 0 : 1;
}

static uint64_t monotonic_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* The master side, not blocking. The slave side stays open here too: a host may come and go, and our end is its unplugging. */
static int open_pty(void) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
        return -1;
    }
    const char *name = ptsname(master);
    int slave = name == NULL ? -1 : open(name, O_RDWR | O_NOCTTY);
    struct termios settings;
    if (slave < 0 || tcgetattr(slave, &settings) != 0) {
        return -1;
    }
    cfmakeraw(&settings);
    if (tcsetattr(slave, TCSANOW, &settings) != 0) {
        return -1;
    }
    (void)printf("pty %s\n", name);
    return fflush(stdout) == 0 ? master : -1;
}

static void receive(struct link *link, int port, uint64_t start_us) {
    uint8_t bytes[256];
    ssize_t count = read(port, bytes, sizeof bytes);
    uint64_t tick = monotonic_us() - start_us;
    for (ssize_t i = 0; i < count; i++) {
        link_receive(link, bytes[i], tick);
    }
}

static void send(struct link *link, int port) {
    const uint8_t *bytes;
    uint32_t count;
    while ((count = link_output(link, &bytes)) != 0u) {
        ssize_t sent = write(port, bytes, count);
        if (sent <= 0) {
            return; /* the host does not read: what comes now waits, then drops and is counted */
        }
        link_sent(link, (uint32_t)sent);
    }
}

static int stream(const struct options *options) {
    static struct link link;
    static struct link_samples samples;
    struct accel accel;
    pid_t parent = getppid();
    int port = open_pty();
    if (port < 0) {
        perror("native: pty");
        return 1;
    }
    uint64_t start_us = monotonic_us();
    accel_start(&accel, &options->accel);
    link_start(&link, (uint32_t)(start_us ^ ((uint64_t)getpid() << 16)), ACCELEROMETER_DESCRIPTION,
               (uint16_t)(sizeof ACCELEROMETER_DESCRIPTION - 1u));
    link_samples_start(&samples, ACCELEROMETER_STREAM, ACCEL_AXES, ACCELEROMETER_PER_FRAME);
    for (uint64_t tick = ACCELEROMETER_PERIOD_US;; tick += ACCELEROMETER_PERIOD_US) {
        for (;;) {
            uint64_t now_us = monotonic_us() - start_us;
            if (now_us >= tick) {
                break;
            }
            struct timespec left = {0, (long)(tick - now_us) * 1000};
            struct pollfd wait = {port, POLLIN, 0};
            if (ppoll(&wait, 1, &left, NULL) > 0) {
                receive(&link, port, start_us);
                send(&link, port);
            }
        }
        int16_t values[ACCEL_AXES];
        accel_next(&accel, values);
        link_sample(&link, &samples, values, tick);
        if (tick % 1000000u == 0u) {
            link_status(&link, tick);
            if (getppid() != parent) {
                return 0; /* whoever started it is gone */
            }
        }
        send(&link, port);
    }
}

int main(int count, char **arguments) {
    struct options options = parse(count, arguments);
    return options.samples > 0 ? dump(&options) : stream(&options);
}
