/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolution and dense layer: the window of an output pixel is gathered into a column, then every output channel
 * is a dot product of that column with a row of weights.
 *
 * Fast kernels (32-bit rows): activations of at most 16 bits become 16-bit halves; weights of at most 8 bits are
 * stored as unsigned fields of 8, 4, 2 or 1 bits, weight = zero + step * field, so that
 *   sum(w * x) = zero * sum(x) + step * sum(field * x).
 * A word of F fields holds, in field p and p + F/2, the weights of the elements 2p and 2p + 1: one shift and one
 * mask give a pair that multiplies a pair of the column. Two pixels and two channels at a time.
 *
 * One-bit weights on one-bit activations: sum(field * x) = (sum(field) + sum(x) - popcount(field ^ x)) / 2.
 *
 * Any other widths: hwf_conv2d_any_32 and _64.
 */
#ifndef HWF_BITS
#include "hwf.h"

/* A run of codes as 16-bit values. */
static void hwf_gather_run(const void *x, uint8_t storage, uint32_t n, int16_t *column) {
  uint32_t i = 0;
  if (storage == HWF_I8) {
    const int8_t *codes = x;
#if HWF_DSP
    for (; i + 4 <= n; i += 4) { /* bytes 0 2 and 1 3, then paired */
      const uint32_t word = hwf_word(codes + i);
      const uint32_t even = (uint32_t)__sxtb16(word), odd = (uint32_t)__sxtb16((word >> 8) | (word << 24));
      const uint32_t low = (even & 0xffffu) | (odd << 16), high = (even >> 16) | (odd & 0xffff0000u);
      memcpy(column + i, &low, sizeof low);
      memcpy(column + i + 2, &high, sizeof high);
    }
#endif
    for (; i < n; i++) column[i] = codes[i];
  } else if (storage == HWF_U8) {
    const uint8_t *codes = x;
    for (; i < n; i++) column[i] = codes[i];
  } else if (storage == HWF_I16 || storage == HWF_U16) {
    memcpy(column, x, n * sizeof *column);
  } else {
    int32_t part[16];
    for (; i < n; i += 16) {
      const uint32_t count = n - i < 16 ? n - i : 16;
      uint32_t j;
      hwf_load_32((const uint8_t *)x + i * hwf_bits(storage) / 8, storage, count, part);
      for (j = 0; j < count; j++) column[i + j] = (int16_t)part[j];
    }
  }
}

/* The window of an output pixel as 16-bit values; zeros where it leaves the frame, and up to a whole word. */
static void hwf_gather(const hwf_layer *layer, uint32_t pixel, int16_t *column, uint32_t padded) {
  const uint32_t in_c = layer->in_c, stride = hwf_stride(layer->x_storage, in_c);
  const int32_t top = (int32_t)(pixel / layer->out_w) * layer->stride_h - layer->pad_top;
  const int32_t left = (int32_t)(pixel % layer->out_w) * layer->stride_w - layer->pad_left;
  const int32_t first = left < 0 ? -left : 0;
  const int32_t right = layer->in_w - left;
  const int32_t last = right < layer->kernel_w ? right : layer->kernel_w;
  const uint32_t row = (uint32_t)layer->kernel_w * in_c;
  const int dense = stride * 8 == in_c * hwf_bits(layer->x_storage); /* pixels without gaps between them */
  int16_t *const end = column + padded;
  int32_t ky, kx;
  for (ky = 0; ky < layer->kernel_h; ky++, column += row) {
    const int32_t y = top + ky;
    if (y < 0 || y >= layer->in_h || first >= last) {
      memset(column, 0, row * sizeof *column);
      continue;
    }
    const uint8_t *x = (const uint8_t *)layer->x + (uint32_t)(y * layer->in_w + left + first) * stride;
    memset(column, 0, (uint32_t)first * in_c * sizeof *column);
    if (dense) {
      hwf_gather_run(x, layer->x_storage, (uint32_t)(last - first) * in_c, column + (uint32_t)first * in_c);
    } else {
      for (kx = first; kx < last; kx++, x += stride)
        hwf_gather_run(x, layer->x_storage, in_c, column + (uint32_t)kx * in_c);
    }
    memset(column + (uint32_t)last * in_c, 0, (uint32_t)(layer->kernel_w - last) * in_c * sizeof *column);
  }
  memset(column, 0, (uint32_t)(end - column) * sizeof *column);
}

