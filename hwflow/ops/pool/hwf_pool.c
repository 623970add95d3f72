/* SPDX-License-Identifier: Apache-2.0 */
/* Pooling: the largest value, the sum, or the mean rounded toward zero of a window's pixels inside the frame.
 * The sum over windows of one pixel moves a frame: padding, and cropping with negative margins. */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_pool.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_pool.c"
#else
#include "hwf_value.h"

#ifndef HWF_POOL_MAX
enum { HWF_POOL_MAX, HWF_POOL_SUM, HWF_POOL_MEAN };
#define HWF_POOL_MAX HWF_POOL_MAX
#endif

static void HWF_NAME(hwf_pool)(const hwf_layer *layer, int function) {
  const uint32_t pixels = (uint32_t)layer->out_h * layer->out_w, n = layer->in_c;
  const uint32_t stride = hwf_stride(layer->x_storage, n);
  hwf_v *const row = layer->scratch, *const codes = row + n;
  uint32_t pixel, i;
  for (pixel = 0; pixel < pixels; pixel++) {
    const int32_t top = (int32_t)(pixel / layer->out_w) * layer->stride_h - layer->pad_top;
    const int32_t left = (int32_t)(pixel % layer->out_w) * layer->stride_w - layer->pad_left;
    int32_t ky, kx, count = 0;
    for (ky = 0; ky < layer->kernel_h; ky++) {
      for (kx = 0; kx < layer->kernel_w; kx++) {
        const int32_t y = top + ky, x = left + kx;
        if (y < 0 || y >= layer->in_h || x < 0 || x >= layer->in_w) continue;
        HWF_NAME(hwf_load)((const uint8_t *)layer->x + (uint32_t)(y * layer->in_w + x) * stride, layer->x_storage,
                           n, count ? codes : row);
        if (count++ == 0) continue;
        if (function == HWF_POOL_MAX) {
          for (i = 0; i < n; i++) row[i] = row[i] > codes[i] ? row[i] : codes[i];
        } else {
          for (i = 0; i < n; i++) row[i] += codes[i];
        }
      }
    }
    if (count == 0) memset(row, 0, n * sizeof *row); /* a sum of nothing */
    if (function == HWF_POOL_MEAN) {
      for (i = 0; i < n; i++) row[i] = (hwf_v)((hwf_u)row[i] << layer->acc_shift) / count;
    }
    HWF_NAME(hwf_finish)(layer, row, pixel);
  }
}

void HWF_NAME(hwf_pool_max)(const hwf_layer *layer) { HWF_NAME(hwf_pool)(layer, HWF_POOL_MAX); }
void HWF_NAME(hwf_pool_sum)(const hwf_layer *layer) { HWF_NAME(hwf_pool)(layer, HWF_POOL_SUM); }
void HWF_NAME(hwf_pool_mean)(const hwf_layer *layer) { HWF_NAME(hwf_pool)(layer, HWF_POOL_MEAN); }
#endif
