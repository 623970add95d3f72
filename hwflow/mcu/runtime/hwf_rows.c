/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of values: from codes, through casts, to codes. */
#ifndef HWF_BITS
#define HWF_BITS 32
#include "hwf_rows.c"
#undef HWF_BITS
#define HWF_BITS 64
#include "hwf_rows.c"
#else
#include "hwf_value.h"

/* Codes of one pixel. */
void HWF_NAME(hwf_load)(const void *x, uint8_t storage, uint32_t n, hwf_v *row) {
  const uint8_t *bytes = x;
  const uint32_t bits = hwf_bits(storage);
  uint32_t i;
  switch (storage) {
    case HWF_I8:
      for (i = 0; i < n; i++) row[i] = ((const int8_t *)x)[i];
      break;
    case HWF_U8:
      for (i = 0; i < n; i++) row[i] = bytes[i];
      break;
    case HWF_I16:
      for (i = 0; i < n; i++) row[i] = ((const int16_t *)x)[i];
      break;
    case HWF_U16:
      for (i = 0; i < n; i++) row[i] = ((const uint16_t *)x)[i];
      break;
    case HWF_I32:
      for (i = 0; i < n; i++) row[i] = ((const int32_t *)x)[i];
      break;
    case HWF_I64:
      for (i = 0; i < n; i++) row[i] = (hwf_v)((const int64_t *)x)[i];
      break;
    default: { /* fields: to the top of a byte, and down again with or without the sign */
      const uint32_t drop = 8 - bits;
      const uint32_t is_signed = storage % 2 == 0;
      for (i = 0; i < n; i++) {
        const uint8_t top = (uint8_t)((bytes[i * bits / 8] >> (i * bits % 8)) << drop);
        row[i] = is_signed ? (int8_t)top >> drop : top >> drop;
      }
    }
  }
}

void HWF_NAME(hwf_store)(void *y, uint8_t storage, uint32_t n, const hwf_v *row) {
  uint8_t *bytes = y;
  const uint32_t bits = hwf_bits(storage);
  uint32_t i;
  switch (storage) {
    case HWF_I8:
    case HWF_U8:
      for (i = 0; i < n; i++) bytes[i] = (uint8_t)row[i];
      break;
    case HWF_I16:
    case HWF_U16:
      for (i = 0; i < n; i++) ((uint16_t *)y)[i] = (uint16_t)row[i];
      break;
    case HWF_I32:
      for (i = 0; i < n; i++) ((int32_t *)y)[i] = (int32_t)row[i];
      break;
    case HWF_I64:
      for (i = 0; i < n; i++) ((int64_t *)y)[i] = row[i];
      break;
    default: {
      const uint32_t mask = (1u << bits) - 1;
      uint32_t byte = 0, filled = 0;
      for (i = 0; i < n; i++) {
        byte |= ((uint32_t)row[i] & mask) << filled;
        filled += bits;
        if (filled == 8) {
          *bytes++ = (uint8_t)byte;
          byte = filled = 0;
        }
      }
      if (filled) *bytes = (uint8_t)byte;
    }
  }
}

/* Drop the low bits of every value: (v + offset + correction) >> shift. */
static void HWF_NAME(hwf_round)(hwf_v *row, uint32_t n, uint32_t shift, uint8_t rounding) {
  const hwf_v half = (hwf_v)1 << (shift - 1);
  uint32_t i;
  switch (rounding) {
    case HWF_TRN:
      for (i = 0; i < n; i++) row[i] >>= shift;
      break;
    case HWF_TRN_ZERO:
      for (i = 0; i < n; i++) row[i] = (row[i] + (row[i] < 0 ? 2 * half - 1 : 0)) >> shift;
      break;
    case HWF_RND:
      for (i = 0; i < n; i++) row[i] = (row[i] + half) >> shift;
      break;
    case HWF_RND_MIN_INF:
      for (i = 0; i < n; i++) row[i] = (row[i] + half - 1) >> shift;
      break;
    case HWF_RND_ZERO:
      for (i = 0; i < n; i++) row[i] = (row[i] + half - 1 + (row[i] < 0)) >> shift;
      break;
    case HWF_RND_INF:
      for (i = 0; i < n; i++) row[i] = (row[i] + half - 1 + (row[i] >= 0)) >> shift;
      break;
    default:
      for (i = 0; i < n; i++) row[i] = (row[i] + half - 1 + ((row[i] >> shift) & 1)) >> shift;
  }
}

