/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Integer networks in C99: what all kernels share.
 *
 * A layer computes its output pixel by pixel. Its kernel makes a row of exact values, one a channel; the stages
 * that follow (casts, rectifiers, residual sums) work on the row in place; then the row is stored as codes.
 * Layers and stages are constant data, so that they lie in flash and the linker drops the kernels nobody names.
 *
 * No allocation, no floating point, no library but memcpy. Values are 32 bits wide where the generator has proven
 * that they fit, and 64 bits elsewhere: functions end in _32 or _64. Sums are made in unsigned arithmetic, where
 * an intermediate result may wrap but the proven final one is right.
 */
#ifndef HWF_H
#define HWF_H

#include <stdint.h>
#include <string.h>

#if defined(__ARM_FEATURE_DSP) && !defined(HWF_PLAIN_C)
#include <arm_acle.h>
#define HWF_DSP 1
#else
#define HWF_DSP 0
#endif

/* How the codes of a tensor are stored: 2 * log2(bits) + (unsigned). Codes below 8 bits are packed, low bits first,
 * and each pixel begins with a new byte. */
enum {
  HWF_I1, HWF_U1, HWF_I2, HWF_U2, HWF_I4, HWF_U4, HWF_I8, HWF_U8, HWF_I16, HWF_U16, HWF_I32, HWF_U32, HWF_I64
};

/* Rounding and overflow of a cast; the modes of ap_fixed. */
enum { HWF_TRN, HWF_TRN_ZERO, HWF_RND, HWF_RND_ZERO, HWF_RND_INF, HWF_RND_MIN_INF, HWF_RND_CONV };
enum { HWF_WRAP, HWF_SAT, HWF_SAT_ZERO, HWF_SAT_SYM };

typedef struct hwf_stage hwf_stage;
typedef struct hwf_layer hwf_layer;

/* One step of a row on its way to codes. */
struct hwf_stage {
  void (*apply)(const hwf_stage *stage, void *row, uint32_t n, uint32_t pixel);
  const void *data; /* slopes, or the other tensor of a sum */
  int8_t shift;     /* bits a cast drops; bits other stages append to the row */
  int8_t up;        /* bits appended to the data */
  uint8_t rounding, overflow, width, is_signed;
  uint8_t storage;  /* of the data */
  uint8_t by_pixel; /* whether the data hold a row a pixel, or one for all */
  uint16_t begin;   /* channel from which on the data lie in the row, where they do not fill it */
};

/* One layer. Tensors are channels last. */
struct hwf_layer {
  void (*run)(const hwf_layer *layer);
  const void *x;
  void *y;
  void *scratch;
  const void *weights;
  const void *bias; /* on the grid of the sum, as wide as the row's values */
  const hwf_stage *stages;
  uint16_t in_h, in_w, in_c, out_h, out_w, out_c;
  uint16_t kernel_h, kernel_w, stride_h, stride_w;
  int16_t pad_top, pad_left;
  int16_t zero, step; /* a weight is zero + step * field */
  uint8_t n_stages, x_storage, y_storage, w_storage, acc_shift;
};

/* Bits of a stored code. */
static inline uint32_t hwf_bits(uint8_t storage) { return 1u << (storage / 2); }

/* Bytes from one pixel to the next. */
static inline uint32_t hwf_stride(uint8_t storage, uint32_t channels) {
  return (channels * hwf_bits(storage) + 7) / 8;
}

static inline uint32_t hwf_word(const void *p) {
  uint32_t word;
  memcpy(&word, p, sizeof word);
  return word;
}

/* acc + the products of the signed halves of a and b. */
static inline uint32_t hwf_smlad(uint32_t a, uint32_t b, uint32_t acc) {
#if HWF_DSP
  return (uint32_t)__smlad((int16x2_t)a, (int16x2_t)b, (int32_t)acc);
#else
  return acc + (uint32_t)((int32_t)(int16_t)a * (int16_t)b) +
         (uint32_t)((int32_t)(int16_t)(a >> 16) * (int16_t)(b >> 16));
#endif
}

/* Functions that exist for both widths of a row are written once, between these two headers (see hwf_value.h). */
#define HWF_JOIN_(name, bits) name##_##bits
#define HWF_JOIN(name, bits) HWF_JOIN_(name, bits)

#define HWF_DECLARE(value, bits)                                                                          \
  void HWF_JOIN(hwf_load, bits)(const void *x, uint8_t storage, uint32_t n, value *row);                  \
  void HWF_JOIN(hwf_store, bits)(void *y, uint8_t storage, uint32_t n, const value *row);                 \
  void HWF_JOIN(hwf_cast, bits)(const hwf_stage *stage, void *row, uint32_t n, uint32_t pixel);           \
  void HWF_JOIN(hwf_finish, bits)(const hwf_layer *layer, value *row, uint32_t pixel);                    \
  void HWF_JOIN(hwf_elementwise, bits)(const hwf_layer *layer);
HWF_DECLARE(int32_t, 32)
HWF_DECLARE(int64_t, 64)

#endif