static uint32_t hwf_sum(const int16_t *column, uint32_t padded) {
  uint32_t sum = 0, i;
  for (i = 0; i < padded; i += 2) sum = hwf_smlad(hwf_word(column + i), 0x00010001u, sum);
  return sum;
}

/* Sums of the outputs of one or two pixels into their rows. bits is a constant wherever this is inlined. */
static inline __attribute__((always_inline)) void hwf_dots(const hwf_layer *layer, uint32_t bits, uint32_t words,
                                                           const int16_t *a, const int16_t *b, int32_t *row_a,
                                                           int32_t *row_b) {
  const uint32_t mask = ((1u << bits) - 1) * 0x00010001u, pairs = 16 / bits;
  const uint32_t step = (uint32_t)(int32_t)layer->step, zero = (uint32_t)(int32_t)layer->zero;
  const uint32_t base_a = zero * hwf_sum(a, words * 2 * pairs);
  const uint32_t base_b = b ? zero * hwf_sum(b, words * 2 * pairs) : 0;
  const uint8_t *weights = layer->weights;
  const int32_t *bias = layer->bias;
  const uint32_t n = layer->out_c;
  uint32_t o = 0;
  for (; o + 2 <= n; o += 2) {
    const uint8_t *w0 = weights, *w1 = weights + words * 4;
    const int16_t *xa = a, *xb = b;
    uint32_t a0 = 0, a1 = 0, b0 = 0, b1 = 0, left = words, p;
    if (b) {
      do {
        const uint32_t f0 = hwf_word(w0), f1 = hwf_word(w1);
        w0 += 4, w1 += 4;
#pragma GCC unroll 8
        for (p = 0; p < pairs; p++) {
          const uint32_t va = hwf_word(xa), vb = hwf_word(xb);
          const uint32_t p0 = (f0 >> (bits * p)) & mask, p1 = (f1 >> (bits * p)) & mask;
          xa += 2, xb += 2;
          a0 = hwf_smlad(p0, va, a0), a1 = hwf_smlad(p1, va, a1);
          b0 = hwf_smlad(p0, vb, b0), b1 = hwf_smlad(p1, vb, b1);
        }
      } while (--left);
      row_b[o] = (int32_t)(((base_b + step * b0) << layer->acc_shift) + (uint32_t)bias[o]);
      row_b[o + 1] = (int32_t)(((base_b + step * b1) << layer->acc_shift) + (uint32_t)bias[o + 1]);
    } else {
      do {
        const uint32_t f0 = hwf_word(w0), f1 = hwf_word(w1);
        w0 += 4, w1 += 4;
#pragma GCC unroll 8
        for (p = 0; p < pairs; p++) {
          const uint32_t va = hwf_word(xa);
          xa += 2;
          a0 = hwf_smlad((f0 >> (bits * p)) & mask, va, a0);
          a1 = hwf_smlad((f1 >> (bits * p)) & mask, va, a1);
        }
      } while (--left);
    }
    row_a[o] = (int32_t)(((base_a + step * a0) << layer->acc_shift) + (uint32_t)bias[o]);
    row_a[o + 1] = (int32_t)(((base_a + step * a1) << layer->acc_shift) + (uint32_t)bias[o + 1]);
    weights = w1;
  }
  if (o < n) { /* the last of an odd number of channels */
    uint32_t a0 = 0, b0 = 0, j, p;
    for (j = 0; j < words; j++) {
      const uint32_t f0 = hwf_word(weights + 4 * j);
      for (p = 0; p < pairs; p++) {
        const uint32_t pair = (f0 >> (bits * p)) & mask, at = 2 * (j * pairs + p);
        a0 = hwf_smlad(pair, hwf_word(a + at), a0);
        if (b) b0 = hwf_smlad(pair, hwf_word(b + at), b0);
      }
    }
    row_a[o] = (int32_t)(((base_a + step * a0) << layer->acc_shift) + (uint32_t)bias[o]);
    if (b) row_b[o] = (int32_t)(((base_b + step * b0) << layer->acc_shift) + (uint32_t)bias[o]);
  }
}

