/* What both examples are: one stream of a 3-axis accelerometer at 1 kHz, 20 samples a frame. */
#ifndef ACCELEROMETER_H
#define ACCELEROMETER_H

#define ACCELEROMETER_STREAM 0
#define ACCELEROMETER_PER_FRAME 20
#define ACCELEROMETER_PERIOD_US 1000u
#define ACCELEROMETER_DESCRIPTION                                                                                      \
    "{\"v\":1,\"fw\":\"accelerometer 1.0\",\"tick_hz\":1000000,\"streams\":[{\"id\":0,\"name\":\"vibration\","         \
    "\"rate_hz\":1000,\"axes\":3,\"type\":\"int16\",\"scale\":" ACCEL_SCALE ",\"unit\":\"m/s2\",\"n\":20}]}"

#endif
