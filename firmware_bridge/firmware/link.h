/* The device's side of the serial link (docs/serial-protocol.md): frames, self-description, clock answers, status, drop counters.
 *
 * No heap, no callbacks, no interrupts of its own: every function is called from one context, usually the main loop.
 *
 *   link_start(&link, session, description, length);      once; the first frame out is a status
 *   link_samples_start(&samples, id, axes, per_frame);     once a stream
 *   link_receive(&link, byte, tick);                       for each byte that came, with the time at which it came
 *   link_sample(&link, &samples, values, tick);            for each sample, with the time at which it was taken
 *   link_status(&link, tick);                              once a second
 *   link_output(&link, &bytes); ... link_sent(&link, n);   hands the port what is to go out, as much as it takes
 *
 * Ticks are microseconds since the device started, 64 bits. What does not fit into the output is dropped as a whole frame and counted.
 */
#ifndef LINK_H
#define LINK_H

#include <stdint.h>

#define LINK_VERSION 1u
#define LINK_HEADER 8u
#define LINK_RAW_MAX 253u     /* header, body and CRC: encoded at most 254 bytes, so no COBS block is ever full */
#define LINK_BODY_MAX 243u    /* what is left for a body */
#define LINK_FRAME_MAX 255u   /* encoded, with the delimiter */
#define LINK_DESCRIBE_MAX 64u /* bytes of description in one answer */
#ifndef LINK_OUTPUT
#define LINK_OUTPUT 1024u /* bytes that may wait for the port */
#endif

enum link_type { LINK_SAMPLES = 1, LINK_DESCRIBE = 2, LINK_CLOCK = 3, LINK_STATUS = 4 };
#define LINK_OWN_STREAM 255u /* stream number of every frame that carries no samples */

struct link {
    const char *description;
    uint16_t description_length;
    uint16_t sequence;     /* of the own stream */
    uint32_t session;      /* new at each start of the device */
    uint32_t dropped;      /* samples that found no room, since the start, all streams */
    uint8_t input[LINK_FRAME_MAX];
    uint16_t input_length; /* LINK_FRAME_MAX: too long, skipped up to the next delimiter */
    uint8_t output[LINK_OUTPUT];
    uint32_t output_first; /* place of the next byte to send */
    uint32_t output_length;
};

struct link_samples {
    uint8_t stream;
    uint8_t axes;
    uint8_t per_frame;
    uint8_t count;
    uint16_t sequence; /* of the frame that is being filled; a dropped frame has used its number */
    uint8_t raw[LINK_RAW_MAX];
};

/* CRC-16/GENIBUS; 0xD64E for "123456789". */
uint16_t link_crc(const uint8_t *bytes, uint32_t length);
/* Appends the CRC to `raw` (length + 2 <= LINK_RAW_MAX) and encodes: writes at most LINK_FRAME_MAX bytes to `frame`, returns how many. */
uint32_t link_encode(uint8_t *raw, uint32_t length, uint8_t *frame);
/* Decodes a frame without its delimiter in place: header and body stand in frame[0..]. Returns their length, 0 when it is damaged. */
uint32_t link_decode(uint8_t *frame, uint32_t length);

void link_start(struct link *link, uint32_t session, const char *description, uint16_t length);
void link_samples_start(struct link_samples *samples, uint8_t stream, uint8_t axes, uint8_t per_frame);
void link_receive(struct link *link, uint8_t byte, uint64_t tick);
void link_sample(struct link *link, struct link_samples *samples, const int16_t *values, uint64_t tick);
void link_status(struct link *link, uint64_t tick);
/* Points at bytes to send and returns how many lie there in a row; 0 when there are none. */
uint32_t link_output(const struct link *link, const uint8_t **bytes);
void link_sent(struct link *link, uint32_t count);

#endif
