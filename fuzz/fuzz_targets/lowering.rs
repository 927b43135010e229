//! Arbitrary text through the lowering of the host engine: it may refuse, but never panic or hang.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zmlx::engine::host::{CompileOptions, lower};

fuzz_target!(|text: &str| {
    // As it is, and as the body of a kernel, so that every pass has something to do.
    let kernel = format!(
        "[[kernel]] void k(device float* x [[buffer(0)]], \
         uint3 thread_position_in_grid [[thread_position_in_grid]]) {{\n{text}\n}}\n"
    );
    for (text, single) in [(text, false), (&kernel, true), (&kernel, false)] {
        let options = CompileOptions {
            single,
            ..CompileOptions::default()
        };
        if let Ok(lowered) = lower(text, &options) {
            for (line, column) in [(0, 0), (1, 1), (2, 7), (usize::MAX, usize::MAX)] {
                let _ = lowered.map.locate(&lowered.text, "<source>", line, column);
            }
        }
    }
});
