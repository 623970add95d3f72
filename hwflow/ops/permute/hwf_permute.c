/* SPDX-License-Identifier: Apache-2.0 */
/* Permutation of axes. Constants: number of axes, their sizes in the result, their steps in the input, values. */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_permute.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_permute.c"
#else
#include "hwf_value.h"

#define HWF_MAX_AXES 4

void HWF_NAME(hwf_permute)(const hwf_layer *layer) {
  const uint32_t *constants = layer->weights;
  const uint32_t axes = constants[0], *sizes = constants + 1, *steps = sizes + axes;
  const uint32_t pixels = layer->out_w, n = layer->out_c, bytes = hwf_bits(layer->x_storage) / 8;
  uint32_t at[HWF_MAX_AXES] = {0};
  hwf_v *const row = layer->scratch;
  uint32_t pixel, i, from = 0;
  for (pixel = 0; pixel < pixels; pixel++) {
    for (i = 0; i < n; i++) {
      uint32_t axis = axes;
      HWF_NAME(hwf_load)((const uint8_t *)layer->x + from * bytes, layer->x_storage, 1, row + i);
      while (axis-- > 0) { /* the next value: the innermost axis that has one steps, those inside begin anew */
        from += steps[axis];
        if (++at[axis] < sizes[axis]) break;
        from -= sizes[axis] * steps[axis];
        at[axis] = 0;
      }
    }
    HWF_NAME(hwf_finish)(layer, row, pixel);
  }
}
#endif