static inline __attribute__((always_inline)) void hwf_conv2d(const hwf_layer *layer, uint32_t bits) {
  const uint32_t pixels = (uint32_t)layer->out_h * layer->out_w;
  const uint32_t length = (uint32_t)layer->kernel_h * layer->kernel_w * layer->in_c;
  const uint32_t words = (length * bits + 31) / 32, padded = words * (32 / bits);
  int16_t *const a = layer->scratch, *const b = a + padded;
  int32_t *const row_a = (int32_t *)(pixels > 1 ? b + padded : b), *const row_b = row_a + layer->out_c;
  uint32_t pixel = 0;
  for (; pixel + 2 <= pixels; pixel += 2) {
    hwf_gather(layer, pixel, a, padded);
    hwf_gather(layer, pixel + 1, b, padded);
    hwf_dots(layer, bits, words, a, b, row_a, row_b);
    hwf_finish_32(layer, row_a, pixel);
    hwf_finish_32(layer, row_b, pixel + 1);
  }
  if (pixel < pixels) {
    hwf_gather(layer, pixel, a, padded);
    hwf_dots(layer, bits, words, a, 0, row_a, 0);
    hwf_finish_32(layer, row_a, pixel);
  }
}

void hwf_conv2d_w8(const hwf_layer *layer) { hwf_conv2d(layer, 8); }
void hwf_conv2d_w4(const hwf_layer *layer) { hwf_conv2d(layer, 4); }
void hwf_conv2d_w2(const hwf_layer *layer) { hwf_conv2d(layer, 2); }
void hwf_conv2d_w1(const hwf_layer *layer) { hwf_conv2d(layer, 1); }

