// SPDX-License-Identifier: Apache-2.0
// Pooling with any window, stride and padding for hls4ml projects, in both I/O types.
//
// Pixels in the padding do not count. A mean is the sum divided in the accumulator's type, as in nnet_pooling.h, or
// the sum times a factor.

#ifndef NNET_HWFLOW_POOLING_H_
#define NNET_HWFLOW_POOLING_H_

#include "hls_stream.h"
#include "nnet_common.h"
#include "nnet_pooling.h"

namespace nnet {

struct hwflow_pooling_config {
    static const unsigned in_height = 1;
    static const unsigned in_width = 1;
    static const unsigned out_height = 1;
    static const unsigned out_width = 1;
    static const unsigned pool_height = 1;
    static const unsigned pool_width = 1;
    static const unsigned stride_height = 1;
    static const unsigned stride_width = 1;
    static const unsigned pad_top = 0;
    static const unsigned pad_left = 0;
    static const unsigned n_filt = 1;
    static const Pool_Op pool_op = Max;
};

// What becomes of a sum over a number of pixels.
template <typename CONFIG_T> struct hwflow_mean {
    template <class res_T> res_T finish(typename CONFIG_T::accum_t sum, unsigned pixels) const {
        #pragma HLS INLINE
        sum /= pixels;
        return res_T(sum);
    }
};

template <typename CONFIG_T, class scale_T> struct hwflow_scaled_sum {
    scale_T scale;
    explicit hwflow_scaled_sum(scale_T factor) : scale(factor) {}
    template <class res_T> res_T finish(typename CONFIG_T::accum_t sum, unsigned) const {
        #pragma HLS INLINE
        return res_T(sum * scale);
    }
};

// One output value; value(row, column) reads a pixel of the channel.
template <class res_T, typename CONFIG_T, class value_F, class mean_T>
res_T hwflow_pool_window(unsigned out_row, unsigned out_col, value_F value, const mean_T &mean) {
    #pragma HLS INLINE
    typename CONFIG_T::accum_t y = 0;
    unsigned pixels = 0;

WindowRow:
    for (unsigned i = 0; i < CONFIG_T::pool_height; i++) {
    WindowColumn:
        for (unsigned j = 0; j < CONFIG_T::pool_width; j++) {
            const unsigned row = out_row * CONFIG_T::stride_height + i - CONFIG_T::pad_top; // wraps above the frame
            const unsigned col = out_col * CONFIG_T::stride_width + j - CONFIG_T::pad_left;
            if (row < CONFIG_T::in_height && col < CONFIG_T::in_width) {
                const typename CONFIG_T::accum_t x = value(row, col);
                if (CONFIG_T::pool_op == Average)
                    y += x;
                else if (pixels == 0 || x > y)
                    y = x;
                pixels++;
            }
        }
    }
    return CONFIG_T::pool_op == Average ? mean.template finish<res_T>(y, pixels) : res_T(y);
}

// io_parallel
template <class data_T, class res_T, typename CONFIG_T, class mean_T>
void hwflow_pooling(data_T data[CONFIG_T::in_height * CONFIG_T::in_width * CONFIG_T::n_filt],
                    res_T res[CONFIG_T::out_height * CONFIG_T::out_width * CONFIG_T::n_filt], const mean_T &mean) {
    #pragma HLS PIPELINE

    for (unsigned i = 0; i < CONFIG_T::out_height; i++) {
        for (unsigned j = 0; j < CONFIG_T::out_width; j++) {
            for (unsigned c = 0; c < CONFIG_T::n_filt; c++) {
                res[(i * CONFIG_T::out_width + j) * CONFIG_T::n_filt + c] = hwflow_pool_window<res_T, CONFIG_T>(
                    i, j,
                    [&](unsigned row, unsigned col) { return data[(row * CONFIG_T::in_width + col) * CONFIG_T::n_filt + c]; },
                    mean);
            }
        }
    }
}

// io_stream: a word of the stream is one pixel; the rows of a window are kept in a circular buffer
template <class data_T, class res_T, typename CONFIG_T, class mean_T>
void hwflow_pooling(hls::stream<data_T> &data, hls::stream<res_T> &res, const mean_T &mean) {
    data_T rows[CONFIG_T::pool_height][CONFIG_T::in_width];
    unsigned next_row = 0;

OutputRow:
    for (unsigned i = 0; i < CONFIG_T::out_height; i++) {
        const unsigned below = i * CONFIG_T::stride_height + CONFIG_T::pool_height - CONFIG_T::pad_top;
        const unsigned end = below < CONFIG_T::in_height ? below : CONFIG_T::in_height;
    ReadRow:
        for (; next_row < end; next_row++) {
            for (unsigned j = 0; j < CONFIG_T::in_width; j++) {
                #pragma HLS PIPELINE
                rows[next_row % CONFIG_T::pool_height][j] = data.read();
            }
        }
    OutputColumn:
        for (unsigned j = 0; j < CONFIG_T::out_width; j++) {
            #pragma HLS PIPELINE
            res_T out_word;
            PRAGMA_DATA_PACK(out_word)
        Channel:
            for (unsigned c = 0; c < CONFIG_T::n_filt; c++) {
                #pragma HLS UNROLL
                out_word[c] = hwflow_pool_window<typename res_T::value_type, CONFIG_T>(
                    i, j,
                    [&](unsigned row, unsigned col) { return rows[row % CONFIG_T::pool_height][col][c]; }, mean);
            }
            res.write(out_word);
        }
    }
RestOfFrame:
    for (; next_row < CONFIG_T::in_height; next_row++) {
        for (unsigned j = 0; j < CONFIG_T::in_width; j++) {
            data.read();
        }
    }
}

} // namespace nnet

#endif
