/* SPDX-License-Identifier: Apache-2.0 */
/* Golden vectors of the networks that a check runs, and what a board gives it. */
#ifndef HWF_CHECK_H
#define HWF_CHECK_H

#include <stdint.h>

/* Frames of one network: bytes of all inputs, then bytes of all outputs, frame by frame. */
typedef struct {
  uint8_t *memory; /* of the network */
  uint32_t offset, bytes;
  const uint8_t *golden;
} hwf_port;

typedef struct {
  const char *name;
  void (*run)(void);
  uint32_t frames, n_inputs, n_outputs;
  const hwf_port *inputs, *outputs;
} hwf_check;

extern const hwf_check hwf_checks[];
extern const uint32_t hwf_n_checks;

void board_write(const char *text);
uint32_t board_instructions(void); /* since some moment; 0 where they cannot be counted */

#endif
