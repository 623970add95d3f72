// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>

#include "engine.h"

namespace hwf {

struct Geometry {
  int64_t in_h, in_w, out_h, out_w, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  explicit Geometry(const Params& p, int64_t size = 1)
      : in_h(p("InH", size)), in_w(p("InW", size)), out_h(p("OutH", size)), out_w(p("OutW", size)),
        kernel_h(p("KernelH", 1)), kernel_w(p("KernelW", 1)), stride_h(p("StrideH", 1)), stride_w(p("StrideW", 1)),
        pad_top(p("PadTop", 0)), pad_left(p("PadLeft", 0)) {}
};

// Words of sliding windows; `beats` of them a window.
class Window final : public Module {
 public:
  Window(const Geometry& g, int64_t words, int64_t replays, int64_t pixels, Stream* in, Stream* out)
      : in_(in), out_(out), words_(words), beats_(g.kernel_h * g.kernel_w * words * replays), pixels_(pixels),
        frame_(g.in_h * g.in_w) {
    for (int64_t y = 0; y < g.out_h; y++) {
      for (int64_t x = 0; x < g.out_w; x++) {
        const int64_t row = y * g.stride_h - g.pad_top, col = x * g.stride_w - g.pad_left;
        const int64_t last_row = std::min(row + g.kernel_h, g.in_h) - 1, last_col = std::min(col + g.kernel_w, g.in_w) - 1;
        base_.push_back(row * g.in_w + col);
        need_.push_back(last_row * g.in_w + last_col + 1);
      }
    }
  }
  void valids() override { out_->valid = valid_; }
  void readies() override { in_->ready = written_ - base_[window_] < pixels_; }
  void step() override {
    const bool issue = written_ >= need_[window_] && (!valid_ || out_->ready);
    if (in_->moves() && ++word_ == words_) {
      word_ = 0;
      written_++;
    }
    if (issue && ++beat_ == beats_) {
      beat_ = 0;
      if (++window_ == base_.size()) {
        window_ = 0;
        written_ -= frame_;
      }
    }
    valid_ = issue || (valid_ && !out_->ready);
  }
  void save(State& state) const override {
    state.insert(state.end(), {word_, written_, beat_, static_cast<int64_t>(window_), valid_});
  }

 private:
  Stream *in_, *out_;
  int64_t words_, beats_, pixels_, frame_;
  std::vector<int64_t> base_, need_;
  int64_t word_ = 0, written_ = 0, beat_ = 0;  // pixels written since the frame of the present window began
  size_t window_ = 0;
  bool valid_ = false;
};

}  // namespace hwf
