#include "accel.h"

/* Amplitudes in steps (1/2048 g) times 16: the sums keep four bits below a step. */
#define STEPS(value) ((int32_t)(value) * 16)

struct axis {
    int32_t once;    /* unbalance: the shaft's own frequency */
    int32_t twice;   /* misalignment */
    int32_t vane;    /* seven blades */
    int32_t noise;   /* RMS of the machine's own broadband noise */
    int32_t impact;  /* height of one impact at severity 1 */
    int32_t ring_1;  /* resonator 2 r cos(2 pi f / rate) in 1/16384; r = 0.9 */
    int32_t healthy; /* RMS of the healthy axis: the unit of `noise_permille` */
};

static const struct axis AXES[ACCEL_AXES] = {
    {STEPS(60), STEPS(50), STEPS(30), STEPS(55), STEPS(140), -17633, STEPS(85)},  /* 352 Hz */
    {STEPS(180), STEPS(40), STEPS(30), STEPS(70), STEPS(300), 185, STEPS(155)},   /* 249 Hz */
    {STEPS(220), STEPS(70), STEPS(50), STEPS(80), STEPS(420), -11029, STEPS(195)}, /* 311 Hz */
};
#define RING_2 13271 /* r^2 = 0.81 in 1/16384 */

#define BPFO_65536 234933u /* balls / 2 (1 - d / D) = 3.58479 impacts a turn */
#define BPFI_65536 354891u /* balls / 2 (1 + d / D) = 5.41521 */

/* sin of a quarter turn in 64 steps, 1/32767. */
static const int16_t QUARTER[65] = {
    0,     804,   1608,  2410,  3212,  4011,  4808,  5602,  6393,  7179,  7962,  8739,  9512,  10278, 11039, 11793, 12539,
    13279, 14010, 14732, 15446, 16151, 16846, 17530, 18204, 18868, 19519, 20159, 20787, 21403, 22005, 22594, 23170, 23731,
    24279, 24811, 25329, 25832, 26319, 26790, 27245, 27683, 28105, 28510, 28898, 29268, 29621, 29956, 30273, 30571, 30852,
    31113, 31356, 31580, 31785, 31971, 32137, 32285, 32412, 32521, 32609, 32678, 32728, 32757, 32767,
};

static int32_t sine(uint32_t phase) {
    uint32_t quadrant = phase >> 30;
    uint32_t within = phase & 0x3FFFFFFFu;
    if (quadrant & 1u) {
        within = 0x40000000u - within;
    }
    uint32_t step = within >> 24;
    int32_t value = QUARTER[step];
    if (step < 64u) {
        int32_t fraction = (int32_t)((within >> 9) & 0x7FFFu);
        value += ((QUARTER[step + 1u] - value) * fraction) / 32768;
    }
    return (quadrant & 2u) ? -value : value;
}

/* `one` is a literal power of two at every call, so no 64-bit division of a library is linked in. */
#define TIMES(value, factor, one) ((int32_t)(((int64_t)(value) * (factor)) / (one)))

static int32_t q15(int32_t value, int32_t factor) {
    return TIMES(value, factor, 32768);
}

static uint32_t draw(struct accel *accel) {
    uint32_t x = accel->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    accel->random = x;
    return x;
}

/* Roughly normal, RMS 32768 x 1.155: four uniform numbers. */
static int32_t normal(struct accel *accel) {
    uint32_t a = draw(accel);
    uint32_t b = draw(accel);
    return (int32_t)(a & 0xFFFFu) + (int32_t)(a >> 16) + (int32_t)(b & 0xFFFFu) + (int32_t)(b >> 16) - 2 * 65535;
}
#define NORMAL_Q15 28378 /* 32768 / 1.1547: brings `normal` to RMS 32768 */

/* `value` times thousandths, without a 64-bit division. */
static int32_t permille(int32_t value, uint32_t thousandths) {
    uint32_t factor = thousandths > 60000u ? 60000u : thousandths;
    return TIMES(value, (int32_t)((factor * 4096u) / 1000u), 4096);
}

struct accel_config accel_defaults(void) {
    struct accel_config config;
    config.seed = 1u;
    config.shaft_mhz = 25000u;
    config.gain_permille = 1000u;
    config.noise_permille = 0u;
    config.severity_permille = 1000u;
    config.fault_from = ACCEL_NEVER;
    config.fault = ACCEL_OUTER;
    return config;
}

