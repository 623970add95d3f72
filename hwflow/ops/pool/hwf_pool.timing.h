// SPDX-License-Identifier: Apache-2.0

#pragma once

#include "engine.h"
#include "hwf_dwc.timing.h"
#include "hwf_window.timing.h"
#include "hwf_window_parallel.timing.h"

namespace hwf {

// `depth` results, gathered side by side from `terms` beats each.
class Reduction final : public Module {
 public:
  Reduction(int64_t depth, int64_t terms, Stream* in, Stream* out)
      : in_(in), out_(out), depth_(depth), terms_(terms) {}
  void valids() override { out_->valid = valid_; }
  void readies() override { in_->ready = term_ != terms_ - 1 || !valid_ || out_->ready; }
  void step() override {
    const bool take = in_->moves(), last = term_ == terms_ - 1;
    valid_ = (take && last) || (valid_ && !out_->ready);
    if (take && ++word_ == depth_) {
      word_ = 0;
      term_ = last ? 0 : term_ + 1;
    }
  }
  void save(State& state) const override { state.insert(state.end(), {word_, term_, valid_}); }

 private:
  Stream *in_, *out_;
  int64_t depth_, terms_, word_ = 0, term_ = 0;
  bool valid_ = false;
};

class Pool final : public Chain {
 public:
  Pool(const Params& p, const Ports& in, const Ports& out) {
    const Geometry g(p, 4);
    const int64_t pe = p("Pe", 1), simd = p("Simd", 1), groups = p("C", 1) / pe;
    const int64_t positions = g.kernel_h * g.kernel_w;
    Stream *x = in[0], *result = link(), *narrow = link();
    if (p("Whole", 0)) {
      add(std::make_unique<Reduction>(groups, g.in_h * g.in_w, x, result));
    } else {
      x = link();
      if (simd > 1) add(std::make_unique<WindowParallel>(g, positions / simd * groups, in[0], x));
      else add(std::make_unique<Window>(g, groups, 1, p("Pixels", 8), in[0], x));
      add(std::make_unique<Reduction>(1, positions / simd, x, result));
    }
    add(std::make_unique<Dwc>(pe, p("Lanes", 1), result, narrow));
    add(std::make_unique<Pipe>(p("Average", 0) ? 3 : 1, narrow, out[0]));
  }
};

inline const Registration kPool{"hwf_pool", make<Pool>()};

}  // namespace hwf
