// SPDX-License-Identifier: Apache-2.0

#pragma once

#include <algorithm>

#include "engine.h"
#include "hwf_window.timing.h"

namespace hwf {

// Whole windows, gathered column by column, in `chunks` beats, replays among them.
class WindowParallel final : public Module {
 public:
  WindowParallel(const Geometry& g, int64_t chunks, Stream* in, Stream* out)
      : in_(in), out_(out), g_(g), chunks_(chunks), row_step_(g.in_h - (g.out_h - 1) * g.stride_h),
        banks_(g.kernel_h + std::max(row_step_, g.stride_h)), first_(g.kernel_w - g.pad_left),
        need_row0_(std::min(g.kernel_h - 1 - g.pad_top, g.in_h - 1)),
        overhang_(std::max<int64_t>((g.out_w - 1) * g.stride_w + first_ - g.in_w, 0)), base_row_(-g.pad_top),
        need_row_(need_row0_), bubbles_(overhang_) {
    const int64_t row_step = g.in_w - (g.out_w - 1) * g.stride_w;
    ahead_ = chunks > g.stride_w ? std::max<int64_t>(row_step - chunks, 0) : 0;
  }
  void valids() override { out_->valid = hold_; }
  void readies() override { in_->ready = wr_row_ - base_row_ < banks_; }
  void step() override {
    const bool push = in_->moves();
    const bool free = !hold_ || (out_->ready && chunk_ == chunks_ - 1);
    const bool complete = known_ && shifted_ >= target_;
    const bool move = complete && free, gather = !complete || free || shifted_ - target_ != ahead_;
    const bool enable = gather || !read_valid_;
    const bool written = wr_row_ > need_row_ || (wr_row_ == need_row_ && wr_col_ > col_);
    const bool between = col_ == 0 && col_oy_ == 0;
    const bool read = enable && written && !(between && started_);
    const bool bubble = enable && between && !written && known_ && bubbles_ != overhang_;
    const bool frame_ends = ox_ == g_.out_w - 1 && oy_ == g_.out_h - 1;
    const int64_t count = count_;

    shifted_ += gather && read_valid_;
    if (enable) read_valid_ = read || bubble;
    bubbles_ = read ? 0 : bubbles_ + bubble;
    bool begins = false;
    if (read && between) {
      if (known_ && !(move && frame_ends)) {
        started_ = true;
        start_ = count;
      } else {
        begins = true;
      }
    }
    if (move) advance(begins);
    if (begins) {
      known_ = true;
      target_ = count + first_;
    }
    if (hold_ && out_->ready) chunk_ = chunk_ == chunks_ - 1 ? 0 : chunk_ + 1;
    if (move) hold_ = true;
    else if (free) hold_ = false;

    count_ += read || bubble;
    if (read) next_column();
    if (push && ++wr_col_ == g_.in_w) {
      wr_col_ = 0;
      wr_row_++;
    }
  }
  void save(State& state) const override {
    state.insert(state.end(), {wr_col_, wr_row_ - frame_row_, base_row_ - frame_row_, need_row_ - frame_row_, col_, col_oy_,
                               count_ - shifted_, known_ ? target_ - shifted_ : 0, started_ ? start_ - shifted_ : 0, oy_,
                               ox_, chunk_, bubbles_, known_, started_, read_valid_,
                               hold_});
  }

 private:
  // The next window; `begins` tells that the next frame's first column is read in this very cycle.
  void advance(bool begins) {
    if (ox_ != g_.out_w - 1) {
      ox_++;
      target_ += g_.stride_w;
      return;
    }
    ox_ = 0;
    if (oy_ != g_.out_h - 1) {
      oy_++;
      target_ += g_.in_w - (g_.out_w - 1) * g_.stride_w;
      return;
    }
    oy_ = 0;
    if (started_) {
      target_ = start_ + first_;
      started_ = false;
    } else if (!begins) {
      known_ = false;
    }
  }
  void next_column() {
    if (++col_ != g_.in_w) return;
    col_ = 0;
    if (col_oy_ != g_.out_h - 1) {
      col_oy_++;
      base_row_ += g_.stride_h;
      need_row_ = std::min(need_row_ + g_.stride_h, frame_row_ + g_.in_h - 1);
    } else {
      col_oy_ = 0;
      base_row_ += row_step_;
      need_row_ = frame_row_ + g_.in_h + need_row0_;
      frame_row_ += g_.in_h;
    }
  }

  Stream *in_, *out_;
  Geometry g_;
  int64_t chunks_, row_step_, banks_, first_, need_row0_, overhang_, ahead_ = 0;
  int64_t wr_col_ = 0, wr_row_ = 0, base_row_, need_row_, frame_row_ = 0, col_ = 0, col_oy_ = 0, count_ = 0;
  int64_t shifted_ = 0, target_ = 0, start_ = 0, oy_ = 0, ox_ = 0, chunk_ = 0, bubbles_;
  bool known_ = false, started_ = false, read_valid_ = false, hold_ = false;
};

}  // namespace hwf
