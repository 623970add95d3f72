/* SPDX-License-Identifier: Apache-2.0 */
/* Rectifier: max(x, 0). The cast that follows is a stage of its own. */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_activation.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_activation.c"
#else
#include "hwf_value.h"

void HWF_NAME(hwf_relu)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  hwf_v *row = values;
  uint32_t i;
  (void)stage, (void)pixel;
  for (i = 0; i < n; i++) row[i] = row[i] < 0 ? 0 : row[i];
}
#endif