/* Stage: to another grid, first rounding, then overflow. */
void HWF_NAME(hwf_cast)(const hwf_stage *stage, void *values, uint32_t n, uint32_t pixel) {
  hwf_v *row = values;
  const uint32_t width = stage->width;
  const hwf_v high = (hwf_v)(((hwf_u)1 << (width - stage->is_signed)) - 1);
  const hwf_v low = !stage->is_signed ? 0 : stage->overflow == HWF_SAT_SYM ? -high : -high - 1;
  uint32_t i;
  (void)pixel;
  if (stage->rounding == HWF_RND_CONV && stage->shift > 0 && stage->overflow == HWF_SAT) {
    /* A quantized activation, the most frequent cast, in one pass. */
    const uint32_t shift = (uint32_t)stage->shift;
    const hwf_v offset = ((hwf_v)1 << (shift - 1)) - 1;
    for (i = 0; i < n; i++) {
      const hwf_v v = (row[i] + offset + ((row[i] >> shift) & 1)) >> shift;
      row[i] = v < low ? low : v > high ? high : v;
    }
    return;
  }
  if (stage->shift > 0) {
    HWF_NAME(hwf_round)(row, n, (uint32_t)stage->shift, stage->rounding);
  } else if (stage->shift < 0) {
    for (i = 0; i < n; i++) row[i] = (hwf_v)((hwf_u)row[i] << -stage->shift);
  }
  if (stage->overflow == HWF_WRAP) {
    const uint32_t drop = HWF_BITS - width;
    if (stage->is_signed) {
      for (i = 0; i < n; i++) row[i] = (hwf_v)((hwf_u)row[i] << drop) >> drop;
    } else {
      for (i = 0; i < n; i++) row[i] = (hwf_v)((hwf_u)row[i] << drop >> drop);
    }
  } else if (stage->overflow == HWF_SAT_ZERO) {
    for (i = 0; i < n; i++) row[i] = row[i] < low || row[i] > high ? 0 : row[i];
  } else {
    for (i = 0; i < n; i++) row[i] = row[i] < low ? low : row[i] > high ? high : row[i];
  }
}

/* All stages of a layer on the row of a pixel, and its codes to memory. */
void HWF_NAME(hwf_finish)(const hwf_layer *layer, hwf_v *row, uint32_t pixel) {
  const uint32_t n = layer->out_c;
  uint32_t i;
  for (i = 0; i < layer->n_stages; i++) {
    const hwf_stage *stage = layer->stages + i;
    stage->apply(stage, row, n, pixel);
  }
  HWF_NAME(hwf_store)((uint8_t *)layer->y + pixel * hwf_stride(layer->y_storage, n), layer->y_storage, n, row);
}

/* A layer of stages only; one of them may append channels. */
void HWF_NAME(hwf_elementwise)(const hwf_layer *layer) {
  const uint32_t pixels = (uint32_t)layer->out_h * layer->out_w, n = layer->in_c;
  const uint32_t stride = hwf_stride(layer->x_storage, n);
  hwf_v *row = layer->scratch;
  uint32_t pixel;
  for (pixel = 0; pixel < pixels; pixel++) {
    HWF_NAME(hwf_load)((const uint8_t *)layer->x + pixel * stride, layer->x_storage, n, row);
    HWF_NAME(hwf_finish)(layer, row, pixel);
  }
}
#endif
