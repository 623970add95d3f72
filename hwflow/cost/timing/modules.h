// SPDX-License-Identifier: Apache-2.0
//
// All timing models; each lies beside the SystemVerilog it stands for.

#pragma once

#include "hwf_activation.timing.h"
#include "hwf_concat.timing.h"
#include "hwf_conv2d.timing.h"
#include "hwf_da.timing.h"
#include "hwf_depthwise_conv2d.timing.h"
#include "hwf_dwc.timing.h"
#include "hwf_fifo.timing.h"
#include "hwf_fork.timing.h"
#include "hwf_merge.timing.h"
#include "hwf_minifloat.timing.h"
#include "hwf_mvu.timing.h"
#include "hwf_pad.timing.h"
#include "hwf_pool.timing.h"
#include "hwf_reorder.timing.h"
#include "hwf_skip.timing.h"
#include "hwf_softmax.timing.h"
#include "hwf_window.timing.h"
#include "hwf_window_parallel.timing.h"
