/* SPDX-License-Identifier: Apache-2.0 */
#include "hwf_host.h"

#include <math.h>
#include <string.h>

int64_t hwf_quantize(const hwf_port *port, double value)
{
    const int bits = port->width - (port->is_signed ? 1 : 0);
    const int64_t high = bits > 0 ? (int64_t)(UINT64_MAX >> (64 - bits)) : 0;
    const int64_t low = port->is_signed ? -high - 1 : 0;
    const double scaled = nearbyint(ldexp(value, port->frac));
    if (scaled >= ldexp(1.0, bits)) return high;
    if (scaled < (double)low) return low;
    return (int64_t)scaled;
}

double hwf_value(const hwf_port *port, int64_t code) { return ldexp((double)code, -port->frac); }

void hwf_pack(const hwf_port *port, const int64_t *codes, uint8_t *bytes)
{
    memset(bytes, 0, hwf_frame_bytes(port));
    for (size_t beat = 0; beat < port->beats; beat++, bytes += port->beat_bytes) {
        size_t at = 0;
        for (size_t lane = 0; lane < port->lanes; lane++) {
            const uint64_t code = (uint64_t)*codes++;
            for (int bit = 0; bit < port->width; bit++, at++) {
                bytes[at / 8] = (uint8_t)(bytes[at / 8] | ((code >> bit & 1u) << at % 8));
            }
        }
    }
}

void hwf_unpack(const hwf_port *port, const uint8_t *bytes, int64_t *codes)
{
    for (size_t beat = 0; beat < port->beats; beat++, bytes += port->beat_bytes) {
        size_t at = 0;
        for (size_t lane = 0; lane < port->lanes; lane++) {
            uint64_t code = 0;
            for (int bit = 0; bit < port->width; bit++, at++) {
                code |= (uint64_t)(bytes[at / 8] >> at % 8 & 1u) << bit;
            }
            if (port->is_signed && port->width < 64 && code >> (port->width - 1)) {
                code |= UINT64_MAX << port->width;
            }
            *codes++ = (int64_t)code;
        }
    }
}
