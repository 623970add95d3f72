/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arm MPS2 with image AN500 (Cortex-M7) as QEMU models it: start-up, semihosting, instruction counter.
 *
 * Under `-icount shift=0` an instruction takes one nanosecond of virtual time; timer 0 runs at 25 MHz, so one tick
 * is 40 instructions.
 */
#include "check.h"

#define NS_PER_TICK 40u
#define TIMER_CTRL (*(volatile uint32_t *)0x40000000u)
#define TIMER_VALUE (*(volatile uint32_t *)0x40000004u)
#define TIMER_RELOAD (*(volatile uint32_t *)0x40000008u)
#define SYS_WRITE0 0x04u
#define SYS_EXIT_EXTENDED 0x20u

extern uint32_t board_stack_top[], board_data_load[], board_data[], board_data_end[];
extern uint32_t board_bss[], board_bss_end[];
int main(void);
void board_reset(void);

static uint32_t semihost(uint32_t operation, const void *argument) {
  register uint32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

void board_write(const char *text) { semihost(SYS_WRITE0, text); }

uint32_t board_instructions(void) { return (0xffffffffu - TIMER_VALUE) * NS_PER_TICK; }

static void stop(uint32_t code) {
  const uint32_t block[2] = {0x20026u, code}; /* ADP_Stopped_ApplicationExit */
  semihost(SYS_EXIT_EXTENDED, block);
  for (;;) {
  }
}

static void fault(void) {
  board_write("fault\n");
  stop(2);
}

void board_reset(void) {
  uint32_t *to = board_data;
  const uint32_t *from = board_data_load;
  while (to < board_data_end) *to++ = *from++;
  for (to = board_bss; to < board_bss_end;) *to++ = 0;
  TIMER_RELOAD = 0xffffffffu;
  TIMER_VALUE = 0xffffffffu;
  TIMER_CTRL = 1;
  stop((uint32_t)main());
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    board_stack_top, (void *)board_reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault,
};
