// SPDX-License-Identifier: Apache-2.0
// The same values under another shape for hls4ml projects, between streams of any widths.

#ifndef NNET_HWFLOW_RESHAPE_H_
#define NNET_HWFLOW_RESHAPE_H_

#include "hls_stream.h"
#include "nnet_common.h"

namespace nnet {

// io_parallel
template <class data_T, class res_T, unsigned N> void hwflow_reshape(data_T data[N], res_T res[N]) {
    #pragma HLS PIPELINE

    for (unsigned i = 0; i < N; i++) {
        res[i] = data[i];
    }
}

// io_stream: words of data_T::size values become words of res_T::size values
template <class data_T, class res_T, unsigned N>
void hwflow_reshape(hls::stream<data_T> &data, hls::stream<res_T> &res) {
    data_T in_word;
    res_T out_word;
    PRAGMA_DATA_PACK(out_word)

Value:
    for (unsigned i = 0; i < N; i++) {
        #pragma HLS PIPELINE
        if (i % data_T::size == 0)
            in_word = data.read();
        out_word[i % res_T::size] = in_word[i % data_T::size];
        if (i % res_T::size == res_T::size - 1)
            res.write(out_word);
    }
}

} // namespace nnet

#endif
