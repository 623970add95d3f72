// SPDX-License-Identifier: Apache-2.0
// Activations of straight pieces for hls4ml projects.
//
//   res[i] = CONFIG_T::value(data[i]), exact, cast to the result type
//
// The only rounding and overflow is that of the result type.

#ifndef NNET_HWFLOW_PIECEWISE_H_
#define NNET_HWFLOW_PIECEWISE_H_

#include "hls_stream.h"
#include "nnet_common.h"

namespace nnet {

struct hwflow_piecewise_config {
    static const unsigned n_in = 1; // elements of the tensor
};

// io_parallel
template <class data_T, class res_T, typename CONFIG_T>
void hwflow_piecewise(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in]) {
    #pragma HLS PIPELINE

    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        res[i] = CONFIG_T::value(data[i]);
    }
}

// io_stream
template <class data_T, class res_T, typename CONFIG_T>
void hwflow_piecewise(hls::stream<data_T> &data, hls::stream<res_T> &res) {
WordLoop:
    for (unsigned i = 0; i < CONFIG_T::n_in / res_T::size; i++) {
        #pragma HLS PIPELINE

        data_T in_word = data.read();
        res_T out_word;
        PRAGMA_DATA_PACK(out_word)

    LaneLoop:
        for (unsigned j = 0; j < res_T::size; j++) {
            #pragma HLS UNROLL
            out_word[j] = CONFIG_T::value(in_word[j]);
        }
        res.write(out_word);
    }
}

} // namespace nnet

#endif
