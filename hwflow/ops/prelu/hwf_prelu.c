/* SPDX-License-Identifier: Apache-2.0 */
/* Parametric rectifier: x << shift where x >= 0, (slope * x) << up elsewhere. */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_prelu.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_prelu.c"
#else
#include "hwf_value.h"

/* Slopes are as wide as their storage says: 8, 16 or 32 bits. */
#define HWF_BEND(slope)                                                        \
  for (i = 0; i < n; i++) {                                                    \
    const hwf_u bent = (hwf_u)row[i] * (hwf_u)(hwf_v)((slope)[first + i]);     \
    row[i] = (hwf_v)(row[i] < 0 ? bent << stage->up : (hwf_u)row[i] << shift); \
  }

void HWF_NAME(hwf_prelu)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  hwf_v *row = values;
  const uint32_t shift = (uint32_t)stage->shift, first = stage->by_pixel ? pixel * n : 0;
  uint32_t i;
  if (stage->storage == HWF_I8) {
    HWF_BEND((const int8_t *)stage->data)
  } else if (stage->storage == HWF_I16) {
    HWF_BEND((const int16_t *)stage->data)
  } else {
    HWF_BEND((const int32_t *)stage->data)
  }
}
#undef HWF_BEND
#endif
