/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Softmax over a row: exp(x) from a table, times the inverse of their sum from another one; and the largest value as
 * one and the others as zero. Tables are addressed by the top bits of codes. Data: whether differences to the largest
 * value are looked up, width and dropped bits of the first address, its entries, width and dropped bits of the second
 * address, casts of the sum and of the second address (shift, rounding, overflow, width, signed), both tables.
 */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_softmax.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_softmax.c"
#else
#include "hwf_value.h"

/* Entry of a table behind so many words of data. */
static hwf_v HWF_NAME(hwf_entry)(const hwf_stage *stage, uint32_t begin, hwf_v code, hwf_v width, hwf_v drop) {
  const hwf_u address = ((hwf_u)code & (~(hwf_u)0 >> (HWF_BITS - width))) >> drop;
  const uint32_t bytes = hwf_bits(stage->storage) / 8;
  hwf_v value;
  HWF_NAME(hwf_load)((const uint8_t *)stage->data + (begin + (uint32_t)address) * bytes, stage->storage, 1, &value);
  return value;
}

static void HWF_NAME(hwf_cast_one)(const hwf_v *mode, hwf_v *value) {
  hwf_stage cast = {0};
  cast.shift = (int8_t)mode[0];
  cast.rounding = (uint8_t)mode[1];
  cast.overflow = (uint8_t)mode[2];
  cast.width = (uint8_t)mode[3];
  cast.is_signed = (uint8_t)mode[4];
  HWF_NAME(hwf_cast)(&cast, value, 1, 0);
}

void HWF_NAME(hwf_softmax)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  enum { STABLE, WIDTH, DROP, ENTRIES, INVERSE_WIDTH, INVERSE_DROP, SUM, INVERSE = SUM + 5, HEAD = INVERSE + 5 };
  hwf_v *row = values, head[HEAD], largest, total = 0, factor;
  uint32_t i;
  (void)pixel;
  HWF_NAME(hwf_load)(stage->data, stage->storage, HEAD, head);
  largest = row[0];
  for (i = 1; i < n; i++) largest = row[i] > largest ? row[i] : largest;
  for (i = 0; i < n; i++) {
    const hwf_v code = head[STABLE] ? largest - row[i] : row[i];
    row[i] = HWF_NAME(hwf_entry)(stage, HEAD, code, head[WIDTH], head[DROP]);
    total += row[i];
  }
  HWF_NAME(hwf_cast_one)(head + SUM, &total);
  HWF_NAME(hwf_cast_one)(head + INVERSE, &total);
  factor = HWF_NAME(hwf_entry)(stage, HEAD + (uint32_t)head[ENTRIES], total, head[INVERSE_WIDTH], head[INVERSE_DROP]);
  for (i = 0; i < n; i++) row[i] = (hwf_v)((hwf_u)row[i] * (hwf_u)factor);
}

void HWF_NAME(hwf_argmax)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  hwf_v *row = values;
  uint32_t i, first = 0;
  (void)stage;
  (void)pixel;
  for (i = 1; i < n; i++) first = row[i] > row[first] ? i : first;
  for (i = 0; i < n; i++) row[i] = i == first;
}
#endif
