// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"
#include "hwf_mvu.timing.h"
#include "hwf_window.timing.h"
#include "hwf_window_parallel.timing.h"

namespace hwf {

class DepthwiseConv2d final : public Chain {
 public:
  DepthwiseConv2d(const Params& p, const Ports& in, const Ports& out) {
    const Geometry g(p);
    const int64_t simd = p("Simd", 1), groups = p("C", 1) * p("Multiplier", 1) / p("Pe", 1);
    const int64_t positions = g.kernel_h * g.kernel_w;
    Stream* x = link();
    if (simd > 1) add(std::make_unique<WindowParallel>(g, positions / simd * groups, in[0], x));
    else add(std::make_unique<Window>(g, groups, 1, p("Pixels", 2), in[0], x));
    add(std::make_unique<Mvu>(p, positions / simd, x, out[0]));
  }
};

inline const Registration kDepthwiseConv2d{"hwf_depthwise_conv2d", make<DepthwiseConv2d>()};

}  // namespace hwf
