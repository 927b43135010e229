//! The known defects of the original, ZMLX 0.4.2, by number, each with the tests that it would fail: the list is complete, and
//! what it names exists.

use zmlx::Result;
use zmlx::kernels::activations;
use zmlx::prelude::*;

use crate::common::{on_worker, root};
use crate::tolerance::numbers;

/// A defect: its number, what the original does, and the tests, as file and function below `tests` or `src`. Without tests the
/// third says why.
struct Defect(u32, &'static str, &'static [&'static str], &'static str);

const NONE: &[&str] = &[];
const SPEED: &str = "speed is measured by bench_catalog, not tested";

const DEFECTS: &[Defect] = &[
    Defect(
        1,
        "jit writes the first quarter of sizes divisible by 4",
        &[
            "tests/catalog/values.rs values_and_gradients",
            "tests/elementwise/values.rs closures_and_text_agree",
        ],
        "",
    ),
    Defect(
        2,
        "cache updates lose all former tokens",
        &["tests/catalog/caches.rs caches_keep_what_was_there"],
        "",
    ),
    Defect(
        3,
        "gradients of swiglu and geglu have one row",
        &["tests/catalog/transformer.rs gradients_of_gates_have_all_rows"],
        "",
    ),
    Defect(
        4,
        "gradients of weights and biases are the cotangent",
        &[
            "tests/catalog/transformer.rs gradients_of_biases_are_sums",
            "tests/catalog/derivatives.rs single_inputs",
        ],
        "",
    ),
    Defect(
        5,
        "routing indices are ignored",
        &["tests/catalog/moe.rs indices_are_obeyed"],
        "",
    ),
    Defect(
        6,
        "AdamW does not compile, counts steps twice, rounds moments",
        &[
            "tests/catalog/optimizers.rs many_steps_as_in_the_paper",
            "tests/catalog/optimizers.rs moments_keep_their_dtype",
        ],
        "",
    ),
    Defect(
        7,
        "a factor too many in the quantized swiglu",
        &["tests/catalog/quant.rs swiglu_of_codes"],
        "",
    ),
    Defect(
        8,
        "variance in one pass",
        &[
            "tests/catalog/norms.rs a_mean_far_above_the_spread",
            "tests/catalog/norms.rs constant_rows_give_beta",
            "tests/catalog/transformer.rs normalization_far_from_zero",
        ],
        "",
    ),
    Defect(
        9,
        "no bfloat16 in most functions",
        &[
            "tests/catalog/values.rs values_and_gradients",
            "tests/catalog/others.rs values_and_dtypes",
        ],
        "",
    ),
    Defect(
        10,
        "top-k beyond the width, NaN dropped, values in float32",
        &[
            "tests/catalog/selection.rs what_is_refused",
            "tests/catalog/selection.rs short_rows",
        ],
        "",
    ),
    Defect(
        11,
        "names of kernels leave constants out",
        &[
            "src/metal/cache.rs every_field_counts",
            "tests/registry.rs other_options_are_other_kernels",
            "tests/elementwise/transformed.rs a_new_shape_compiles_nothing",
        ],
        "",
    ),
    Defect(
        12,
        "tuning of map_reduce never runs a candidate",
        &[
            "tests/autotune/search.rs one_word_tunes_rows_by_the_clock",
            "tests/autotune/search.rs the_fastest_wins_and_computes_the_same",
        ],
        "",
    ),
    Defect(
        13,
        "threadgroups that are no powers of two skip elements",
        &[
            "tests/rowwise/layouts.rs threadgroups",
            "tests/toolkit_errors/calls.rs threadgroups",
        ],
        "",
    ),
    Defect(
        14,
        "statements of jit are dropped or change their meaning",
        &[
            "tests/elementwise/values.rs closures_and_text_agree",
            "src/expr/tests/errors.rs says_what_is_wrong",
        ],
        "",
    ),
    Defect(
        15,
        "of equal elements not the first",
        &[
            "tests/catalog/selection.rs equal_elements_in_order",
            "tests/catalog/selection.rs gates",
        ],
        "",
    ),
    Defect(
        16,
        "dropout in stripes, masks alike for neighbouring seeds",
        &[
            "tests/catalog/dropout.rs elements_are_independent",
            "tests/catalog/dropout.rs patterns_have_their_shares",
            "tests/catalog/dropout.rs seeds_are_independent",
        ],
        "",
    ),
    Defect(
        17,
        "softplus and mish overflow and lose small results",
        &[
            "tests/catalog/activations.rs far_out",
            "tests/catalog/defects.rs small_results_keep_their_digits",
        ],
        "",
    ),
    Defect(
        18,
        "elu cancels near 0",
        &["tests/catalog/defects.rs small_results_keep_their_digits"],
        "",
    ),
    Defect(
        19,
        "silu of minus infinity is NaN",
        &[
            "tests/catalog/activations.rs far_out",
            "tests/catalog/special.rs gates_at_infinity",
            "tests/catalog/transformer.rs gates_of_infinities",
        ],
        "",
    ),
    Defect(
        20,
        "gradients in float16 overflow",
        &[
            "tests/catalog/extremes.rs overflow_audit",
            "tests/catalog/defects.rs slopes_of_large_halves",
        ],
        "",
    ),
    Defect(
        21,
        "rows of minus infinity give NaN",
        &[
            "tests/catalog/special.rs softmax_of_minus_infinity_is_zero",
            "tests/catalog/attention.rs far_rows_and_rows_of_minus_infinity",
        ],
        "",
    ),
    Defect(
        22,
        "float16 variance overflows before its root; the deviation is biased",
        &[
            "tests/catalog/reductions.rs sixteen_bits_at_their_ends",
            "tests/catalog/reductions.rs spread_of_equal_numbers_and_far_from_zero",
        ],
        "",
    ),
    Defect(
        23,
        "kahan compensates within a thread only",
        &["tests/catalog/reductions.rs kahan_compensates_where_float32_fails"],
        "",
    ),
    Defect(
        24,
        "statistics and results of different roundings; squares in float16",
        &[
            "tests/catalog/transformer.rs sums_are_normalized_unrounded",
            "tests/catalog/transformer.rs weights_of_large_rows",
        ],
        "",
    ),
    Defect(
        25,
        "gradients from rounded results",
        &["tests/catalog/attention.rs the_gradient_of_softmax_is_not_that_of_its_rounding"],
        "",
    ),
    Defect(
        26,
        "integers go through float32",
        &[
            "tests/catalog/reductions.rs integers_are_exact",
            "tests/catalog/scan.rs integers_are_added_exactly",
            "tests/catalog/image.rs images_of_integers",
        ],
        "",
    ),
    Defect(
        27,
        "cross entropy of float16 is float32",
        &["tests/catalog/values.rs values_and_gradients"],
        "",
    ),
    Defect(
        28,
        "indices, offsets and blocks read outside",
        &[
            "tests/catalog/special.rs targets_outside_of_the_classes",
            "tests/catalog/rope.rs rope_offsets_out_of_range_are_nan",
            "tests/catalog/caches.rs cache_updates_refuse",
            "tests/catalog/paged.rs paged_attention_without_a_place_is_nan",
            "tests/catalog/indexing.rs gather_add",
            "tests/catalog/moe.rs indices_are_obeyed",
        ],
        "",
    ),
    Defect(
        29,
        "shapes of further inputs are not looked at",
        &[
            "tests/catalog/errors.rs other_shapes",
            "tests/catalog/others.rs other_shapes_are_refused",
        ],
        "",
    ),
    Defect(
        30,
        "sizes from 2^31 on wrap",
        &[
            "tests/catalog/huge.rs bytes_behind_two_to_the_31",
            "tests/rowwise/randoms.rs elements_beyond_32_bits",
            "src/metal/geometry.rs long_grids",
        ],
        "",
    ),
    Defect(
        31,
        "empty arrays divide by zero",
        &[
            "tests/catalog/values.rs values_and_gradients",
            "tests/rowwise/layouts.rs no_rows",
            "tests/catalog/image.rs odd_and_empty_images",
            "tests/catalog/moe.rs empty_and_refused",
        ],
        "",
    ),
    Defect(
        32,
        "scalars do not compile",
        &[
            "tests/catalog/errors.rs other_shapes",
            "tests/kernel.rs scalars_small_and_large_inputs",
            "tests/catalog/transformer.rs steps_of_one_number",
        ],
        "",
    ),
    Defect(
        33,
        "nothing broadcasts",
        &[
            "tests/catalog/attention.rs masks_broadcast_and_have_any_dtype",
            "tests/rowwise/layouts.rs broadcasting",
        ],
        "",
    ),
    Defect(
        34,
        "five meanings of compute_dtype",
        &[
            "tests/catalog/errors.rs weights_of_another_dtype",
            "tests/catalog/values.rs values_and_gradients",
        ],
        "",
    ),
    Defect(
        35,
        "three layouts of rope, no offset, no partial rotation; codes lose their shape",
        &[
            "tests/catalog/rope.rs rope_with_all_options",
            "tests/catalog/quant.rs shapes_of_codes",
        ],
        "",
    ),
    Defect(
        36,
        "no gradients of norms, rope, reductions, images, indices, experts",
        &[
            "tests/catalog/derivatives.rs tangents_and_second_derivatives",
            "tests/catalog/rope.rs rope_with_all_options",
            "tests/catalog/image.rs convolved_derivatives_and_maps",
            "tests/catalog/indexing.rs mapped_axes_and_second_order",
            "tests/catalog/moe.rs derivatives_of_a_layer",
            "tests/catalog/linear.rs linear_functions",
            "tests/catalog/paged.rs paged_attention_of_lengths",
        ],
        "",
    ),
    Defect(
        37,
        "two names for one function",
        &[
            "tests/catalog/names.rs every_function_of_the_original_is_in_the_table",
            "tests/catalog/activations.rs other_names",
        ],
        "",
    ),
    Defect(
        38,
        "differentiable kernels come as two raw ones",
        &["tests/elementwise/derivatives.rs three_derivatives"],
        "",
    ),
    Defect(
        39,
        "tuning results are lost, stale or half written",
        &[
            "tests/autotune/file.rs results_come_back_from_the_file",
            "tests/autotune/file.rs writers_do_not_lose_each_others_results",
            "tests/autotune/search.rs shapes_dtypes_and_constants_are_tuned_apart",
        ],
        "",
    ),
    Defect(
        40,
        "all chips of a generation are one device",
        &["src/engine/cuda/shared.rs limits_are_the_chips"],
        "",
    ),
    Defect(
        41,
        "caches without locks; each number is another kernel",
        &[
            "tests/registry.rs eight_threads_compile_once",
            "tests/rowwise/parameters.rs another_number_compiles_nothing",
            "tests/registry.rs handles_outlive_the_cache",
        ],
        "",
    ),
    Defect(
        42,
        "names that change from process to process",
        &["src/metal/cache.rs keys_are_stable"],
        "",
    ),
    Defect(
        43,
        "documents say other formulas than the code",
        &[
            "tests/catalog/transformer.rs depths_of_gates",
            "tests/catalog/transformer.rs normalization_far_from_zero",
            "tests/catalog/docs.rs docs_kernels_md_is_fresh",
        ],
        "",
    ),
    Defect(
        44,
        "the table of NF4 stands inside a function",
        &["tests/catalog/quant.rs every_code_in_every_dtype"],
        "",
    ),
    Defect(
        45,
        "patches force two experts on every model",
        NONE,
        "there are no patches of models; a caller says how many experts it wants",
    ),
    Defect(46, "rows are read once for each pass", NONE, SPEED),
    Defect(47, "one thread a row in generated reductions", NONE, SPEED),
    Defect(
        48,
        "products without tiles, compiled for each size",
        &["tests/catalog/linear.rs linear_functions"],
        SPEED,
    ),
    Defect(
        49,
        "paged attention walks keys by single threads",
        NONE,
        SPEED,
    ),
    Defect(
        50,
        "rope loads each pair twice and compiles for each length",
        NONE,
        SPEED,
    ),
    Defect(51, "one element a thread", NONE, SPEED),
    Defect(
        52,
        "top-k by insertion, which memory limits to 16",
        &["tests/catalog/selection.rs long_rows"],
        SPEED,
    ),
    Defect(
        53,
        "scatters add in any order",
        &["tests/catalog/indexing.rs the_order_is_that_of_updates"],
        "",
    ),
    Defect(
        54,
        "dispatch copies x for each slot",
        NONE,
        "rows grouped by expert, which products of experts want, are such a copy; the original's cannot be used by them",
    ),
    Defect(
        55,
        "a call builds closures and rules anew",
        &["tests/elementwise/transformed.rs a_new_shape_compiles_nothing"],
        SPEED,
    ),
];

#[test]
fn each_defect_has_its_tests() {
    let numbers: Vec<u32> = DEFECTS.iter().map(|d| d.0).collect();
    assert_eq!(numbers, (1..=55).collect::<Vec<_>>());
    for Defect(number, what, tests, why) in DEFECTS {
        assert!(
            !tests.is_empty() || !why.is_empty(),
            "{number}, {what}: no test"
        );
        for test in *tests {
            let (file, name) = test.split_once(' ').expect("a file and a function");
            let text = std::fs::read_to_string(root().join(file)).expect(test);
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            let head = format!("fn {name}(");
            let at = lines.iter().position(|l| l.starts_with(&head));
            let at = at.unwrap_or_else(|| panic!("{number}: no {name} in {file}"));
            let marks = lines[at.saturating_sub(6)..at].iter();
            let marked = marks
                .rev()
                .any(|l| l.starts_with("#[test") || l.starts_with("#[rstest"));
            assert!(marked, "{number}: {name} in {file} is no test");
        }
    }
}

/// Where `exp(x) - 1` and `log(1 + exp(x))` would keep none of the digits.
#[test]
fn small_results_keep_their_digits() {
    on_worker(|| -> Result<()> {
        let near = |y: Array, want: f64| {
            let got = numbers(&y).unwrap()[0];
            assert!(
                (got - want).abs() < 1e-6 * want.abs(),
                "{got}, expected {want}"
            );
        };
        for x in [-1e-6f32, -1e-4, -3e-3] {
            let (a, exact) = (Array::from(x), f64::from(x).exp_m1());
            near(activations::elu(&a).call()?, exact);
            near(activations::celu(&a).call()?, exact);
        }
        for x in [-20.0f32, -40.0, -80.0] {
            let (a, power) = (Array::from(x), f64::from(x).exp());
            near(activations::softplus(&a)?, power.ln_1p());
            near(activations::mish(&a)?, f64::from(x) * power.ln_1p().tanh());
            near(grad(activations::softplus)(&a)?, power / (1.0 + power));
        }
        Ok(())
    })
    .unwrap();
}

/// The square of 300 is no half.
#[test]
fn slopes_of_large_halves() {
    on_worker(|| -> Result<()> {
        let x = Array::from_slice(&[300.0f32, -300.0, 60000.0], 3)?.astype(F16)?;
        let slope = grad(|x: &Array| activations::gelu_tanh(x)?.sum(..))(&x)?;
        assert_eq!(numbers(&slope)?, [1.0, 0.0, 1.0]);
        let slope = grad(|x: &Array| activations::silu(x)?.sum(..))(&x)?;
        assert_eq!(numbers(&slope)?, [1.0, 0.0, 1.0]);
        Ok(())
    })
    .unwrap();
}
