/* SPDX-License-Identifier: Apache-2.0 */
/* Residual sum: (row << shift) + (codes of the other tensor << up). */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_merge.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_merge.c"
#else
#include "hwf_value.h"

#define HWF_CHUNK 16 /* codes at a time, on the stack */

void HWF_NAME(hwf_add)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  hwf_v *row = values, other[HWF_CHUNK];
  const uint8_t *codes = (const uint8_t *)stage->data + pixel * hwf_stride(stage->storage, n);
  uint32_t i, begin;
  for (begin = 0; begin < n; begin += HWF_CHUNK) {
    const uint32_t count = n - begin < HWF_CHUNK ? n - begin : HWF_CHUNK;
    HWF_NAME(hwf_load)(codes + begin * hwf_bits(stage->storage) / 8, stage->storage, count, other);
    for (i = 0; i < count; i++) {
      const hwf_u term = (hwf_u)other[i] << stage->up;
      row[begin + i] = (hwf_v)(((hwf_u)row[begin + i] << stage->shift) + term);
    }
  }
}
#undef HWF_CHUNK
#endif
