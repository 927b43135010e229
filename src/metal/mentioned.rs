//! Outputs that a kernel's text never mentions: nothing can write them, so they would stay arbitrary memory.

use crate::engine::msl::items::{without_comments, words};
use crate::{Error, Result};

use super::spec::KernelBuilder;

/// Refuses a kernel with an output that its text never mentions, comments aside.
///
/// A name may come from a macro, of the header, too; and one that is pasted together (`##`) cannot be told.
#[track_caller]
pub(super) fn check(spec: &KernelBuilder) -> Result<()> {
    let texts = [&spec.source, &spec.header].map(|t| t.replace("\\\r\n", "").replace("\\\n", ""));
    let [source, header] = &texts;
    if texts.iter().any(|t| t.contains("##") || t.contains("%:%:")) {
        return Ok(());
    }
    let in_source = words(source);
    let mut in_macros: Option<Vec<String>> = None;
    for name in &spec.outputs {
        if in_source.binary_search(name).is_ok() {
            continue;
        }
        let macros = in_macros.get_or_insert_with(|| words(&macros(header)));
        if macros.binary_search(name).is_err() {
            return Err(Error::argument(
                "source",
                format_args!("a text that writes every output of `{}`", spec.name),
                format_args!(
                    "one that never mentions `{name}`, which would stay uninitialised memory \
                     (write 0 where there is nothing to say)"
                ),
            ));
        }
    }
    Ok(())
}

/// The definitions of macros. `%:` is another way to write `#`.
fn macros(text: &str) -> String {
    let text = without_comments(text);
    let lines = text.lines().filter_map(|line| {
        let line = line.trim_start();
        let rest = line.strip_prefix('#').or(line.strip_prefix("%:"))?;
        rest.trim_start().strip_prefix("define")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use crate::MetalKernel;

    #[test]
    fn outputs_have_to_be_mentioned() {
        let build = |header: &str, source: &str| {
            MetalKernel::new("pair", ["x"], ["low", "high"])
                .header(header)
                .source(source)
                .build()
        };
        for (header, source) in [
            ("", "low[0] = x[0];"),
            ("", "low[0] = x[0]; // high[0] = x[0];"),
            ("", "low[0] = x[0]; /* high */ lowhigh();"),
            (
                "inline void put(device float* high) { high[0] = 1; }",
                "put(low);",
            ),
            ("/*\n#define BOTH high\n*/", "low[0] = x[0];"),
        ] {
            let error = build(header, source).unwrap_err().to_string();
            assert!(
                error.contains("never mentions `high`") && error.contains("`pair`"),
                "{error}"
            );
        }
        for (header, source) in [
            ("", "low[0] = x[0]; high[0] = x[0];"),
            (
                "",
                "device auto* p = thread_position_in_grid.x > 0 ? low : high; *p = x[0];",
            ),
            (
                "#define BOTH(v) low[0] = v; \\\n  high[0] = v",
                "BOTH(x[0]);",
            ),
            ("# /* both */ define PUT low[0] = high[0] = x[0]", "PUT;"),
            ("%:define PUT low[0] = high[0] = x[0]", "PUT;"),
            ("#define TO(n) n##h[0]", "low[0] = x[0]; TO(hig) = x[0];"),
            ("", "#define PUT(v) high[0] = v\nlow[0] = x[0]; PUT(x[0]);"),
        ] {
            build(header, source).unwrap();
        }
    }
}
