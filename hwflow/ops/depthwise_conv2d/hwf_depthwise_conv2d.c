/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Depthwise convolution. Fast kernels (32-bit rows, 8-bit activations): four channels at a time over all positions of
 * the window; their weights, fields of 8, 4, 2 or 1 bits in natural order, lie together. 3x3 windows inside the frame
 * are unrolled. Any other widths: hwf_depthwise_any_32 and _64, position by position over the row.
 */
#ifndef HWF_BITS
#include "hwf.h"

/* The four weights of group g as 16-bit halves: channels 0 and 2, 1 and 3. */
static inline __attribute__((always_inline)) void hwf_four(const uint8_t *weights, uint32_t bits, uint32_t g,
                                                           uint32_t *even, uint32_t *odd) {
#if HWF_DSP
  if (bits == 8) {
    const uint32_t word = hwf_word(weights + 4 * g);
    *even = (uint32_t)__sxtb16(word), *odd = (uint32_t)__sxtb16((word >> 8) | (word << 24));
    return;
  }
#else
  if (bits == 8) {
    const int8_t *w = (const int8_t *)weights + 4 * g;
    *even = ((uint32_t)w[0] & 0xffffu) | (uint32_t)w[2] << 16;
    *odd = ((uint32_t)w[1] & 0xffffu) | (uint32_t)w[3] << 16;
    return;
  }
#endif
  uint32_t word;
  if (bits == 4) {
    word = weights[2 * g] | (uint32_t)weights[2 * g + 1] << 16;
  } else if (bits == 2) {
    word = weights[g] | (uint32_t)weights[g] << 12;
  } else {
    word = (uint32_t)weights[g / 2] >> (g % 2 * 4);
    word |= word << 14;
  }
  const uint32_t mask = ((1u << bits) - 1) * 0x00010001u;
  *even = word & mask, *odd = (word >> bits) & mask;
}

static inline uint32_t hwf_low(uint32_t a, uint32_t b, uint32_t acc) {
  return acc + (uint32_t)((int32_t)(int16_t)a * (int16_t)b);
}

static inline uint32_t hwf_high(uint32_t a, uint32_t b, uint32_t acc) {
  return acc + (uint32_t)(((int32_t)a >> 16) * ((int32_t)b >> 16));
}

/* Four 8-bit codes as 16-bit halves, channels 0 and 2, 1 and 3; count of them where fewer are left. */
static inline __attribute__((always_inline)) void hwf_codes(const uint8_t *x, uint32_t is_signed, uint32_t count,
                                                            uint32_t *even, uint32_t *odd) {
  uint32_t word = 0;
  if (count >= 4) {
    word = hwf_word(x);
  } else {
    memcpy(&word, x, count);
  }
  if (is_signed) {
#if HWF_DSP
    *even = (uint32_t)__sxtb16(word), *odd = (uint32_t)__sxtb16((word >> 8) | (word << 24));
#else
    *even = (uint32_t)(int32_t)(int8_t)word & 0xffffu;
    *even |= (uint32_t)(int32_t)(int8_t)(word >> 16) << 16;
    *odd = (uint32_t)(int32_t)(int8_t)(word >> 8) & 0xffffu;
    *odd |= (uint32_t)(int32_t)(int8_t)(word >> 24) << 16;
#endif
  } else {
    *even = word & 0x00ff00ffu, *odd = (word >> 8) & 0x00ff00ffu;
  }
}

