/* The firmware as a program of a Linux machine: the same library, on a pty instead of a UART, or as a dump of samples.
 *
 *   native [options]                streams at 1 kHz on a pty of its own; prints "pty /dev/pts/N" on its first line
 *   native [options] --samples N    writes N samples (3 x int16, little-endian) to standard output as fast as it can, and ends
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../accel.h"

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

int main(int count, char **arguments) {
    struct options options = parse(count, arguments);
    if (options.samples > 0) {
        return dump(&options);
    }
    usage();
    return 2;
}
