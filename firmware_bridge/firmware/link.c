#include "link.h"

static void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value & 0xFFu);
    at[1] = (uint8_t)((value >> 8) & 0xFFu);
}

static void put32(uint8_t *at, uint32_t value) {
    put16(at, value);
    put16(at + 2, value >> 16);
}

static uint32_t get16(const uint8_t *at) {
    return (uint32_t)at[0] | ((uint32_t)at[1] << 8);
}

uint16_t link_crc(const uint8_t *bytes, uint32_t length) {
    /* Polynomial 0x1021 by half bytes: 32 bytes of table instead of 512. */
    static const uint16_t table[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50A5, 0x60C6, 0x70E7,
                                       0x8108, 0x9129, 0xA14A, 0xB16B, 0xC18C, 0xD1AD, 0xE1CE, 0xF1EF};
    uint32_t crc = 0xFFFFu;
    for (uint32_t i = 0; i < length; i++) {
        crc = ((crc << 4) & 0xFFFFu) ^ table[(crc >> 12) ^ (bytes[i] >> 4)];
        crc = ((crc << 4) & 0xFFFFu) ^ table[(crc >> 12) ^ (bytes[i] & 0x0Fu)];
    }
    return (uint16_t)(crc ^ 0xFFFFu);
}

uint32_t link_encode(uint8_t *raw, uint32_t length, uint8_t *frame) {
    uint16_t crc = link_crc(raw, length);
    raw[length] = (uint8_t)(crc >> 8); /* the only big-endian number: so a receiver's CRC over everything is a constant */
    raw[length + 1u] = (uint8_t)(crc & 0xFFu);
    length += 2u;
    uint32_t code_at = 0u;
    for (uint32_t i = 0; i < length; i++) {
        frame[i + 1u] = raw[i];
        if (raw[i] == 0u) {
            frame[code_at] = (uint8_t)(i + 1u - code_at);
            code_at = i + 1u;
        }
    }
    frame[code_at] = (uint8_t)(length + 1u - code_at);
    frame[length + 1u] = 0u;
    return length + 2u;
}

uint32_t link_decode(uint8_t *frame, uint32_t length) {
    if (length < LINK_HEADER + 3u || length > LINK_FRAME_MAX - 1u) {
        return 0u;
    }
    uint32_t at = 0u;
    while (at < length) {
        uint32_t code = frame[at];
        if (code == 0u || at + code > length) {
            return 0u;
        }
        frame[at] = 0u;
        at += code;
    }
    for (uint32_t i = 1; i < length; i++) {
        frame[i - 1u] = frame[i];
    }
    length -= 3u;
    uint32_t crc = ((uint32_t)frame[length] << 8) | frame[length + 1u];
    return crc == link_crc(frame, length) ? length : 0u;
}

/* Puts a frame into the output, whole or not at all; 0 when there is no room. */
static int emit(struct link *link, uint8_t *raw, uint32_t length) {
    uint8_t frame[LINK_FRAME_MAX];
    if (link->output_length + length + 4u > LINK_OUTPUT) {
        return 0;
    }
    uint32_t count = link_encode(raw, length, frame);
    uint32_t at = (link->output_first + link->output_length) % LINK_OUTPUT;
    for (uint32_t i = 0; i < count; i++) {
        link->output[at] = frame[i];
        at = at + 1u == LINK_OUTPUT ? 0u : at + 1u;
    }
    link->output_length += count;
    return 1;
}

static void header(uint8_t *raw, enum link_type type, uint32_t stream, uint32_t sequence, uint64_t tick) {
    raw[0] = (uint8_t)type;
    raw[1] = (uint8_t)stream;
    put16(raw + 2, sequence);
    put32(raw + 4, (uint32_t)(tick & 0xFFFFFFFFu));
}

static void answer(struct link *link, enum link_type type, uint8_t *raw, uint32_t body, uint64_t tick) {
    header(raw, type, LINK_OWN_STREAM, link->sequence, tick);
    if (emit(link, raw, LINK_HEADER + body)) {
        link->sequence++;
    }
}