static inline __attribute__((always_inline)) void hwf_depthwise(const hwf_layer *layer, uint32_t bits) {
  const uint32_t channels = layer->in_c, groups = (channels + 3) / 4, tap_bytes = (groups * bits + 1) / 2;
  const uint32_t is_signed = layer->x_storage == HWF_I8;
  const uint32_t step = (uint32_t)(int32_t)layer->step, zero = (uint32_t)(int32_t)layer->zero;
  const uint32_t line = layer->in_w * channels;
  int32_t *const row = layer->scratch;
  const int32_t *bias = layer->bias;
  uint32_t pixel, pixels = (uint32_t)layer->out_h * layer->out_w, g, i;
  for (pixel = 0; pixel < pixels; pixel++) {
    const int32_t top = (int32_t)(pixel / layer->out_w) * layer->stride_h - layer->pad_top;
    const int32_t left = (int32_t)(pixel % layer->out_w) * layer->stride_w - layer->pad_left;
    const int32_t y0 = top < 0 ? -top : 0, x0 = left < 0 ? -left : 0;
    const int32_t below = layer->in_h - top, beside = layer->in_w - left;
    const int32_t y1 = below < layer->kernel_h ? below : layer->kernel_h;
    const int32_t x1 = beside < layer->kernel_w ? beside : layer->kernel_w;
    const int whole = x1 - x0 == 3 && y1 - y0 == 3 && layer->kernel_w == 3 && layer->kernel_h == 3;
    const uint8_t *corner = (const uint8_t *)layer->x + ((top + y0) * layer->in_w + left + x0) * (int32_t)channels;
    const uint8_t *taps = (const uint8_t *)layer->weights + (uint32_t)(y0 * layer->kernel_w + x0) * tap_bytes;
    for (g = 0; g < groups; g++, corner += 4) {
      const uint32_t count = channels - 4 * g;
      uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, sums_even = 0, sums_odd = 0;
      uint32_t xe, xo, we, wo;
/* Fields below 8 bits are relative to zero: the sums of the codes go along, in halves (at most 16 bits; see the
 * generator, which gives other windows to the kernel for any widths). */
#define HWF_TAP(codes, weights)                                                                \
  hwf_codes(codes, is_signed, count, &xe, &xo), hwf_four(weights, bits, g, &we, &wo);          \
  s0 = hwf_low(xe, we, s0), s1 = hwf_low(xo, wo, s1), s2 = hwf_high(xe, we, s2), s3 = hwf_high(xo, wo, s3); \
  if (bits < 8) sums_even = hwf_halves(sums_even, xe), sums_odd = hwf_halves(sums_odd, xo)
#if HWF_DSP
#define hwf_halves(a, b) ((uint32_t)__sadd16((int16x2_t)(a), (int16x2_t)(b)))
#else
#define hwf_halves(a, b) ((((a) + (b)) & 0xffffu) | (((a) & 0xffff0000u) + ((b) & 0xffff0000u)))
#endif
      if (whole && count >= 4) {
        const uint8_t *x = corner, *w = taps;
        uint32_t k;
        for (k = 0; k < 3; k++, x += line, w += 3 * tap_bytes) {
          HWF_TAP(x, w);
          HWF_TAP(x + channels, w + tap_bytes);
          HWF_TAP(x + 2 * channels, w + 2 * tap_bytes);
        }
      } else {
        int32_t ky, kx;
        for (ky = y0; ky < y1; ky++) {
          const uint8_t *x = corner + (uint32_t)(ky - y0) * line;
          const uint8_t *w = taps + (uint32_t)((ky - y0) * layer->kernel_w) * tap_bytes;
          for (kx = x0; kx < x1; kx++, x += channels, w += tap_bytes) {
            HWF_TAP(x, w);
          }
        }
      }
#undef hwf_halves
#undef HWF_TAP
      const uint32_t acc[4] = {s0, s1, s2, s3};
      const int32_t codes[4] = {(int16_t)sums_even, (int16_t)sums_odd, (int32_t)sums_even >> 16,
                                (int32_t)sums_odd >> 16};
      for (i = 0; i < 4 && i < count; i++) {
        const uint32_t sum = bits < 8 ? step * acc[i] + zero * (uint32_t)codes[i] : acc[i];
        row[4 * g + i] = (int32_t)((sum << layer->acc_shift) + (uint32_t)bias[4 * g + i]);
      }
    }
    hwf_finish_32(layer, row, pixel);
  }
}

void hwf_depthwise_w8(const hwf_layer *layer) { hwf_depthwise(layer, 8); }
void hwf_depthwise_w4(const hwf_layer *layer) { hwf_depthwise(layer, 4); }
void hwf_depthwise_w2(const hwf_layer *layer) { hwf_depthwise(layer, 2); }
void hwf_depthwise_w1(const hwf_layer *layer) { hwf_depthwise(layer, 1); }

#define HWF_BITS 32
#include "hwf_depthwise_conv2d.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_depthwise_conv2d.c"
#else
#include "hwf_value.h"

void HWF_NAME(hwf_depthwise_any)(const hwf_layer *layer) {
  const uint32_t pixels = (uint32_t)layer->out_h * layer->out_w, n = layer->in_c;
  const uint32_t stride = hwf_stride(layer->x_storage, n), tap_bytes = hwf_stride(layer->w_storage, n);
  hwf_v *const row = layer->scratch, *const codes = row + n, *const weights = codes + n;
  const hwf_v *bias = layer->bias;
  uint32_t pixel, i;
  for (pixel = 0; pixel < pixels; pixel++) {
    const int32_t top = (int32_t)(pixel / layer->out_w) * layer->stride_h - layer->pad_top;
    const int32_t left = (int32_t)(pixel % layer->out_w) * layer->stride_w - layer->pad_left;
    int32_t ky, kx;
    memset(row, 0, n * sizeof *row);
    for (ky = 0; ky < layer->kernel_h; ky++) {
      for (kx = 0; kx < layer->kernel_w; kx++) {
        const int32_t y = top + ky, x = left + kx;
        if (y < 0 || y >= layer->in_h || x < 0 || x >= layer->in_w) continue;
        HWF_NAME(hwf_load)((const uint8_t *)layer->x + (uint32_t)(y * layer->in_w + x) * stride, layer->x_storage,
                           n, codes);
        HWF_NAME(hwf_load)((const uint8_t *)layer->weights + (uint32_t)(ky * layer->kernel_w + kx) * tap_bytes,
                           layer->w_storage, n, weights);
        for (i = 0; i < n; i++) row[i] = (hwf_v)((hwf_u)row[i] + (hwf_u)codes[i] * (hwf_u)weights[i]);
      }
    }
    for (i = 0; i < n; i++) row[i] = (hwf_v)(((hwf_u)row[i] << layer->acc_shift) + (hwf_u)bias[i]);
    HWF_NAME(hwf_finish)(layer, row, pixel);
  }
}
#endif
