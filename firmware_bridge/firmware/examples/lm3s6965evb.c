/* Bare metal on a TI Stellaris LM3S6965 (Cortex-M3), the board `lm3s6965evb` of QEMU: UART0, SysTick, nothing else.
 *
 *   qemu-system-arm -M lm3s6965evb -kernel lm3s6965evb.elf -monitor none -nographic -serial pty
 *
 * RCC is left as reset leaves it: 12.5 MHz in QEMU. FAULT_FROM_S, SEED: build with -DFAULT_FROM_S=30 for a bearing that is damaged
 * from the 30th second on.
 */
#include <stddef.h>
#include <stdint.h>

#include "../accel.h"
#include "../link.h"
#include "accelerometer.h"

#ifndef SEED
#define SEED 1u
#endif
#ifdef FAULT_FROM_S
#define FAULT_FROM ((uint32_t)(FAULT_FROM_S) * ACCEL_RATE_HZ)
#else
#define FAULT_FROM ACCEL_NEVER
#endif

#define REGISTER(address) (*(volatile uint32_t *)(address))
#define SYSTICK_CONTROL REGISTER(0xE000E010u)
#define SYSTICK_RELOAD REGISTER(0xE000E014u)
#define SYSTICK_COUNT REGISTER(0xE000E018u)
#define NVIC_ENABLE_0 REGISTER(0xE000E100u)
#define RCGC1 REGISTER(0x400FE104u) /* clock of UART0 */
#define RCGC2 REGISTER(0x400FE108u) /* clock of port A */
#define PORT_A_ALTERNATE REGISTER(0x40004420u)
#define PORT_A_DIGITAL REGISTER(0x4000451Cu)
#define UART_DATA REGISTER(0x4000C000u)
#define UART_FLAGS REGISTER(0x4000C018u)
#define UART_WHOLE REGISTER(0x4000C024u)
#define UART_FRACTION REGISTER(0x4000C028u)
#define UART_LINE REGISTER(0x4000C02Cu)
#define UART_CONTROL REGISTER(0x4000C030u)
#define UART_MASK REGISTER(0x4000C038u)
#define UART_CLEAR REGISTER(0x4000C044u)
#define RECEIVE_EMPTY (1u << 4)
#define TRANSMIT_FULL (1u << 5)
#define RECEIVE_INTERRUPTS ((1u << 4) | (1u << 6)) /* data, and data that waited */
#define RELOAD 12499u /* 12.5 MHz: 1 kHz */

/* No C library: the compiler may still call these for a struct. */
void *memcpy(void *to, const void *from, size_t length) {
    volatile unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0; i < length; i++) {
        t[i] = f[i];
    }
    return to;
}

void *memmove(void *to, const void *from, size_t length) {
    volatile unsigned char *t = to;
    const unsigned char *f = from;
    for (size_t i = 0; i < length; i++) {
        size_t at = t < f ? i : length - 1u - i;
        t[at] = f[at];
    }
    return to;
}

void *memset(void *to, int value, size_t length) {
    volatile unsigned char *t = to;
    for (size_t i = 0; i < length; i++) {
        t[i] = (unsigned char)value;
    }
    return to;
}

static volatile uint32_t milliseconds; /* since start; wraps after 49 days, `now` carries on */
static volatile uint8_t received[256];
static volatile uint8_t received_to; /* written by the interrupt alone */
static uint8_t received_from;

static struct link link;
static struct link_samples samples;
static struct accel accel;
/* Not cleared at start: a reset that keeps the memory counts on, so the session differs. */
static uint32_t starts __attribute__((section(".noinit")));

static void on_systick(void) {
    milliseconds++;
}

static void on_uart(void) {
    UART_CLEAR = RECEIVE_INTERRUPTS;
    while ((UART_FLAGS & RECEIVE_EMPTY) == 0u) {
        received[received_to] = (uint8_t)(UART_DATA & 0xFFu);
        received_to = (uint8_t)(received_to + 1u);
    }
}

