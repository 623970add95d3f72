/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Row with another row, element by element: sum, difference, product, larger, smaller. The other row is that of the
 * same pixel of a tensor, or one row of constants for all pixels.
 */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_merge.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_merge.c"
#else
#include "hwf_value.h"

/* result from a = row << shift and b = other << up; the other row comes in portions, on the stack. */
#define HWF_MERGE(name, result)                                                                         \
  void HWF_NAME(name)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {               \
    enum { PORTION = 16 };                                                                              \
    const uint32_t bits = hwf_bits(stage->storage);                                                     \
    const uint8_t *codes = (const uint8_t *)stage->data;                                                \
    hwf_v *row = values, other[PORTION];                                                                \
    uint32_t i;                                                                                         \
    if (stage->by_pixel) codes += pixel * hwf_stride(stage->storage, n);                                \
    while (n) {                                                                                         \
      const uint32_t count = n < PORTION ? n : PORTION;                                                 \
      HWF_NAME(hwf_load)(codes, stage->storage, count, other);                                          \
      for (i = 0; i < count; i++) {                                                                     \
        const hwf_u a = (hwf_u)row[i] << stage->shift, b = (hwf_u)other[i] << stage->up;                \
        row[i] = (hwf_v)(result);                                                                       \
      }                                                                                                 \
      row += count, n -= count, codes += count * bits / 8;                                              \
    }                                                                                                   \
  }

HWF_MERGE(hwf_add, a + b)
HWF_MERGE(hwf_subtract, a - b)
HWF_MERGE(hwf_subtract_from, b - a)
HWF_MERGE(hwf_multiply, a *b)
HWF_MERGE(hwf_maximum, (hwf_v)a > (hwf_v)b ? a : b)
HWF_MERGE(hwf_minimum, (hwf_v)a < (hwf_v)b ? a : b)
#undef HWF_MERGE
#endif
