/* SPDX-License-Identifier: Apache-2.0 */
/* The least program that holds the network: its flash and RAM are what a product pays. */
void HWF_RUN(void);

int main(void) {
  HWF_RUN();
  return 0;
}