/* Ones in the bytes of a word. */
static inline uint32_t hwf_byte_ones(uint32_t v) {
  v -= (v >> 1) & 0x55555555u;
  v = (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
  return (v + (v >> 4)) & 0x0f0f0f0fu;
}

static inline uint32_t hwf_add_bytes(uint32_t v, uint32_t sum) {
#if HWF_DSP
  return __usada8(v, 0, sum);
#else
  return sum + ((v * 0x01010101u) >> 24);
#endif
}

/* One-bit weights, one-bit activations in whole bytes a pixel. */
void hwf_conv2d_xnor(const hwf_layer *layer) {
  const uint32_t pixels = (uint32_t)layer->out_h * layer->out_w, bytes = layer->in_c / 8u;
  const uint32_t words = ((uint32_t)layer->kernel_h * layer->kernel_w * bytes + 3) / 4;
  const uint32_t step = (uint32_t)(int32_t)layer->step, zero = (uint32_t)(int32_t)layer->zero;
  uint8_t *const column = layer->scratch;
  int32_t *const row = (int32_t *)(column + 4 * words);
  const int32_t *bias = layer->bias;
  uint32_t pixel, j, o;
  for (pixel = 0; pixel < pixels; pixel++) {
    const int32_t top = (int32_t)(pixel / layer->out_w) * layer->stride_h - layer->pad_top;
    const int32_t left = (int32_t)(pixel % layer->out_w) * layer->stride_w - layer->pad_left;
    const uint8_t *weights = layer->weights;
    uint8_t *to = column;
    uint32_t ones = 0;
    int32_t ky, kx;
    for (ky = 0; ky < layer->kernel_h; ky++) {
      for (kx = 0; kx < layer->kernel_w; kx++, to += bytes) {
        const int32_t y = top + ky, x = left + kx;
        if (y < 0 || y >= layer->in_h || x < 0 || x >= layer->in_w) {
          memset(to, 0, bytes);
        } else {
          memcpy(to, (const uint8_t *)layer->x + (uint32_t)(y * layer->in_w + x) * bytes, bytes);
        }
      }
    }
    memset(to, 0, (uint32_t)(column + 4 * words - to));
    for (j = 0; j < words; j++) ones = hwf_add_bytes(hwf_byte_ones(hwf_word(column + 4 * j)), ones);
    for (o = 0; o < layer->out_c; o++) {
      /* Each channel: the number of its ones, then its bits. */
      const uint32_t fields = hwf_word(weights);
      uint32_t differing = 0;
      weights += 4;
      for (j = 0; j < words; j++, weights += 4)
        differing = hwf_add_bytes(hwf_byte_ones(hwf_word(weights) ^ hwf_word(column + 4 * j)), differing);
      row[o] = (int32_t)(((zero * ones + step * ((fields + ones - differing) / 2)) << layer->acc_shift) +
                         (uint32_t)bias[o]);
    }
    hwf_finish_32(layer, row, pixel);
  }
}

#define HWF_BITS 32
#include "hwf_conv2d.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_conv2d.c"
#else
#include "hwf_value.h"

/* Any widths: a column of values, weights unpacked in portions. */
void HWF_NAME(hwf_conv2d_any)(const hwf_layer *layer) {
  enum { PORTION = 32 };
  const uint32_t pixels = (uint32_t)layer->out_h * layer->out_w, in_c = layer->in_c;
  const uint32_t length = (uint32_t)layer->kernel_h * layer->kernel_w * in_c;
  const uint32_t stride = hwf_stride(layer->x_storage, in_c);
  const uint32_t weight_stride = hwf_stride(layer->w_storage, length);
  hwf_v *const column = layer->scratch, *const row = column + length, portion[PORTION];
  const hwf_v *bias = layer->bias;
  uint32_t pixel, o, i, j;
  for (pixel = 0; pixel < pixels; pixel++) {
    const int32_t top = (int32_t)(pixel / layer->out_w) * layer->stride_h - layer->pad_top;
    const int32_t left = (int32_t)(pixel % layer->out_w) * layer->stride_w - layer->pad_left;
    hwf_v *to = column;
    int32_t ky, kx;
    for (ky = 0; ky < layer->kernel_h; ky++) {
      for (kx = 0; kx < layer->kernel_w; kx++, to += in_c) {
        const int32_t y = top + ky, x = left + kx;
        if (y < 0 || y >= layer->in_h || x < 0 || x >= layer->in_w) {
          memset(to, 0, in_c * sizeof *to);
        } else {
          const uint8_t *codes = (const uint8_t *)layer->x + (uint32_t)(y * layer->in_w + x) * stride;
          HWF_NAME(hwf_load)(codes, layer->x_storage, in_c, to);
        }
      }
    }
    for (o = 0; o < layer->out_c; o++) {
      const uint8_t *weights = (const uint8_t *)layer->weights + o * weight_stride;
      hwf_u acc = 0;
      for (i = 0; i < length; i += PORTION) {
        const uint32_t count = length - i < PORTION ? length - i : PORTION;
        HWF_NAME(hwf_load)(weights + i * hwf_bits(layer->w_storage) / 8, layer->w_storage, count, portion);
        for (j = 0; j < count; j++) acc += (hwf_u)portion[j] * (hwf_u)column[i + j];
      }
      row[o] = (hwf_v)((acc << layer->acc_shift) + (hwf_u)bias[o]);
    }
    HWF_NAME(hwf_finish)(layer, row, pixel);
  }
}
#endif
