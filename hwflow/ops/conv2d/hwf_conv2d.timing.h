// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"
#include "hwf_mvu.timing.h"
#include "hwf_window.timing.h"
#include "hwf_window_parallel.timing.h"

namespace hwf {

class Conv2d final : public Chain {
 public:
  Conv2d(const Params& p, const Ports& in, const Ports& out) {
    const Geometry g(p);
    const int64_t channels = p("InC", 1), simd = p("Simd", 1), folds = p("OutC", 1) / p("Pe", 1);
    const int64_t window = g.kernel_h * g.kernel_w * channels;
    Stream* x = in[0];
    if (g.kernel_h * g.kernel_w * g.stride_h * g.stride_w != 1 || folds != 1) {
      x = link();
      if (channels % simd) add(std::make_unique<WindowParallel>(g, window / simd * folds, in[0], x));
      else add(std::make_unique<Window>(g, channels / simd, folds, p("Pixels", 2), in[0], x));
    }
    add(std::make_unique<Mvu>(p, window / simd, x, out[0]));
  }
};

inline const Registration kConv2d{"hwf_conv2d", make<Conv2d>()};

}  // namespace hwf
