//! Rules for transforms, of nodes that are launches of ours.

use super::callback::NodeRules;

#[cxx::bridge(namespace = "zmlx")]
pub(crate) mod ffi {
    extern "Rust" {
        type NodeRules;
        fn vjp(
            self: &NodeRules,
            inputs: &CxxVector<Array>,
            cotangents: &CxxVector<Array>,
            outputs: &CxxVector<Array>,
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn jvp(
            self: &NodeRules,
            inputs: &CxxVector<Array>,
            tangents: &CxxVector<Array>,
            argnums: &[i32],
        ) -> Result<UniquePtr<CxxVector<Array>>>;
        fn vmap(
            self: &NodeRules,
            inputs: &CxxVector<Array>,
            axes: &[i32],
        ) -> Result<UniquePtr<CxxVector<Array>>>;
    }

    unsafe extern "C++" {
        include!("zmlx/ruled.h");

        type Array = crate::bridge::array::ffi::Array;

        /// Gives rules to the node of `a`, which has so many outputs. False where it is none of ours.
        fn give_rules(a: &Array, outputs: usize, rules: Box<NodeRules>) -> Result<bool>;
    }
}
