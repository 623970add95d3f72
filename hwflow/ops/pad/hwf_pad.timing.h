// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>

#include "engine.h"
#include "hwf_fifo.timing.h"

namespace hwf {

// The walk over the raster that holds both frames.
class Margins final : public Module {
 public:
  Margins(const Params& p, Stream* in, Stream* out) : in_(in), out_(out), beats_(p("Beats", 1)) {
    const int64_t top = p("Top", 1), left = p("Left", 1);
    in_y0_ = std::max<int64_t>(top, 0);
    in_x0_ = std::max<int64_t>(left, 0);
    in_y1_ = in_y0_ + p("InH", 4);
    in_x1_ = in_x0_ + p("InW", 4);
    out_y0_ = in_y0_ - top;
    out_x0_ = in_x0_ - left;
    out_y1_ = in_y1_ + p("Bottom", 1);
    out_x1_ = in_x1_ + p("Right", 1);
  }
  void valids() override { out_->valid = valid_; }
  void readies() override {
    covered_ = y_ >= in_y0_ && y_ < in_y1_ && x_ >= in_x0_ && x_ < in_x1_;
    wanted_ = y_ >= out_y0_ && y_ < out_y1_ && x_ >= out_x0_ && x_ < out_x1_;
    const bool leading = y_ < in_y0_ || (y_ == in_y0_ && x_ < in_x0_), free = !valid_ || out_->ready;
    step_ = (in_->valid || !(covered_ || leading)) && (free || !wanted_);
    in_->ready = covered_ && (free || !wanted_);
  }
  void step() override {
    valid_ = (step_ && wanted_) || (valid_ && !out_->ready);
    if (!step_ || ++beat_ != beats_) return;
    beat_ = 0;
    if (++x_ != std::max(out_x1_, in_x1_)) return;
    x_ = 0;
    if (++y_ == std::max(out_y1_, in_y1_)) y_ = 0;
  }
  void save(State& state) const override { state.insert(state.end(), {y_, x_, beat_, valid_}); }

 private:
  Stream *in_, *out_;
  int64_t beats_, in_y0_, in_x0_, in_y1_, in_x1_, out_y0_, out_x0_, out_y1_, out_x1_;
  int64_t y_ = 0, x_ = 0, beat_ = 0;
  bool valid_ = false, covered_ = false, wanted_ = false, step_ = false;
};

class Pad final : public Chain {
 public:
  Pad(const Params& p, const Ports& in, const Ports& out) {
    Stream* x = link();
    add(std::make_unique<Fifo>(p("Depth", 2), in[0], x));
    add(std::make_unique<Margins>(p, x, out[0]));
  }
};

inline const Registration kPad{"hwf_pad", make<Pad>()};

}  // namespace hwf
