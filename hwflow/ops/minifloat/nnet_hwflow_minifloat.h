// SPDX-License-Identifier: Apache-2.0
// Activations rounded to mini floating point, for hls4ml projects.
//
//   res[i] = CONFIG_T's nearest mini float to data[i], half to the even code, saturated
//
// The result type holds every mini float that a value of the input type is rounded to.

#ifndef NNET_HWFLOW_MINIFLOAT_H_
#define NNET_HWFLOW_MINIFLOAT_H_

#include "hls_stream.h"
#include "nnet_common.h"

namespace nnet {

struct hwflow_minifloat_config {
    static const unsigned n_in = 1;     // elements of the tensor
    static const unsigned mantissa = 3; // bits
    static const int bias = 7;          // of the exponent
    static const int max_exponent = 8;  // of the largest value
};

// Code c of an unsigned type with so many fractional bits stands for c * 2^-frac. Everything is computed on the grid of
// the input refined by the bits that the smallest mini float needs, and one for its half.
template <class data_T, class res_T, typename CONFIG_T> res_T hwflow_minifloat_value(data_T x) {
    #pragma HLS INLINE
    static const int frac = data_T::width - data_T::iwidth;
    static const int need = CONFIG_T::bias + (int)CONFIG_T::mantissa + 1;
    static const int up = frac < need ? need - frac : 0;
    static const unsigned width = data_T::width + up + 2;
    static const int unit = frac + up; // fractional bits from here on
    typedef ap_uint<width> size_t_;

    const bool negative = x < 0;
    ap_int<data_T::width + 1> code = 0;
    code(data_T::width - 1, 0) = x.range(data_T::width - 1, 0);
    code[data_T::width] = negative;
    size_t_ size = size_t_(negative ? ap_int<data_T::width + 1>(-code) : code) << up;

    // Place of the leading one, and of the last bit that stays.
    int top = 0;
LeadingOne:
    for (unsigned b = 0; b < width; b++) {
        #pragma HLS UNROLL
        if (size[b]) {
            top = b;
        }
    }
    const int exponent = top - unit; // of the value
    const size_t_ one = 1;
    const int least = unit - CONFIG_T::bias; // bit of 2^-bias, whose place zero has taken
    size_t_ smallest = one << least;
    smallest += one << (least - (int)CONFIG_T::mantissa);
    const int cut = top - (int)CONFIG_T::mantissa;
    size_t_ result = size;
    if (cut > 0) {
        const size_t_ rest = size & ((one << cut) - 1);
        const size_t_ half = one << (cut - 1);
        const bool odd = CONFIG_T::mantissa ? bool(size[cut]) : bool((exponent + CONFIG_T::bias) & 1);
        result = size - rest;
        if (rest > half || (rest == half && odd)) {
            result += one << cut;
        }
    }
    if (size <= (smallest >> 1)) {
        result = 0;
    } else if (result < smallest) {
        result = smallest;
    }
    const int last = CONFIG_T::max_exponent + unit; // bit of the largest power of two
    if (last + 1 < (int)width) {
        const size_t_ largest = (one << (last + 1)) - (one << (last - (int)CONFIG_T::mantissa));
        if (result > largest) {
            result = largest;
        }
    }

    ap_fixed<width + 1, (int)width + 1 - unit> value = 0;
    value.range(width - 1, 0) = result;
    return negative ? res_T(-value) : res_T(value);
}

// io_parallel
template <class data_T, class res_T, typename CONFIG_T>
void hwflow_minifloat(data_T data[CONFIG_T::n_in], res_T res[CONFIG_T::n_in]) {
    #pragma HLS PIPELINE

    for (unsigned i = 0; i < CONFIG_T::n_in; i++) {
        res[i] = hwflow_minifloat_value<data_T, res_T, CONFIG_T>(data[i]);
    }
}

// io_stream
template <class data_T, class res_T, typename CONFIG_T>
void hwflow_minifloat(hls::stream<data_T> &data, hls::stream<res_T> &res) {
WordLoop:
    for (unsigned i = 0; i < CONFIG_T::n_in / res_T::size; i++) {
        #pragma HLS PIPELINE

        data_T in_word = data.read();
        res_T out_word;
        PRAGMA_DATA_PACK(out_word)

    LaneLoop:
        for (unsigned j = 0; j < res_T::size; j++) {
            #pragma HLS UNROLL
            out_word[j] = hwflow_minifloat_value<typename data_T::value_type, typename res_T::value_type, CONFIG_T>(in_word[j]);
        }
        res.write(out_word);
    }
}

} // namespace nnet

#endif
