// SPDX-License-Identifier: Apache-2.0
// Parametric ReLU for hls4ml projects, with a slope a channel or an element.
//
//   res[i] = data[i]                        where data[i] >= 0
//            slope[i mod n_slopes] * data[i]  elsewhere
//
// The product is exact; the only rounding and overflow is that of the result type.

#ifndef NNET_HWFLOW_PRELU_H_
#define NNET_HWFLOW_PRELU_H_

#include "hls_stream.h"
#include "nnet_common.h"

namespace nnet {

struct hwflow_prelu_config {
    static const unsigned n_in = 1;     // elements of the tensor
    static const unsigned n_slopes = 1; // slopes, one for each channel (the last axis) or each element
};

template <class data_T, class slope_T, class res_T> res_T hwflow_prelu_element(data_T x, slope_T slope) {
    #pragma HLS INLINE
    if (x >= 0)
        return res_T(x);
    return res_T(slope * x);
}

// io_parallel
template <class data_T, class slope_T, class res_T, typename CONFIG_T>
void hwflow_prelu(data_T data[CONFIG_T::n_in], slope_T slope[CONFIG_T::n_slopes], res_T res[CONFIG_T::n_in]) {
    #pragma HLS PIPELINE

    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        res[i] = hwflow_prelu_element<data_T, slope_T, res_T>(data[i], slope[i % CONFIG_T::n_slopes]);
    }
}

// io_stream: a word of the stream is one pixel, all its channels
template <class data_T, class slope_T, class res_T, typename CONFIG_T>
void hwflow_prelu(hls::stream<data_T> &data, slope_T slope[CONFIG_T::n_slopes], hls::stream<res_T> &res) {
    static_assert(data_T::size == res_T::size, "input and output words must have the same number of elements");
    static_assert(res_T::size % CONFIG_T::n_slopes == 0 || CONFIG_T::n_in == CONFIG_T::n_slopes,
                  "a stream word must hold whole pixels");

PixelLoop:
    for (unsigned i = 0; i < CONFIG_T::n_in / res_T::size; i++) {
        #pragma HLS PIPELINE

        data_T in_word = data.read();
        res_T out_word;
        PRAGMA_DATA_PACK(out_word)

    ChannelLoop:
        for (unsigned j = 0; j < res_T::size; j++) {
            #pragma HLS UNROLL
            out_word[j] = hwflow_prelu_element<typename data_T::value_type, slope_T, typename res_T::value_type>(
                in_word[j], slope[(i * res_T::size + j) % CONFIG_T::n_slopes]);
        }
        res.write(out_word);
    }
}

} // namespace nnet

#endif