static void describe(struct link *link, uint32_t offset, uint64_t tick) {
    uint8_t raw[LINK_HEADER + 4u + LINK_DESCRIBE_MAX + 2u];
    uint32_t total = link->description_length;
    uint32_t count = offset >= total ? 0u : total - offset;
    if (count > LINK_DESCRIBE_MAX) {
        count = LINK_DESCRIBE_MAX;
    }
    put16(raw + LINK_HEADER, offset);
    put16(raw + LINK_HEADER + 2u, total);
    for (uint32_t i = 0; i < count; i++) {
        raw[LINK_HEADER + 4u + i] = (uint8_t)link->description[offset + i];
    }
    answer(link, LINK_DESCRIBE, raw, 4u + count, tick);
}

static void tell_time(struct link *link, const uint8_t *cookie, uint64_t tick) {
    uint8_t raw[LINK_HEADER + 16u + 2u];
    for (uint32_t i = 0; i < 4u; i++) {
        raw[LINK_HEADER + i] = cookie[i];
    }
    put32(raw + LINK_HEADER + 4u, (uint32_t)(tick & 0xFFFFFFFFu));
    put32(raw + LINK_HEADER + 8u, (uint32_t)(tick >> 32));
    put32(raw + LINK_HEADER + 12u, link->session);
    answer(link, LINK_CLOCK, raw, 16u, tick);
}

static void handle(struct link *link, const uint8_t *raw, uint32_t length, uint64_t tick) {
    uint32_t body = length - LINK_HEADER;
    if (raw[0] == LINK_CLOCK && body == 4u) {
        tell_time(link, raw + LINK_HEADER, tick);
    } else if (raw[0] == LINK_DESCRIBE && body == 2u) {
        uint32_t offset = get16(raw + LINK_HEADER);
        if (offset == 0u) {
            link_status(link, tick); /* a host that begins to listen learns at once what was dropped before it came */
        }
        describe(link, offset, tick);
    }
}

void link_start(struct link *link, uint32_t session, const char *description, uint16_t length) {
    link->description = description;
    link->description_length = length;
    link->sequence = 0u;
    link->session = session;
    link->dropped = 0u;
    link->input_length = 0u;
    link->output_first = 0u;
    link->output_length = 0u;
    link_status(link, 0u);
}

void link_samples_start(struct link_samples *samples, uint8_t stream, uint8_t axes, uint8_t per_frame) {
    samples->stream = stream;
    samples->axes = axes;
    samples->per_frame = per_frame;
    samples->count = 0u;
    samples->sequence = 0u;
}

void link_receive(struct link *link, uint8_t byte, uint64_t tick) {
    if (byte != 0u) {
        if (link->input_length < LINK_FRAME_MAX) {
            link->input[link->input_length++] = byte;
        }
        return;
    }
    uint32_t length = link_decode(link->input, link->input_length);
    link->input_length = 0u;
    if (length != 0u) {
        handle(link, link->input, length, tick);
    }
}

void link_sample(struct link *link, struct link_samples *samples, const int16_t *values, uint64_t tick) {
    if (samples->count == 0u) {
        header(samples->raw, LINK_SAMPLES, samples->stream, samples->sequence, tick);
    }
    uint8_t *at = samples->raw + LINK_HEADER + 2u * samples->axes * samples->count;
    for (uint32_t axis = 0; axis < samples->axes; axis++) {
        put16(at + 2u * axis, (uint16_t)values[axis]);
    }
    samples->count++;
    if (samples->count < samples->per_frame) {
        return;
    }
    if (!emit(link, samples->raw, LINK_HEADER + 2u * samples->axes * samples->count)) {
        link->dropped += samples->count;
    }
    samples->count = 0u;
    samples->sequence++;
}

void link_status(struct link *link, uint64_t tick) {
    uint8_t raw[LINK_HEADER + 10u + 2u];
    put32(raw + LINK_HEADER, link->session);
    put32(raw + LINK_HEADER + 4u, link->dropped);
    put16(raw + LINK_HEADER + 8u, LINK_VERSION);
    answer(link, LINK_STATUS, raw, 10u, tick);
}

uint32_t link_output(const struct link *link, const uint8_t **bytes) {
    uint32_t to_end = LINK_OUTPUT - link->output_first;
    *bytes = link->output + link->output_first;
    return link->output_length < to_end ? link->output_length : to_end;
}

void link_sent(struct link *link, uint32_t count) {
    link->output_first = (link->output_first + count) % LINK_OUTPUT;
    link->output_length -= count;
}
