/* SPDX-License-Identifier: Apache-2.0 */
/* Upsampling: each pixel as often as the factors say. */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_upsample.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_upsample.c"
#else
#include "hwf_value.h"

void HWF_NAME(hwf_upsample)(const hwf_layer *layer) {
  const uint32_t n = layer->in_c, stride = hwf_stride(layer->x_storage, n);
  const uint32_t factor_h = layer->out_h / layer->in_h, factor_w = layer->out_w / layer->in_w;
  hwf_v *const row = layer->scratch;
  uint32_t y, x, pixel = 0;
  for (y = 0; y < layer->out_h; y++) {
    for (x = 0; x < layer->out_w; x++, pixel++) {
      const uint32_t from = y / factor_h * layer->in_w + x / factor_w;
      HWF_NAME(hwf_load)((const uint8_t *)layer->x + from * stride, layer->x_storage, n, row);
      HWF_NAME(hwf_finish)(layer, row, pixel);
    }
  }
}
#endif
