/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rounding to mini floats, half to the even code. Data: bits of the mantissa, whether the exponent's code of a value
 * with its leading one in bit 0 is odd, largest magnitude that becomes zero, least and largest result.
 */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_minifloat.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_minifloat.c"
#else
#include "hwf_value.h"

void HWF_NAME(hwf_minifloat)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  enum { MANTISSA, ODD, ZERO, LEAST, MOST, HEAD };
  hwf_v *row = values, head[HEAD];
  uint32_t i;
  (void)pixel;
  HWF_NAME(hwf_load)(stage->data, stage->storage, HEAD, head);
  for (i = 0; i < n; i++) {
    const hwf_u size = row[i] < 0 ? 0 - (hwf_u)row[i] : (hwf_u)row[i];
    hwf_u rest, half, y;
    uint32_t down = 0, odd;
    while (size >> down >> head[MANTISSA] >> 1) down++; /* bits below the mantissa */
    rest = size & (((hwf_u)1 << down) - 1);
    half = (hwf_u)1 << down >> 1;
    odd = head[MANTISSA] ? (size >> down) & 1 : (down & 1) ^ (uint32_t)head[ODD];
    y = size - rest + (rest > half || (rest == half && rest && odd) ? (hwf_u)1 << down : 0);
    y = stage->shift < 0 ? y >> -stage->shift : y << stage->shift;
    y = y > (hwf_u)head[MOST] ? (hwf_u)head[MOST] : y < (hwf_u)head[LEAST] ? (hwf_u)head[LEAST] : y;
    y = size <= (hwf_u)head[ZERO] ? 0 : y;
    row[i] = (hwf_v)(row[i] < 0 ? 0 - y : y);
  }
}
#endif
