/* A 3-axis accelerometer on a bearing housing, as a machine would shake it: what the examples stream and what the vibration model learns.
 *
 * One generator for firmware, tests and training. Integers only, so that every compiler and processor gives the same samples for the
 * same configuration; no heap, no libm, no state outside `struct accel`.
 *
 * Defect frequencies: R. B. Randall, J. Antoni, "Rolling element bearing diagnostics - a tutorial", Mechanical Systems and Signal
 * Processing 25 (2011) 485-520, for a 6205 bearing (9 balls of 7.94 mm on a pitch of 39.04 mm, contact angle 0), with their random slip
 * of about 1 % from one impact to the next. The resonances that the impacts ring (249, 311 and 352 Hz) are chosen for a sampling rate
 * of 1 kHz; real housings ring at some kHz, which 1 kHz cannot see.
 */
#ifndef ACCEL_H
#define ACCEL_H

#include <stdint.h>

#define ACCEL_AXES 3          /* x axial, y horizontal, z vertical (carries gravity) */
#define ACCEL_RATE_HZ 1000
#define ACCEL_LSB_PER_G 2048  /* +-16 g in int16 */
#define ACCEL_SCALE "0.004788403" /* m/s2 a step: 9.80665 / 2048 */
#define ACCEL_NEVER 0xFFFFFFFFu

enum accel_fault { ACCEL_OUTER = 0, ACCEL_INNER = 1 };

struct accel_config {
    uint32_t seed;              /* phases of everything that turns, noise, slip */
    uint32_t shaft_mhz;         /* shaft speed in thousandths of a hertz: 25000 is 1500 rpm; 5000 to 40000 */
    uint32_t gain_permille;     /* of the vibration, not of gravity: 1000 */
    uint32_t noise_permille;    /* white noise added, in thousandths of the healthy machine's own RMS on that axis: 0 */
    uint32_t severity_permille; /* of the fault: 1000 */
    uint32_t fault_from;        /* number of the first faulty sample; ACCEL_NEVER: healthy for ever */
    enum accel_fault fault;
};

struct accel {
    struct accel_config config;
    uint32_t sample;       /* number of the next sample */
    uint32_t random;       /* xorshift32; never 0 */
    uint32_t shaft;        /* phases: 2^32 is one turn */
    uint32_t vane;
    uint32_t wander;
    uint32_t load;
    uint32_t impact;       /* phase between two impacts */
    uint32_t slip;         /* of this interval: 0 to 65535, 32768 is none */
    int32_t ring[ACCEL_AXES][2];
    int32_t carried[ACCEL_AXES]; /* the part of an impact that falls on the next sample */
};

/* A healthy machine at 1500 rpm, seed 1. */
struct accel_config accel_defaults(void);
void accel_start(struct accel *accel, const struct accel_config *config);
/* The next sample, one int16 an axis. */
void accel_next(struct accel *accel, int16_t sample[ACCEL_AXES]);

#endif
