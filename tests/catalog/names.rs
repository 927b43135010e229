//! The functions of the original, by name: none is missing here.

use std::collections::BTreeSet;

use zmlx::kernels::{catalog, other_names};

/// Modules of ZMLX 0.4.2, each with its public functions.
const ORIGINAL: &[(&str, &[&str])] = &[
    (
        "activations",
        &[
            "exp",
            "log",
            "tanh",
            "sigmoid",
            "relu",
            "silu",
            "gelu_tanh",
            "softplus",
            "mish",
            "elu",
            "exp_grad",
            "tanh_grad",
            "sigmoid_grad",
            "relu_grad",
            "silu_grad",
            "gelu_tanh_grad",
            "softplus_grad",
            "mish_grad",
            "elu_grad",
        ],
    ),
    (
        "softmax",
        &["softmax_lastdim", "log_softmax_lastdim", "softmax_grad"],
    ),
    (
        "norms",
        &[
            "rmsnorm",
            "rmsnorm_grad",
            "rms_norm_no_weight",
            "layer_norm_no_weight",
            "layernorm",
            "layer_norm_dropout",
            "residual_rmsnorm",
        ],
    ),
    (
        "fused",
        &[
            "add",
            "mul",
            "silu_mul_grad",
            "add_bias",
            "bias_gelu_tanh",
            "bias_silu",
        ],
    ),
    (
        "transformer",
        &[
            "swiglu",
            "geglu",
            "swiglu2",
            "geglu2",
            "rmsnorm_residual",
            "fused_add_rmsnorm",
            "layernorm_residual",
            "fused_add_layernorm",
            "rms_norm_dropout",
            "dropout",
            "bias_swiglu",
            "bias_geglu",
        ],
    ),
    (
        "attention",
        &[
            "logsumexp_lastdim",
            "masked_softmax",
            "scale_mask_softmax",
            "attention_tile_proto",
            "paged_attention",
        ],
    ),
    (
        "rope",
        &[
            "apply_rope",
            "apply_rope_interleaved",
            "apply_gqa_rope",
            "rope_and_cache_update",
            "paged_rope_and_cache_update",
        ],
    ),
    (
        "reductions",
        &[
            "sum_lastdim",
            "mean_lastdim",
            "max_lastdim",
            "var_lastdim",
            "std_lastdim",
            "argmax_lastdim",
            "topk_lastdim",
        ],
    ),
    (
        "linear",
        &[
            "fused_linear_bias_silu",
            "fused_linear_bias_gelu",
            "fused_linear_rmsnorm",
        ],
    ),
    (
        "loss",
        &["softmax_cross_entropy", "softmax_cross_entropy_grad"],
    ),
    (
        "quant",
        &[
            "dequantize_int8",
            "dequantize_silu_int8",
            "dequantize_int4",
            "dequantize_blockwise",
            "fused_swiglu_quant",
            "dequantize_fp8",
            "dequantize_nf4",
        ],
    ),
    (
        "moe",
        &["top2_gating_softmax", "moe_dispatch", "moe_combine"],
    ),
    ("image", &["resize_bilinear", "depthwise_conv_3x3"]),
    ("indexing", &["fused_gather_add", "fused_scatter_add"]),
    ("scan", &["cumsum_lastdim", "cumsum_grad"]),
    ("bits", &["pack_bits", "unpack_bits"]),
    ("optimizers", &["adamw_step"]),
    (
        "vlsp",
        &[
            "fused_recurrent_step",
            "depth_gate_sigmoid",
            "grpo_advantage_norm",
            "silu_mul_residual",
        ],
    ),
];

#[test]
fn every_function_of_the_original_is_in_the_table() {
    let rows: Vec<&str> = catalog().map(|e| e.name).collect();
    let mut known: BTreeSet<&str> = rows.iter().copied().collect();
    assert_eq!(known.len(), rows.len(), "a name stands twice");
    for (name, of) in other_names() {
        assert!(
            rows.contains(of),
            "`{of}`, of which `{name}` is another name"
        );
        assert!(known.insert(name), "`{name}` is a name of its own");
    }
    let names = ORIGINAL
        .iter()
        .flat_map(|(module, names)| names.iter().map(move |name| format!("{module}::{name}")));
    let names: Vec<String> = names.collect();
    assert_eq!(names.len(), 92);
    let missing: Vec<&String> = names
        .iter()
        .filter(|n| !known.contains(n.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
