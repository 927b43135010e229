//! The list of defects.

/// A defect: its number, what the original does, and the tests, as file and function below `tests` or `src`. Without tests `why` says
/// why there are none.
pub struct Defect {
    pub number: u32,
    pub what: &'static str,
    pub tests: Vec<&'static str>,
    pub why: &'static str,
}

/// The defects in order.
pub fn defects() -> Vec<Defect> {
    let mut all: Vec<Defect> = Vec::new();
    for line in LIST.lines() {
        match (line.strip_prefix("  "), all.last_mut()) {
            (Some(rest), Some(defect)) => match rest.strip_prefix("because ") {
                Some(why) => defect.why = why,
                None => defect.tests.push(rest),
            },
            _ => {
                let (number, what) = line.split_once(' ').expect("a number and what it is");
                all.push(Defect {
                    number: number.parse().expect(line),
                    what,
                    tests: Vec::new(),
                    why: "",
                });
            }
        }
    }
    all
}

/// Number and defect; below them tests, or why there is none.
const LIST: &str = "\
1 jit writes the first quarter of sizes divisible by 4
  tests/catalog/values.rs values_and_gradients
  tests/elementwise/values.rs closures_and_text_agree
2 cache updates lose all former tokens
  tests/catalog/caches.rs caches_keep_what_was_there
3 gradients of swiglu and geglu have one row
  tests/catalog/transformer.rs gradients_of_gates_have_all_rows
4 gradients of weights and biases are the cotangent
  tests/catalog/transformer.rs gradients_of_biases_are_sums
  tests/catalog/derivatives.rs single_inputs
5 routing indices are ignored
  tests/catalog/moe.rs indices_are_obeyed
6 AdamW does not compile, counts steps twice, rounds moments
  tests/catalog/optimizers.rs many_steps_as_in_the_paper
  tests/catalog/optimizers.rs moments_keep_their_dtype
7 a factor too many in the quantized swiglu
  tests/catalog/quant.rs swiglu_of_codes
8 variance in one pass
  tests/catalog/norms.rs a_mean_far_above_the_spread
  tests/catalog/norms.rs constant_rows_give_beta
  tests/catalog/transformer.rs normalization_far_from_zero
9 no bfloat16 in most functions
  tests/catalog/values.rs values_and_gradients
  tests/catalog/others.rs values_and_dtypes
10 top-k beyond the width, NaN dropped, values in float32
  tests/catalog/selection.rs what_is_refused
  tests/catalog/selection.rs short_rows
11 names of kernels leave constants out
  src/metal/cache.rs every_field_counts
  tests/registry.rs other_options_are_other_kernels
  tests/elementwise/transformed.rs a_new_shape_compiles_nothing
12 tuning of map_reduce never runs a candidate
  tests/autotune/search.rs one_word_tunes_rows_by_the_clock
  tests/autotune/search.rs the_fastest_wins_and_computes_the_same
13 threadgroups that are no powers of two skip elements
  tests/rowwise/layouts.rs threadgroups
  tests/toolkit_errors/calls.rs threadgroups
14 statements of jit are dropped or change their meaning
  tests/elementwise/values.rs closures_and_text_agree
  src/expr/tests/errors.rs says_what_is_wrong
15 of equal elements not the first
  tests/catalog/selection.rs equal_elements_in_order
  tests/catalog/selection.rs gates
16 dropout in stripes, masks alike for neighbouring seeds
  tests/catalog/dropout.rs elements_are_independent
  tests/catalog/dropout.rs patterns_have_their_shares
  tests/catalog/dropout.rs seeds_are_independent
17 softplus and mish overflow and lose small results
  tests/catalog/activations.rs far_out
  tests/catalog/defects.rs small_results_keep_their_digits
18 elu cancels near 0
  tests/catalog/defects.rs small_results_keep_their_digits
19 silu of minus infinity is NaN
  tests/catalog/activations.rs far_out
  tests/catalog/special.rs gates_at_infinity
  tests/catalog/transformer.rs gates_of_infinities
20 gradients in float16 overflow
  tests/catalog/extremes.rs overflow_audit
  tests/catalog/defects.rs slopes_of_large_halves
21 rows of minus infinity give NaN
  tests/catalog/special.rs softmax_of_minus_infinity_is_zero
  tests/catalog/attention.rs far_rows_and_rows_of_minus_infinity
22 float16 variance overflows before its root; the deviation is biased
  tests/catalog/reductions.rs sixteen_bits_at_their_ends
  tests/catalog/reductions.rs spread_of_equal_numbers_and_far_from_zero
23 kahan compensates within a thread only
  tests/catalog/reductions.rs kahan_compensates_where_float32_fails
24 statistics and results of different roundings; squares in float16
  tests/catalog/transformer.rs sums_are_normalized_unrounded
  tests/catalog/transformer.rs weights_of_large_rows