static uint64_t now(void) {
    static uint32_t before;
    static uint32_t wraps;
    uint32_t whole;
    uint32_t counted;
    do {
        whole = milliseconds;
        counted = RELOAD - SYSTICK_COUNT;
    } while (whole != milliseconds);
    if (whole < before) {
        wraps++;
    }
    before = whole;
    return (((uint64_t)wraps << 32) | whole) * 1000u + (counted * 2u) / 25u;
}

static void send(void) {
    const uint8_t *bytes;
    uint32_t count = link_output(&link, &bytes);
    uint32_t sent = 0u;
    while (sent < count && (UART_FLAGS & TRANSMIT_FULL) == 0u) {
        UART_DATA = bytes[sent];
        sent++;
    }
    link_sent(&link, sent);
}

static void start_board(void) {
    RCGC1 |= 1u;
    RCGC2 |= 1u;
    PORT_A_ALTERNATE |= 3u;
    PORT_A_DIGITAL |= 3u;
    UART_CONTROL = 0u;
    UART_WHOLE = 6u; /* 12.5 MHz / 16 / 115,200 = 6 + 50/64 */
    UART_FRACTION = 50u;
    UART_LINE = 0x70u; /* 8 bits, FIFO */
    UART_MASK = RECEIVE_INTERRUPTS;
    UART_CONTROL = 0x301u;
    NVIC_ENABLE_0 = 1u << 5;
    SYSTICK_RELOAD = RELOAD;
    SYSTICK_COUNT = 0u;
    SYSTICK_CONTROL = 7u;
}

int main(void) {
    struct accel_config config = accel_defaults();
    uint32_t taken = 0u; /* samples, wraps as `milliseconds` does */
    uint64_t tick = 0u;
    config.seed = SEED;
    config.fault_from = FAULT_FROM;
    accel_start(&accel, &config);
    starts++;
    link_start(&link, starts * 2654435761u, ACCELEROMETER_DESCRIPTION, (uint16_t)(sizeof ACCELEROMETER_DESCRIPTION - 1u));
    link_samples_start(&samples, ACCELEROMETER_STREAM, ACCEL_AXES, ACCELEROMETER_PER_FRAME);
    start_board();
    for (;;) {
        while (received_from != received_to) {
            link_receive(&link, received[received_from], now());
            received_from = (uint8_t)(received_from + 1u);
        }
        if (taken != milliseconds) {
            int16_t values[ACCEL_AXES];
            accel_next(&accel, values);
            tick += ACCELEROMETER_PERIOD_US;
            link_sample(&link, &samples, values, tick);
            taken++;
            if (taken % ACCEL_RATE_HZ == 0u) {
                link_status(&link, tick);
            }
        }
        send();
        /* With interrupts held back, one that comes between the question and `wfi` still wakes it. */
        __asm volatile("cpsid i" ::: "memory");
        if (taken == milliseconds && received_from == received_to && link.output_length == 0u) {
            __asm volatile("wfi");
        }
        __asm volatile("cpsie i" ::: "memory");
    }
}

extern uint32_t stack_top, data_start, data_end, data_load, bss_start, bss_end;

void on_reset(void);
void on_reset(void) {
    const uint32_t *from = &data_load;
    for (volatile uint32_t *to = &data_start; to < &data_end; to++) {
        *to = *from++;
    }
    for (volatile uint32_t *to = &bss_start; to < &bss_end; to++) {
        *to = 0u;
    }
    (void)main();
}

static void on_fault(void) {
    for (;;) {
    }
}

typedef void (*handler)(void);
struct vectors {
    uint32_t *stack;
    handler handlers[21];
};
/* 15 exceptions of the processor, then the chip's: UART0 is number 5. */
__attribute__((section(".vectors"), used)) static const struct vectors VECTORS = {
    &stack_top,
    {on_reset, on_fault, on_fault, on_fault, on_fault, on_fault, 0, 0, 0, 0, on_fault, on_fault, 0, on_fault, on_systick,
     on_fault, on_fault, on_fault, on_fault, on_fault, on_uart},
};
