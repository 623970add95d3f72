/* SPDX-License-Identifier: Apache-2.0 */
/* Runs networks on golden vectors and compares every byte. Returns 0 when all are equal. */
#include "check.h"

#include <string.h>

static void write_number(uint32_t value) {
  char digits[11];
  char *at = digits + sizeof digits - 1;
  *at = 0;
  do *--at = (char)('0' + value % 10);
  while (value /= 10);
  board_write(at);
}

static void write_line(const char *name, const char *what, uint32_t value) {
  board_write(name);
  board_write(what);
  write_number(value);
  board_write("\n");
}

/* Frames whose outputs differ. */
static uint32_t run_check(const hwf_check *check) {
  uint32_t frame, i, wrong = 0;
  for (frame = 0; frame < check->frames; frame++) {
    uint32_t begin, differs = 0;
    for (i = 0; i < check->n_inputs; i++) {
      const hwf_port *port = check->inputs + i;
      memcpy(port->memory + port->offset, port->golden + frame * port->bytes, port->bytes);
    }
    begin = board_instructions();
    check->run();
    if (frame == 0) write_line(check->name, " instructions ", board_instructions() - begin);
    for (i = 0; i < check->n_outputs; i++) {
      const hwf_port *port = check->outputs + i;
      differs |= memcmp(port->memory + port->offset, port->golden + frame * port->bytes, port->bytes) != 0;
    }
    wrong += differs;
  }
  return wrong;
}

int main(void) {
  uint32_t i, wrong = 0;
  for (i = 0; i < hwf_n_checks; i++) {
    const hwf_check *check = hwf_checks + i;
    const uint32_t differing = run_check(check);
    write_line(check->name, " frames ", check->frames);
    write_line(check->name, " differing ", differing);
    wrong |= differing;
  }
  board_write("done\n");
  return wrong != 0;
}
