/* SPDX-License-Identifier: Apache-2.0 */
/* Channels of another tensor behind those of the row, both on the finer grid. */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_concat.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_concat.c"
#else
#include "hwf_value.h"

void HWF_NAME(hwf_concat)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  const uint32_t begin = stage->begin;
  const uint8_t *codes = (const uint8_t *)stage->data + pixel * hwf_stride(stage->storage, n - begin);
  hwf_v *row = values;
  uint32_t i;
  HWF_NAME(hwf_load)(codes, stage->storage, n - begin, row + begin);
  for (i = 0; i < n; i++) row[i] = (hwf_v)((hwf_u)row[i] << (i < begin ? stage->shift : stage->up));
}
#endif
