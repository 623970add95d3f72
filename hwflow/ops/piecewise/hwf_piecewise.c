/* SPDX-License-Identifier: Apache-2.0 */
/* Straight pieces: slope * x + offset, of the piece that x lies in. Data: two starts, then slope and offset of three
 * pieces. */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_piecewise.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_piecewise.c"
#else
#include "hwf_value.h"

void HWF_NAME(hwf_piecewise)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  hwf_v *row = values, data[8];
  uint32_t i;
  (void)pixel;
  HWF_NAME(hwf_load)(stage->data, stage->storage, 8, data);
  for (i = 0; i < n; i++) {
    const hwf_v *piece = data + 2 + 2 * ((row[i] >= data[0]) + (row[i] >= data[1]));
    row[i] = (hwf_v)((hwf_u)row[i] * (hwf_u)piece[0] + (hwf_u)piece[1]);
  }
}
#endif