25 gradients from rounded results
  tests/catalog/attention.rs the_gradient_of_softmax_is_not_that_of_its_rounding
26 integers go through float32
  tests/catalog/reductions.rs integers_are_exact
  tests/catalog/scan.rs integers_are_added_exactly
  tests/catalog/image.rs images_of_integers
27 cross entropy of float16 is float32
  tests/catalog/values.rs values_and_gradients
28 indices, offsets and blocks read outside
  tests/catalog/special.rs targets_outside_of_the_classes
  tests/catalog/rope.rs rope_offsets_out_of_range_are_nan
  tests/catalog/caches.rs cache_updates_refuse
  tests/catalog/paged.rs paged_attention_without_a_place_is_nan
  tests/catalog/indexing.rs gather_add
  tests/catalog/moe.rs indices_are_obeyed
29 shapes of further inputs are not looked at
  tests/catalog/errors.rs other_shapes
  tests/catalog/others.rs other_shapes_are_refused
30 sizes from 2^31 on wrap
  tests/catalog/huge.rs bytes_behind_two_to_the_31
  tests/rowwise/randoms.rs elements_beyond_32_bits
  src/metal/geometry.rs long_grids
31 empty arrays divide by zero
  tests/catalog/values.rs values_and_gradients
  tests/rowwise/layouts.rs no_rows
  tests/catalog/image.rs odd_and_empty_images
  tests/catalog/moe.rs empty_and_refused
32 scalars do not compile
  tests/catalog/errors.rs other_shapes
  tests/kernel.rs scalars_small_and_large_inputs
  tests/catalog/vlsp.rs steps_of_one_number
33 nothing broadcasts
  tests/catalog/attention.rs masks_broadcast_and_have_any_dtype
  tests/rowwise/layouts.rs broadcasting
34 five meanings of compute_dtype
  tests/catalog/errors.rs weights_of_another_dtype
  tests/catalog/values.rs values_and_gradients
35 three layouts of rope, no offset, no partial rotation; codes lose their shape
  tests/catalog/rope.rs rope_with_all_options
  tests/catalog/quant.rs shapes_of_codes
36 no gradients of norms, rope, reductions, images, indices, experts
  tests/catalog/derivatives.rs tangents_and_second_derivatives
  tests/catalog/rope.rs rope_with_all_options
  tests/catalog/image.rs convolved_derivatives_and_maps
  tests/catalog/indexing.rs mapped_axes_and_second_order
  tests/catalog/moe.rs derivatives_of_a_layer
  tests/catalog/linear.rs linear_functions
  tests/catalog/paged.rs paged_attention_of_lengths
37 two names for one function
  tests/catalog/names.rs every_function_of_the_original_is_in_the_table
  tests/catalog/activations.rs other_names
38 differentiable kernels come as two raw ones
  tests/elementwise/derivatives.rs three_derivatives
39 tuning results are lost, stale or half written
  tests/autotune/file.rs results_come_back_from_the_file
  tests/autotune/file.rs writers_do_not_lose_each_others_results
  tests/autotune/search.rs shapes_dtypes_and_constants_are_tuned_apart
40 all chips of a generation are one device
  src/engine/cuda/shared.rs limits_are_the_chips
41 caches without locks; each number is another kernel
  tests/registry.rs eight_threads_compile_once
  tests/rowwise/parameters.rs another_number_compiles_nothing
  tests/registry.rs handles_outlive_the_cache
42 names that change from process to process
  src/metal/cache.rs keys_are_stable
43 documents say other formulas than the code
  tests/catalog/vlsp.rs depths_of_gates
  tests/catalog/transformer.rs normalization_far_from_zero
  tests/catalog/docs.rs docs_kernels_md_is_fresh
44 the table of NF4 stands inside a function
  tests/catalog/quant.rs every_code_in_every_dtype
45 patches force two experts on every model
  because there are no patches of models; a caller says how many experts it wants
46 rows are read once for each pass
  because speed is measured by bench_catalog, not tested
47 one thread a row in generated reductions
  because speed is measured by bench_catalog, not tested
48 products without tiles, compiled for each size
  tests/catalog/linear.rs linear_functions
  because speed is measured by bench_catalog, not tested
49 paged attention walks keys by single threads
  because speed is measured by bench_catalog, not tested
50 rope loads each pair twice and compiles for each length
  because speed is measured by bench_catalog, not tested
51 one element a thread
  because speed is measured by bench_catalog, not tested
52 top-k by insertion, which memory limits to 16
  tests/catalog/selection.rs long_rows
  because speed is measured by bench_catalog, not tested
53 scatters add in any order
  tests/catalog/indexing.rs the_order_is_that_of_updates
54 dispatch copies x for each slot
  because rows grouped by expert, which products of experts want, are such a copy; the original's cannot be used by them
55 a call builds closures and rules anew
  tests/elementwise/transformed.rs a_new_shape_compiles_nothing
  because speed is measured by bench_catalog, not tested";
