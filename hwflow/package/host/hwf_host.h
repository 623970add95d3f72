/* SPDX-License-Identifier: Apache-2.0 */
/* Host side of an accelerator of hwflow: values to codes, codes to beats and back, registers. C99. */
#ifndef HWF_HOST_H
#define HWF_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One AXI-Stream port and the format of its frames. */
typedef struct {
    size_t beats;      /* of a frame */
    size_t beat_bytes; /* lowest first */
    size_t lanes;      /* codes a beat, the first in the low bits */
    int width;         /* bits of a code, 1 to 64 */
    int frac;          /* of them behind the point; a value is code * 2^-frac */
    bool is_signed;    /* two's complement */
} hwf_port;

/* Codes of a frame. */
static inline size_t hwf_frame_codes(const hwf_port *port) { return port->beats * port->lanes; }

/* Bytes of a frame. */
static inline size_t hwf_frame_bytes(const hwf_port *port) { return port->beats * port->beat_bytes; }

/* Nearest code of a value, ties to even; out of range, the nearest code in it. Not-a-number has no code. */
int64_t hwf_quantize(const hwf_port *port, double value);

/* Value of a code. */
double hwf_value(const hwf_port *port, int64_t code);

/* One frame: codes in row-major order, channels last, to and from the bytes that a DMA engine moves. */
void hwf_pack(const hwf_port *port, const int64_t *codes, uint8_t *bytes);
void hwf_unpack(const hwf_port *port, const uint8_t *bytes, int64_t *codes);

/* Registers, at a mapped address. */
static inline uint32_t hwf_read(volatile const uint32_t *base, size_t offset) { return base[offset / 4]; }
static inline void hwf_write(volatile uint32_t *base, size_t offset, uint32_t word) { base[offset / 4] = word; }

#endif
