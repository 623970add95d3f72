/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Function from a table: entry trunc(x * multiplier / 2^shift) + offset, at most the last and at least the first.
 * Data: multiplier, shift, offset, number of entries, whether x >= 0 goes by the slope instead, slope, entries.
 */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_lookup.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_lookup.c"
#else
#include "hwf_value.h"

void HWF_NAME(hwf_lookup)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  enum { MULTIPLIER, SHIFT, OFFSET, ENTRIES, STRAIGHT, SLOPE, HEAD };
  const uint32_t bytes = hwf_bits(stage->storage) / 8;
  hwf_v *row = values, head[HEAD];
  uint32_t i;
  (void)pixel;
  HWF_NAME(hwf_load)(stage->data, stage->storage, HEAD, head);
  for (i = 0; i < n; i++) {
    const hwf_v product = row[i] * head[MULTIPLIER], last = head[ENTRIES] - 1;
    hwf_v entry = (product < 0 ? -(-product >> head[SHIFT]) : product >> head[SHIFT]) + head[OFFSET];
    if (head[STRAIGHT] && row[i] >= 0) {
      row[i] = (hwf_v)((hwf_u)row[i] * (hwf_u)head[SLOPE]);
      continue;
    }
    entry = entry < 0 ? 0 : entry > last ? last : entry;
    HWF_NAME(hwf_load)((const uint8_t *)stage->data + (HEAD + (uint32_t)entry) * bytes, stage->storage, 1, row + i);
  }
}
#endif