void accel_start(struct accel *accel, const struct accel_config *config) {
    accel->config = *config;
    accel->sample = 0u;
    accel->random = (config->seed * 2654435761u) ^ 0x9E3779B9u;
    if (accel->random == 0u) {
        accel->random = 1u;
    }
    for (int i = 0; i < 8; i++) {
        (void)draw(accel);
    }
    accel->shaft = draw(accel);
    accel->vane = draw(accel);
    accel->wander = draw(accel);
    accel->load = draw(accel);
    accel->impact = draw(accel);
    accel->slip = 32768u;
    for (int axis = 0; axis < ACCEL_AXES; axis++) {
        accel->ring[axis][0] = 0;
        accel->ring[axis][1] = 0;
        accel->carried[axis] = 0;
    }
}

/* Phase a sample at 1 kHz of a frequency in millihertz: f x 2^32 / 10^6, in 32 bits. */
static uint32_t turn(uint32_t mhz) {
    return mhz * 4294u + (mhz * 967u) / 1000u;
}

/* The height of this sample's impact (0: none) and in `late`, of 32768, how much of it belongs to the next sample. */
static int32_t impact(struct accel *accel, uint32_t shaft_turn, int32_t *late) {
    uint32_t ratio = accel->config.fault == ACCEL_INNER ? BPFI_65536 : BPFO_65536;
    uint32_t nominal = (uint32_t)(((uint64_t)shaft_turn * ratio) >> 16);
    /* +-1 %, the same through one interval. */
    int32_t slip = TIMES((int32_t)(nominal / 100u), (int32_t)accel->slip - 32768, 32768);
    uint32_t step = (uint32_t)((int32_t)nominal + slip);
    uint32_t before = accel->impact;
    accel->impact = before + step;
    if (accel->impact >= before) {
        return 0;
    }
    /* Phase left after the wrap, as part of a step: the impact came that much of a sample before this one. */
    int32_t since = (int32_t)(accel->impact / ((step >> 15) + 1u));
    *late = 32768 - (since > 32768 ? 32768 : since);
    accel->slip = draw(accel) & 0xFFFFu;
    int32_t height = 32767;
    if (accel->config.fault == ACCEL_INNER) {
        height = (32767 + sine(accel->shaft)) / 2; /* the defect turns through the load zone */
    }
    /* Impacts are not all alike: 75 to 125 %. */
    return TIMES(height, 24576 + (int32_t)(draw(accel) & 0x3FFFu), 32768);
}

void accel_next(struct accel *accel, int16_t sample[ACCEL_AXES]) {
    accel->wander += turn(110u);
    accel->load += turn(70u);
    uint32_t nominal = turn(accel->config.shaft_mhz);
    int32_t wander = q15((int32_t)(nominal / 256u), sine(accel->wander)); /* +-0.4 % of speed */
    uint32_t shaft_turn = (uint32_t)((int32_t)nominal + wander);
    accel->shaft += shaft_turn;
    accel->vane += 7u * shaft_turn;
    int32_t load = 32767 + q15(4915, sine(accel->load)); /* +-15 % of blades and noise */

    int32_t late = 0;
    int32_t hit = 0;
    if (accel->sample >= accel->config.fault_from) {
        hit = impact(accel, shaft_turn, &late);
    }
    accel->sample++;

    for (int axis = 0; axis < ACCEL_AXES; axis++) {
        const struct axis *a = &AXES[axis];
        /* A quarter of a turn between the axes. */
        uint32_t offset = (uint32_t)axis * 0x40000000u;
        int32_t noise = q15(q15(q15(a->noise, load), normal(accel)), NORMAL_Q15);
        int32_t whole = permille(q15(a->impact, hit), accel->config.severity_permille);
        int32_t later = q15(whole, late);
        /* The housing rings with the impacts, and a little with the machine's own noise. */
        int32_t ring = whole - later + accel->carried[axis] + noise / 4 + TIMES(accel->ring[axis][0], a->ring_1, 16384)
                       - TIMES(accel->ring[axis][1], RING_2, 16384);
        accel->carried[axis] = later;
        accel->ring[axis][1] = accel->ring[axis][0];
        accel->ring[axis][0] = ring;

        int32_t sum = q15(a->once, sine(accel->shaft + offset)) + q15(a->twice, sine(2u * accel->shaft + offset))
                      + q15(q15(a->vane, load), sine(accel->vane + offset)) + noise + ring;
        sum += q15(q15(permille(a->healthy, accel->config.noise_permille), normal(accel)), NORMAL_Q15);
        sum = permille(sum, accel->config.gain_permille) / 16;
        if (axis == 2) {
            sum += ACCEL_LSB_PER_G;
        }
        sample[axis] = (int16_t)(sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum);
    }
}
