/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Type of a row's values, and names that end in its width. No include guard: a file that serves both widths reads
 * as
 *
 *   #ifndef HWF_BITS
 *   #define HWF_BITS 32
 *   #include "this_file.c"
 *   #undef HWF_BITS
 *   #define HWF_BITS 64
 *   #include "this_file.c"
 *   #else
 *   #include "hwf_value.h"
 *   ... functions of hwf_v and hwf_u, named HWF_NAME(f) ...
 *   #endif
 */
#include "hwf.h"

#undef HWF_NAME
#undef hwf_v
#undef hwf_u
#define HWF_NAME(name) HWF_JOIN(name, HWF_BITS)
#if HWF_BITS == 32
#define hwf_v int32_t
#define hwf_u uint32_t
#else
#define hwf_v int64_t
#define hwf_u uint64_t
#endif
