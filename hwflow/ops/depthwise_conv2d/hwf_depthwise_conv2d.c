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

/* acc + the product of the signed low halves, of the high halves. */
static inline uint32_t hwf_low(uint32_t a, uint32_t b, uint32_t acc) {
#if HWF_DSP
  return (uint32_t)__smlabb((int32_t)a, (int32_t)b, (int32_t)acc);
#else
  return acc + (uint32_t)((int32_t)(int16_t)a * (int16_t)b);
#endif
}

static inline uint32_t hwf_high(uint32_t a, uint32_t b, uint32_t acc) {
#if HWF_DSP
  return (uint32_t)__smlatt((int32_t)a, (int32_t)b, (int32_t)acc);
#else
  return acc + (uint32_t)(((int32_t)a >> 16) * ((int32_t)b >> 16));
#endif
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

/* Positions of a window that lie in the frame, and where they begin. */
typedef struct {
  const uint8_t *codes, *weights;
  uint32_t height, width;         /* positions */
  uint32_t line, pixel;           /* bytes from row to row and from pixel to pixel of the input */
  uint32_t tap_line, tap;         /* the same of the weights */
} hwf_taps;

static inline uint32_t hwf_halves(uint32_t a, uint32_t b) {
#if HWF_DSP
  return (uint32_t)__sadd16((int16x2_t)a, (int16x2_t)b);
#else
  return ((a + b) & 0xffffu) | ((a & 0xffff0000u) + (b & 0xffff0000u));
#endif
}

/* One position: products onto s0 to s3. Fields below 8 bits are relative to zero, so that the sums of the codes go
 * along, in halves: the generator gives windows whose sums need more to the kernel for any widths. */
#define HWF_TAP(x, w)                                                                                       \
  hwf_codes(x, is_signed, count, &xe, &xo), hwf_four(w, bits, g, &we, &wo);                                 \
  s0 = hwf_low(xe, we, s0), s1 = hwf_low(xo, wo, s1), s2 = hwf_high(xe, we, s2), s3 = hwf_high(xo, wo, s3); \
  if (bits < 8) sums_even = hwf_halves(sums_even, xe), sums_odd = hwf_halves(sums_odd, xo)

/* Group g of at most four channels into its row; bits, is_signed, whole and a full count are constants here. */
static inline __attribute__((always_inline)) void hwf_group(const hwf_layer *layer, const hwf_taps *taps, uint32_t g,
                                                            uint32_t count, uint32_t bits, uint32_t is_signed,
                                                            uint32_t whole, int32_t *row) {
  const uint32_t step = (uint32_t)(int32_t)layer->step, zero = (uint32_t)(int32_t)layer->zero;
  const int32_t *bias = (const int32_t *)layer->bias + 4 * g;
  const uint8_t *codes = taps->codes + 4 * g, *weights = taps->weights;
  const uint32_t pixel = taps->pixel, tap = taps->tap;
  uint32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0, sums_even = 0, sums_odd = 0, i, k, j;
  uint32_t xe, xo, we, wo;
  if (whole) {
#pragma GCC unroll 1
    for (k = 0; k < 3; k++, codes += taps->line, weights += taps->tap_line) {
      HWF_TAP(codes, weights);
      HWF_TAP(codes + pixel, weights + tap);
      HWF_TAP(codes + 2 * pixel, weights + 2 * tap);
    }
  } else {
    for (k = 0; k < taps->height; k++, codes += taps->line, weights += taps->tap_line) {
      const uint8_t *x = codes, *w = weights;
      for (j = taps->width; j; j--, x += pixel, w += tap) {
        HWF_TAP(x, w);
      }
    }
  }
  {
    const uint32_t acc[4] = {s0, s1, s2, s3};
    const int32_t sums[4] = {(int16_t)sums_even, (int16_t)sums_odd, (int32_t)sums_even >> 16, (int32_t)sums_odd >> 16};
    for (i = 0; i < 4 && i < count; i++) {
      const uint32_t sum = bits < 8 ? step * acc[i] + zero * (uint32_t)sums[i] : acc[i];
      row[4 * g + i] = (int32_t)((sum << layer->acc_shift) + (uint32_t)bias[i]);
    }
  }
}
#undef HWF_TAP

static inline __attribute__((always_inline)) void hwf_depthwise_as(const hwf_layer *layer, uint32_t bits,
                                                                   uint32_t is_signed) {
  const uint32_t channels = layer->in_c, groups = channels / 4, rest = channels % 4;
  const uint32_t tap = ((channels + 3) / 4 * bits + 1) / 2;
  int32_t *const row = layer->scratch;
  int32_t top = -(int32_t)layer->pad_top;
  uint32_t out_y, out_x, pixel = 0, g;
  for (out_y = 0; out_y < layer->out_h; out_y++, top += layer->stride_h) {
    const int32_t y0 = top < 0 ? -top : 0, below = layer->in_h - top;
    const int32_t y1 = below < layer->kernel_h ? below : layer->kernel_h;
    int32_t left = -(int32_t)layer->pad_left;
    for (out_x = 0; out_x < layer->out_w; out_x++, pixel++, left += layer->stride_w) {
      const int32_t x0 = left < 0 ? -left : 0, beside = layer->in_w - left;
      const int32_t x1 = beside < layer->kernel_w ? beside : layer->kernel_w;
      const hwf_taps taps = {
          (const uint8_t *)layer->x + ((top + y0) * layer->in_w + left + x0) * (int32_t)channels,
          (const uint8_t *)layer->weights + (uint32_t)(y0 * layer->kernel_w + x0) * tap,
          y1 > y0 ? (uint32_t)(y1 - y0) : 0,
          x1 > x0 ? (uint32_t)(x1 - x0) : 0,
          layer->in_w * channels,
          channels,
          layer->kernel_w * tap,
          tap,
      };
      if (taps.height == 3 && taps.width == 3) {
        for (g = 0; g < groups; g++) hwf_group(layer, &taps, g, 4, bits, is_signed, 1, row);
      } else {
        for (g = 0; g < groups; g++) hwf_group(layer, &taps, g, 4, bits, is_signed, 0, row);
      }
      if (rest) hwf_group(layer, &taps, groups, rest, bits, is_signed, 0, row);
      hwf_finish_32(layer, row, pixel);
    }
  }
}

static inline __attribute__((always_inline)) void hwf_depthwise(const hwf_layer *layer, uint32_t bits) {
  if (layer->x_storage == HWF_I8) {
    hwf_depthwise_as(layer, bits, 1);
  } else {
    hwf_depthwise_as(layer, bits, 0);
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
